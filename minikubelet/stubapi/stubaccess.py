"""Who may do what: roles and bindings, read as upstream's RBAC authorizer reads them.

Pure over the store: rules of (Cluster)Roles that (Cluster)RoleBindings give to users, groups and service
accounts. May not be here: who a caller is (`stubcallers`), or what a cluster starts with (`stubroles`).
Follows upstream's plugin/pkg/auth/authorizer/rbac. Aggregated roles are not put together, and a node's rights
are not narrowed to its own pods, as upstream's node authorizer does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from minikubelet.stubapi.stubresources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    Obj,
    Target,
)
from minikubelet.stubapi.stubstatus import ApiError
from minikubelet.stubapi.stubstore import Key, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MASTERS: Final = "system:masters"
_ALL: Final = "*"
_UPGRADED: Final = ("exec", "attach", "portforward")
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch"}


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Someone who is known, as upstream's user.Info."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = msgspec.field(default_factory=dict)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to do: a verb on a resource, or on a path that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        """`pods` or `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def wish_of(method: str, target: Target, *, watch: bool) -> Wish:
    """What a request wants to do."""
    if target.subresource in _UPGRADED:
        verb = "create"
    elif method == "DELETE":
        verb = "delete" if target.name else "deletecollection"
    elif method in {"GET", "HEAD"}:
        verb = "get" if target.name else "watch" if watch else "list"
    else:
        verb = _VERBS.get(method, method.lower())
    return Wish(
        verb=verb,
        group=target.resource.group,
        resource=target.resource.plural,
        subresource=target.subresource,
        namespace=target.namespace,
        name=target.name,
    )


def refusal(caller: Caller, wish: Wish) -> ApiError:
    """403 in upstream's words."""
    what = f"{wish.resource}.{wish.group}" if wish.group else wish.resource
    named = f' "{wish.name}"' if wish.name else ""
    where = f'in the namespace "{wish.namespace}"' if wish.namespace else "at the cluster scope"
    message = (
        f'{what}{named} is forbidden: User "{caller.name}" cannot {wish.verb} resource '
        f'"{wish.full_resource}" in API group "{wish.group}" {where}'
    )
    details = {"name": wish.name, "group": wish.group, "kind": wish.resource}
    return ApiError(403, "Forbidden", message, {key: value for key, value in details.items() if value})


class Access:
    """Decides from what is stored now."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self, caller: Caller, wish: Wish) -> None:
        """Raise the 403 unless the caller may."""
        if not self.reason(caller, wish):
            raise refusal(caller, wish)

    def reason(self, caller: Caller, wish: Wish) -> str:
        """Why the caller may, in upstream's words; empty if not."""
        if MASTERS in caller.groups:
            return f"{MASTERS} may do everything"
        for binding in self._bindings(wish.namespace):
            subject = _subject_of(binding, caller)
            if subject and any(_covers(rule, wish) for rule in self._rules(binding)):
                name, role = binding["metadata"]["name"], binding["roleRef"]
                given = f'{role["kind"]} "{role["name"]}" to {subject}'
                return f'RBAC: allowed by {binding["kind"]} "{name}" of {given}'
        return ""

    def _bindings(self, namespace: str) -> Iterator[Obj]:
        for stored in self._store.select(CLUSTER_ROLE_BINDINGS):
            yield stored.obj
        for stored in self._store.select(ROLE_BINDINGS, namespace) if namespace else ():
            yield stored.obj

    def _rules(self, binding: Obj) -> Sequence[Obj]:
        role = binding.get("roleRef") or {}
        name = str(role.get("name", ""))
        if role.get("kind") == "ClusterRole":
            found = self._store.get(CLUSTER_ROLES, Key("", name))
        else:
            found = self._store.get(ROLES, Key(binding["metadata"].get("namespace", ""), name))
        return found.obj.get("rules") or () if found is not None else ()


def _subject_of(binding: Obj, caller: Caller) -> str:
    """The subject of a binding that is the caller, in words."""
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), str(subject.get("name", ""))
        namespace = subject.get("namespace") or binding["metadata"].get("namespace", "")
        wanted = {
            "User": caller.name == name,
            "Group": name in caller.groups,
            "ServiceAccount": caller.name == f"system:serviceaccount:{namespace}:{name}",
        }
        if wanted.get(str(kind), False):
            return f'{kind} "{name}"'
    return ""


def _covers(rule: dict[str, Any], wish: Wish) -> bool:
    def has(field: str, *accepted: str) -> bool:
        return bool({_ALL, *accepted} & set(rule.get(field) or ()))

    if not has("verbs", wish.verb):
        return False
    if wish.path:
        urls = rule.get("nonResourceURLs") or ()
        return any(url == wish.path or (url[-1:] == _ALL and wish.path.startswith(url[:-1])) for url in urls)
    names = rule.get("resourceNames") or ()
    resources = [wish.full_resource] + ([f"*/{wish.subresource}"] if wish.subresource else [])
    return has("apiGroups", wish.group) and has("resources", *resources) and (not names or wish.name in names)
