"""The table of the resources that the stub API server has; everything else asks it.

Data only: names, kinds, scope and sub-resources. What a resource's rules are lives in the rules modules.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Obj: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON data; shared between readers, hence never changed once stored."""

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Resource(msgspec.Struct, frozen=True):
    """One kind of object at one group and version."""

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`, as objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage(self) -> str:
        """The name in messages and in the state log: `pods`, `leases.coordination.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """The singular name, in lower case."""
        return self.kind.lower()


NAMESPACES = Resource(
    "namespaces", "Namespace", namespaced=False, short_names=("ns",), subresources=("status",)
)
NODES = Resource("nodes", "Node", namespaced=False, short_names=("no",), subresources=("status",))
PODS = Resource(
    "pods",
    "Pod",
    short_names=("po",),
    categories=("all",),
    subresources=("status", "ephemeralcontainers", "log", "binding", "exec", "attach", "portforward"),
)
EVENTS = Resource("events", "Event", short_names=("ev",))
CONFIGMAPS = Resource("configmaps", "ConfigMap", short_names=("cm",))
SECRETS = Resource("secrets", "Secret")
SERVICEACCOUNTS = Resource("serviceaccounts", "ServiceAccount", short_names=("sa",), subresources=("token",))
SERVICES = Resource(
    "services", "Service", short_names=("svc",), categories=("all",), subresources=("status",)
)
DAEMONSETS = Resource(
    "daemonsets",
    "DaemonSet",
    group="apps",
    short_names=("ds",),
    categories=("all",),
    subresources=("status",),
)
LEASES = Resource("leases", "Lease", group="coordination.k8s.io")
SIGNING_REQUESTS = Resource(
    "certificatesigningrequests",
    "CertificateSigningRequest",
    group="certificates.k8s.io",
    namespaced=False,
    short_names=("csr",),
    subresources=("status", "approval"),
)
_RBAC = "rbac.authorization.k8s.io"
ROLES = Resource("roles", "Role", group=_RBAC)
ROLE_BINDINGS = Resource("rolebindings", "RoleBinding", group=_RBAC)
CLUSTER_ROLES = Resource("clusterroles", "ClusterRole", group=_RBAC, namespaced=False)
CLUSTER_ROLE_BINDINGS = Resource("clusterrolebindings", "ClusterRoleBinding", group=_RBAC, namespaced=False)

_ANSWERED = ("create",)
TOKEN_REVIEWS = Resource(
    "tokenreviews", "TokenReview", group="authentication.k8s.io", namespaced=False, verbs=_ANSWERED
)
ACCESS_REVIEWS = Resource(
    "subjectaccessreviews",
    "SubjectAccessReview",
    group="authorization.k8s.io",
    namespaced=False,
    verbs=_ANSWERED,
)
OWN_ACCESS_REVIEWS = Resource(
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    group="authorization.k8s.io",
    namespaced=False,
    verbs=_ANSWERED,
)

_MEASURED = ("get", "list")
NODE_METRICS = Resource(
    "nodes", "NodeMetrics", group="metrics.k8s.io", version="v1beta1", namespaced=False, verbs=_MEASURED
)
POD_METRICS = Resource("pods", "PodMetrics", group="metrics.k8s.io", version="v1beta1", verbs=_MEASURED)

RESOURCES = (
    CONFIGMAPS,
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
    DAEMONSETS,
    LEASES,
    SIGNING_REQUESTS,
    ROLES,
    ROLE_BINDINGS,
    CLUSTER_ROLES,
    CLUSTER_ROLE_BINDINGS,
)
"""those that are stored"""
REVIEWS = (TOKEN_REVIEWS, ACCESS_REVIEWS, OWN_ACCESS_REVIEWS)
"""those that are answered and not kept"""
METRICS = (NODE_METRICS, POD_METRICS)
"""those that are asked of the nodes"""
SERVED = (*RESOURCES, *REVIEWS, *METRICS)
BY_STORAGE = {resource.storage: resource for resource in RESOURCES}
_BY_PATH = {(r.group, r.version, r.plural): r for r in SERVED}

FIRST_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class Target(msgspec.Struct, frozen=True):
    """What a request's path names: a collection, an object or a sub-resource of one."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


def find_target(path: str) -> Target | None:
    """The target of a path under `/api/` or `/apis/`, or None where no such resource exists."""
    parts = path.strip("/").split("/")
    match parts:
        case ["api", version, *rest]:
            group = ""
        case ["apis", group, version, *rest]:
            pass
        case _:
            return None
    match rest:
        case ["namespaces", namespace, plural, *tail] if (group, version, plural) in _BY_PATH:
            resource = _BY_PATH[group, version, plural]
            return _with_tail(resource, namespace, tail) if resource.namespaced else None
        case [plural, *tail] if (group, version, plural) in _BY_PATH:
            resource = _BY_PATH[group, version, plural]
            # A namespaced object is only reached through its namespace.
            return None if resource.namespaced and tail else _with_tail(resource, "", tail)
        case _:
            return None


def _with_tail(resource: Resource, namespace: str, tail: list[str]) -> Target | None:
    match tail:
        case []:
            return Target(resource, namespace)
        case [name]:
            return Target(resource, namespace, name)
        case [name, subresource] if subresource in resource.subresources:
            return Target(resource, namespace, name, subresource)
        case _:
            return None
