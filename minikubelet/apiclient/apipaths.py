"""The paths of the resources a node agent uses.

Pure text: no requests, and no resources that the agent has no business with.
"""

from __future__ import annotations

from urllib.parse import quote

LEASE_NAMESPACE = "kube-node-lease"


def api_path(*segments: str) -> str:
    """Join path segments, each escaped; an empty one or one that climbs is a bug of the caller."""
    for segment in segments:
        if segment in {"", ".", ".."}:
            raise ValueError(f"{segment!r} is no name of an API object")
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def pods_path(namespace: str | None = None) -> str:
    """All pods of a namespace, or of all namespaces."""
    return _core(namespace, "pods")


def pod_path(namespace: str, name: str) -> str:
    """One pod."""
    return _core(namespace, "pods", name)


def pod_status_path(namespace: str, name: str) -> str:
    """The status of one pod."""
    return _core(namespace, "pods", name, "status")


def events_path(namespace: str) -> str:
    """The Events of a namespace."""
    return _core(namespace, "events")


def event_path(namespace: str, name: str) -> str:
    """One Event."""
    return _core(namespace, "events", name)


def nodes_path() -> str:
    """All nodes."""
    return _core(None, "nodes")


def node_path(name: str) -> str:
    """One node."""
    return _core(None, "nodes", name)


def node_status_path(name: str) -> str:
    """The status of one node."""
    return _core(None, "nodes", name, "status")


def namespaces_path() -> str:
    """All namespaces."""
    return _core(None, "namespaces")


def namespace_path(name: str) -> str:
    """One namespace."""
    return _core(None, "namespaces", name)


def leases_path(namespace: str = LEASE_NAMESPACE) -> str:
    """The leases of a namespace, by default the one of the nodes."""
    return api_path("apis", "coordination.k8s.io", "v1", "namespaces", namespace, "leases")


def lease_path(name: str, namespace: str = LEASE_NAMESPACE) -> str:
    """One lease, by default a node's."""
    return leases_path(namespace) + api_path(name)


def signing_requests_path() -> str:
    """All requests for certificates."""
    return api_path("apis", "certificates.k8s.io", "v1", "certificatesigningrequests")


def signing_request_path(name: str) -> str:
    """One request for a certificate."""
    return signing_requests_path() + api_path(name)


def _core(namespace: str | None, *rest: str) -> str:
    if namespace is None:
        return api_path("api", "v1", *rest)
    return api_path("api", "v1", "namespaces", namespace, *rest)
