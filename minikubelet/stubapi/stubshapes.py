"""The shapes that objects must have before any rule or table looks into them.

Only the fields this server reads are typed; unknown ones pass, as in a server of a newer release. What is
refused here is a 400, as upstream's decoder answers; rules that give a 422 live in the rules modules.
"""

from __future__ import annotations

from typing import Any

import msgspec

from minikubelet.stubapi.stubpodshapes import (
    ConditionShape,
    MetaShape,
    ObjectShape,
    PodShape,
    PodSpecShape,
    Shape,
    Time,
)
from minikubelet.stubapi.stubresources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIGMAPS,
    DAEMONSETS,
    EVENTS,
    LEASES,
    NODES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICES,
    SIGNING_REQUESTS,
    Obj,
    Resource,
)
from minikubelet.stubapi.stubstatus import bad_request


class _NodeSpec(Shape):
    unschedulable: bool | None = None
    taints: list[dict[str, Any]] | None = None


class _Address(Shape):
    type: str = ""
    address: str = ""


class _NodeStatus(Shape):
    conditions: list[ConditionShape] | None = None
    addresses: list[_Address] | None = None
    node_info: dict[str, str | dict[str, Any]] | None = None


class _Node(ObjectShape):
    spec: _NodeSpec | None = None
    status: _NodeStatus | None = None


class _Event(ObjectShape):
    involved_object: dict[str, str] | None = None
    source: dict[str, str] | None = None
    series: dict[str, Any] | None = None
    first_timestamp: Time | None = None
    last_timestamp: Time | None = None
    event_time: Time | None = None
    count: int | None = None
    type: str | None = None
    reason: str | None = None
    message: str | None = None


class _LeaseSpec(Shape):
    holder_identity: str | None = None


class _Lease(ObjectShape):
    spec: _LeaseSpec | None = None


class _ConfigMap(ObjectShape):
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None


class _Secret(ObjectShape):
    data: dict[str, str] | None = None
    string_data: dict[str, str] | None = None


class _ServiceSpec(Shape):
    type: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    ports: list[dict[str, Any]] | None = None
    selector: dict[str, str] | None = None


class _Service(ObjectShape):
    spec: _ServiceSpec | None = None


class _RequestSpec(Shape):
    request: str
    signer_name: str = ""
    usages: list[str] | None = None
    expiration_seconds: int | None = None
    username: str | None = None
    groups: list[str] | None = None


class _Verdict(ConditionShape):
    message: str | None = None


class _RequestStatus(Shape):
    conditions: list[_Verdict] | None = None
    certificate: str | None = None


class _SigningRequest(ObjectShape, kw_only=True):
    spec: _RequestSpec
    status: _RequestStatus | None = None


class _Rule(Shape):
    verbs: list[str]
    api_groups: list[str] | None = None
    resources: list[str] | None = None
    resource_names: list[str] | None = None
    non_resource_urls: list[str] | None = msgspec.field(default=None, name="nonResourceURLs")


class _Role(ObjectShape):
    rules: list[_Rule] | None = None


class _Reference(Shape):
    kind: str
    name: str
    namespace: str | None = None


class _Binding(ObjectShape, kw_only=True):
    role_ref: _Reference
    subjects: list[_Reference] | None = None


class _Selector(Shape):
    match_labels: dict[str, str] | None = None
    match_expressions: list[dict[str, Any]] | None = None


class _Template(Shape):
    metadata: MetaShape | None = None
    spec: PodSpecShape | None = None


class _RollingUpdate(Shape):
    max_unavailable: int | str | None = None
    max_surge: int | str | None = None


class _Strategy(Shape):
    type: str | None = None
    rolling_update: _RollingUpdate | None = None


class _DaemonSetSpec(Shape):
    selector: _Selector | None = None
    template: _Template | None = None
    update_strategy: _Strategy | None = None
    min_ready_seconds: int | None = None
    revision_history_limit: int | None = None


class _DaemonSetStatus(Shape):
    desired_number_scheduled: int | None = None
    current_number_scheduled: int | None = None
    number_ready: int | None = None
    updated_number_scheduled: int | None = None
    number_available: int | None = None


class _DaemonSet(ObjectShape):
    spec: _DaemonSetSpec | None = None
    status: _DaemonSetStatus | None = None


class _Other(ObjectShape):
    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


_SHAPES: dict[Resource, type[ObjectShape]] = {
    PODS: PodShape,
    NODES: _Node,
    EVENTS: _Event,
    LEASES: _Lease,
    DAEMONSETS: _DaemonSet,
    CONFIGMAPS: _ConfigMap,
    SECRETS: _Secret,
    SERVICES: _Service,
    SIGNING_REQUESTS: _SigningRequest,
    ROLES: _Role,
    CLUSTER_ROLES: _Role,
    ROLE_BINDINGS: _Binding,
    CLUSTER_ROLE_BINDINGS: _Binding,
}


def check_shape(resource: Resource, obj: Obj) -> None:
    """Refuse an object whose fields have other types than this server reads.

    Raises:
        ApiError: 400, with the path of the field and what was expected.
    """
    for field, wanted in (("kind", resource.kind), ("apiVersion", resource.api_version)):
        given = obj.get(field)
        if given not in (None, "", wanted):
            raise bad_request(
                f"the {field} in the data ({given}) does not match the expected {field} ({wanted})"
            )
    try:
        msgspec.convert(obj, _SHAPES.get(resource, _Other))
    except (msgspec.ValidationError, RecursionError) as problem:
        kind, version = resource.kind, resource.api_version
        text = f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}'
        raise bad_request(text) from problem
