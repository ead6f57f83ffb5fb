"""Server-side tables: the columns and rows that `kubectl get` prints.

Pure; follows the columns of upstream's printers for the resources of this server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from minikubelet.stubapi.stubaccesscells import binding_cells, request_cells, role_cells
from minikubelet.stubapi.stubdaemoncells import DAEMONSET_COLUMNS, DAEMONSET_NUMBERS, daemonset_cells
from minikubelet.stubapi.stubresources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIGMAPS,
    DAEMONSETS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
    SIGNING_REQUESTS,
    Obj,
    Resource,
)
from minikubelet.wire.podcells import pod_cells, since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

_NONE = "<none>"
_ROLE = "node-role.kubernetes.io/"

Cells: TypeAlias = "Callable[[Obj, datetime], list[Any]]"


class _Layout(msgspec.Struct, frozen=True):
    """Column names in order (a trailing `+` marks those of `-o wide`), and what fills them."""

    columns: tuple[str, ...]
    cells: Cells
    numbers: tuple[str, ...] = ("Data", "Secrets", "Count+")


def _age(obj: Obj, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def _pod(pod: Obj, now: datetime) -> list[Any]:
    spec, status, cells = pod.get("spec") or {}, pod.get("status") or {}, pod_cells(pod, now)
    ips = status.get("podIP") or _NONE
    gates = [gate.get("conditionType") for gate in spec.get("readinessGates") or []]
    true = [c.get("type") for c in status.get("conditions") or [] if c.get("status") == "True"]
    ready_gates = f"{sum(gate in true for gate in gates)}/{len(gates)}" if gates else _NONE
    return [
        pod["metadata"]["name"],
        cells.ready,
        cells.status,
        cells.restarts,
        _age(pod, now),
        ips,
        spec.get("nodeName") or _NONE,
        status.get("nominatedNodeName") or _NONE,
        ready_gates,
    ]


def _node(node: Obj, now: datetime) -> list[Any]:
    status, meta = node.get("status") or {}, node["metadata"]
    ready = [c.get("status") for c in status.get("conditions") or [] if c.get("type") == "Ready"]
    text = ("Ready" if ready[0] == "True" else "NotReady") if ready else "Unknown"
    if (node.get("spec") or {}).get("unschedulable"):
        text += ",SchedulingDisabled"
    labels = meta.get("labels") or {}
    roles = sorted(key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE) and key != _ROLE)
    info = status.get("nodeInfo") or {}
    return [
        meta["name"],
        text,
        ",".join(roles) or _NONE,
        _age(node, now),
        info.get("kubeletVersion") or "",
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _address(status: Obj, kind: str) -> str:
    found = [entry["address"] for entry in status.get("addresses") or [] if entry.get("type") == kind]
    return str(found[0]) if found else _NONE


def _namespace(namespace: Obj, now: datetime) -> list[Any]:
    status = (namespace.get("status") or {}).get("phase") or ""
    return [namespace["metadata"]["name"], status, _age(namespace, now)]


def _event(event: Obj, now: datetime) -> list[Any]:
    about, source, series = (event.get(key) or {} for key in ("involvedObject", "source", "series"))
    first = event.get("firstTimestamp") or event.get("eventTime")
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or first
    component = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return [
        since(last, now),
        event.get("type") or "",
        event.get("reason") or "",
        f"{str(about.get('kind') or '').lower()}/{about.get('name') or ''}",
        about.get("fieldPath") or "",
        ", ".join(part for part in (component, host) if part),
        str(event.get("message") or "").strip(),
        since(first, now),
        series.get("count") or event.get("count") or 1,
        event["metadata"]["name"],
    ]


def _lease(lease: Obj, now: datetime) -> list[Any]:
    holder = (lease.get("spec") or {}).get("holderIdentity") or ""
    return [lease["metadata"]["name"], holder, _age(lease, now)]


def _size(*parts: Any) -> int:
    return sum(len(part) for part in parts if isinstance(part, dict | list))


def _configmap(obj: Obj, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], _size(obj.get("data"), obj.get("binaryData")), _age(obj, now)]


def _secret(obj: Obj, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], obj.get("type") or "", _size(obj.get("data")), _age(obj, now)]


def _serviceaccount(obj: Obj, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], _size(obj.get("secrets")), _age(obj, now)]


def _service(obj: Obj, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    ports = [f"{port.get('port')}/{port.get('protocol')}" for port in spec.get("ports") or []]
    selector = spec.get("selector")
    pairs = sorted(selector.items()) if isinstance(selector, dict) else []
    return [
        obj["metadata"]["name"],
        spec.get("type") or "",
        spec.get("clusterIP") or _NONE,
        _NONE,
        ",".join(ports) or _NONE,
        _age(obj, now),
        ",".join(f"{key}={value}" for key, value in pairs) or _NONE,
    ]


_ROLE_LAYOUT = _Layout(("Name", "Created At"), role_cells)
_BINDING_LAYOUT = _Layout(("Name", "Role", "Age", "Users+", "Groups+", "ServiceAccounts+"), binding_cells)
_LAYOUTS = {
    SIGNING_REQUESTS: _Layout(
        ("Name", "Age", "SignerName", "Requestor", "RequestedDuration", "Condition"), request_cells
    ),
    ROLES: _ROLE_LAYOUT,
    CLUSTER_ROLES: _ROLE_LAYOUT,
    ROLE_BINDINGS: _BINDING_LAYOUT,
    CLUSTER_ROLE_BINDINGS: _BINDING_LAYOUT,
    PODS: _Layout(
        (
            "Name",
            "Ready",
            "Status",
            "Restarts",
            "Age",
            "IP+",
            "Node+",
            "Nominated Node+",
            "Readiness Gates+",
        ),
        _pod,
    ),
    NODES: _Layout(
        (
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            "Internal-IP+",
            "External-IP+",
            "OS-Image+",
            "Kernel-Version+",
            "Container-Runtime+",
        ),
        _node,
    ),
    NAMESPACES: _Layout(("Name", "Status", "Age"), _namespace),
    EVENTS: _Layout(
        (
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "Subobject+",
            "Source+",
            "Message",
            "First Seen+",
            "Count+",
            "Name+",
        ),
        _event,
    ),
    DAEMONSETS: _Layout(DAEMONSET_COLUMNS, daemonset_cells, DAEMONSET_NUMBERS),
    LEASES: _Layout(("Name", "Holder", "Age"), _lease),
    CONFIGMAPS: _Layout(("Name", "Data", "Age"), _configmap),
    SECRETS: _Layout(("Name", "Type", "Data", "Age"), _secret),
    SERVICEACCOUNTS: _Layout(("Name", "Secrets", "Age"), _serviceaccount),
    SERVICES: _Layout(
        ("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector+"),
        _service,
    ),
}


def make_table(
    resource: Resource, objects: Iterable[Obj], meta: Obj, now: datetime, include: str = "Metadata"
) -> Obj:
    """A `meta.k8s.io/v1` Table of objects; `include` is the request's includeObject."""
    layout = _LAYOUTS[resource]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": [_column(name, layout.numbers) for name in layout.columns],
        "rows": [_row(layout, obj, now, include) for obj in objects],
    }


def _column(name: str, numbers: tuple[str, ...]) -> Obj:
    return {
        "name": name.removesuffix("+"),
        "type": "integer" if name in numbers else "string",
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": 1 if name.endswith("+") else 0,
    }


def _row(layout: _Layout, obj: Obj, now: datetime, include: str) -> Obj:
    row: Obj = {"cells": layout.cells(obj, now)}
    if include == "Object":
        row["object"] = obj
    elif include != "None":
        meta = obj["metadata"]
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": meta,
        }
    return row
