"""The roles and bindings that a new cluster has, as far as this server's resources go.

Data only, under upstream's names (plugin/pkg/auth/authorizer/rbac/bootstrappolicy). What follows from them is
in `stubaccess`.
"""

from __future__ import annotations

from typing import Final

from minikubelet.stubapi.stubresources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, Obj, Resource

_READ: Final = ("get", "list", "watch")
_SIGNING: Final = "certificates.k8s.io"


def _rule(group: str, resources: str, *verbs: str) -> Obj:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": list(verbs)}


_RULES: Final[dict[str, list[Obj]]] = {
    "cluster-admin": [_rule("*", "*", "*"), {"nonResourceURLs": ["*"], "verbs": ["*"]}],
    "view": [
        _rule("", "configmaps events namespaces pods pods/log pods/status serviceaccounts services", *_READ),
        _rule("metrics.k8s.io", "pods nodes", *_READ),
    ],
    "system:basic-user": [_rule("authorization.k8s.io", "selfsubjectaccessreviews", "create")],
    "system:node": [
        _rule("authentication.k8s.io", "tokenreviews", "create"),
        _rule("authorization.k8s.io", "subjectaccessreviews", "create"),
        _rule("", "services configmaps secrets", *_READ),
        _rule("", "nodes", "create", "get", "list", "watch", "update", "patch"),
        _rule("", "nodes/status pods/status", "update", "patch"),
        _rule("", "events", "create", "patch", "update"),
        _rule("", "pods", "create", "delete", *_READ),
        _rule("", "serviceaccounts/token", "create"),
        _rule(_SIGNING, "certificatesigningrequests", "create", *_READ),
        _rule("coordination.k8s.io", "leases", "create", "get", "update", "patch", "delete"),
    ],
    "system:node-bootstrapper": [_rule(_SIGNING, "certificatesigningrequests", "create", *_READ)],
    "system:kubelet-api-admin": [
        _rule("", "nodes", *_READ),
        _rule("", "nodes", "proxy"),
        _rule("", "nodes/log nodes/metrics nodes/proxy nodes/stats", "*"),
    ],
}
_BOUND: Final = {
    "cluster-admin": "system:masters",
    "system:basic-user": "system:authenticated",
    "system:node": "system:nodes",
    "system:node-bootstrapper": "system:bootstrappers",
}


def first_roles() -> list[tuple[Resource, Obj]]:
    """What has to be there; an object that exists is left as it is."""
    roles = [(CLUSTER_ROLES, {"metadata": {"name": name}, "rules": rules}) for name, rules in _RULES.items()]
    return [*roles, *((CLUSTER_ROLE_BINDINGS, _binding(role, group)) for role, group in _BOUND.items())]


def _binding(role: str, group: str) -> Obj:
    api = "rbac.authorization.k8s.io"
    return {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": api, "kind": "Group", "name": group}],
    }
