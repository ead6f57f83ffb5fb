"""Questions that are answered and not kept: whose token is this, and may somebody do that.

Belongs here: TokenReview, SubjectAccessReview and SelfSubjectAccessReview as requests and answers. May not be
here: how the answers are found (`stubcallers`, `stubaccess`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from minikubelet.stubapi.stubaccess import Access, Caller, Wish
from minikubelet.stubapi.stubresources import ACCESS_REVIEWS, TOKEN_REVIEWS, Obj, Resource
from minikubelet.stubapi.stubstatus import Cause, bad_request, invalid

if TYPE_CHECKING:
    from minikubelet.stubapi.stubcallers import Callers
    from minikubelet.stubapi.stubtokens import ServiceTokens


class _Token(msgspec.Struct):
    token: str = ""
    audiences: list[str] | None = None


class _Resource(msgspec.Struct):
    verb: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class _Path(msgspec.Struct):
    verb: str = ""
    path: str = ""


class _Access(msgspec.Struct, rename="camel"):
    resource_attributes: _Resource | None = None
    non_resource_attributes: _Path | None = None
    user: str = ""
    groups: list[str] | None = None
    uid: str = ""
    extra: dict[str, list[str]] | None = None


class Reviews:
    """Answers."""

    def __init__(self, callers: Callers, access: Access, tokens: ServiceTokens) -> None:
        self._callers = callers
        self._access = access
        self._tokens = tokens

    def answer(self, resource: Resource, body: Obj, caller: Caller) -> Obj:
        """The review with its status; raises ApiError."""
        if resource == TOKEN_REVIEWS:
            return self._token(body)
        spec = _spec(body, _Access)
        if resource == ACCESS_REVIEWS:
            if not spec.user and not spec.groups:
                text = "Required value: at least one of user or group must be specified"
                raise invalid(resource, "", [Cause("spec.user", text, "FieldValueRequired")])
            groups = tuple(spec.groups or ())
            caller = Caller(name=spec.user, groups=groups, uid=spec.uid, extra=spec.extra or {})
        reason = self._access.reason(caller, _wish(resource, spec))
        status: dict[str, Any] = {"allowed": bool(reason)}
        if reason:
            status["reason"] = reason
        return _answered(resource, body, status)

    def _token(self, body: Obj) -> Obj:
        spec = _spec(body, _Token)
        wanted = spec.audiences or []
        caller = self._callers.by_token(spec.token, wanted) if wanted else self._callers.by_token(spec.token)
        if caller is None:
            return _answered(TOKEN_REVIEWS, body, {"authenticated": False, "user": {}})
        user: dict[str, Any] = {"username": caller.name, "groups": list(caller.groups)}
        if caller.uid:
            user["uid"] = caller.uid
        if caller.extra:
            user["extra"] = caller.extra
        # A token that was made for nobody in particular is for everybody who asks.
        made_for = self._tokens.audiences(spec.token)
        audiences = [each for each in wanted if each in made_for] if made_for else wanted
        status = {"authenticated": True, "user": user, **({"audiences": audiences} if audiences else {})}
        return _answered(TOKEN_REVIEWS, body, status)


def _spec(body: Obj, shape: type[Any]) -> Any:
    try:
        return msgspec.convert(body.get("spec") or {}, shape)
    except msgspec.ValidationError as problem:
        raise bad_request(f"the review cannot be read: {problem}") from problem


def _wish(resource: Resource, spec: _Access) -> Wish:
    wanted, path = spec.resource_attributes, spec.non_resource_attributes
    if path is not None and wanted is None:
        return Wish(verb=path.verb, path=path.path)
    if path is not None or wanted is None:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise invalid(resource, "", [Cause("spec.resourceAttributes", f"Invalid value: {text}")])
    return Wish(
        verb=wanted.verb,
        group=wanted.group,
        resource=wanted.resource,
        subresource=wanted.subresource,
        namespace=wanted.namespace,
        name=wanted.name,
    )


def _answered(resource: Resource, body: Obj, status: Obj) -> Obj:
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {"creationTimestamp": None},
        "spec": body.get("spec") or {},
        "status": status,
    }
