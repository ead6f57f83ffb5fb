"""The shapes that objects must have before any rule or table looks into them.

Only the fields this server reads are typed; unknown ones pass, as in a server of a newer release. What is
refused here is a 400, as upstream's decoder answers; rules that give a 422 live in the rules modules.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from minikubelet.stubapi.stubresources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
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

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Shape(msgspec.Struct, rename="camel"):
    pass


class _Owner(_Shape):
    api_version: str | None = None
    kind: str | None = None
    name: str | None = None
    uid: str | None = None
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class _Meta(_Shape):
    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None
    owner_references: list[_Owner] | None = None
    creation_timestamp: _Time | None = None
    deletion_timestamp: _Time | None = None
    deletion_grace_period_seconds: int | None = None


class _Object(_Shape):
    metadata: _Meta | None = None


class _Resources(_Shape):
    limits: dict[str, str | int | float] | None = None
    requests: dict[str, str | int | float] | None = None


class _Named(_Shape):
    name: str | None = None


class _Mount(_Named):
    mount_path: str | None = None


class _Container(_Shape):
    name: str | None = None
    image: str | None = None
    restart_policy: str | None = None
    image_pull_policy: str | None = None
    resources: _Resources | None = None
    ports: list[dict[str, Any]] | None = None
    env: list[dict[str, Any]] | None = None
    volume_mounts: list[_Mount] | None = None
    liveness_probe: dict[str, Any] | None = None
    readiness_probe: dict[str, Any] | None = None
    startup_probe: dict[str, Any] | None = None


class _PodSpec(_Shape):
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    ephemeral_containers: list[_Container] | None = None
    volumes: list[_Named] | None = None
    tolerations: list[dict[str, Any]] | None = None
    readiness_gates: list[dict[str, Any]] | None = None
    node_name: str | None = None
    restart_policy: str | None = None
    host_network: bool | None = None
    termination_grace_period_seconds: int | None = None
    active_deadline_seconds: int | None = None


class _Terminated(_Shape):
    exit_code: int = 0
    signal: int = 0
    reason: str | None = None
    finished_at: _Time | None = None


class _Waiting(_Shape):
    reason: str | None = None


class _State(_Shape):
    running: dict[str, Any] | None = None
    waiting: _Waiting | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(_Shape):
    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: _State | None = None
    last_state: _State | None = None


class _Condition(_Shape):
    type: str = ""
    status: str = ""
    reason: str | None = None


class _PodStatus(_Shape):
    phase: str | None = None
    reason: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    nominated_node_name: str | None = None
    conditions: list[_Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None


class _Pod(_Object):
    spec: _PodSpec | None = None
    status: _PodStatus | None = None


class _NodeSpec(_Shape):
    unschedulable: bool | None = None


class _Address(_Shape):
    type: str = ""
    address: str = ""


class _NodeStatus(_Shape):
    conditions: list[_Condition] | None = None
    addresses: list[_Address] | None = None
    node_info: dict[str, str | dict[str, Any]] | None = None


class _Node(_Object):
    spec: _NodeSpec | None = None
    status: _NodeStatus | None = None


class _Event(_Object):
    involved_object: dict[str, str] | None = None
    source: dict[str, str] | None = None
    series: dict[str, Any] | None = None
    first_timestamp: _Time | None = None
    last_timestamp: _Time | None = None
    event_time: _Time | None = None
    count: int | None = None
    type: str | None = None
    reason: str | None = None
    message: str | None = None


class _LeaseSpec(_Shape):
    holder_identity: str | None = None


class _Lease(_Object):
    spec: _LeaseSpec | None = None


class _Secret(_Object):
    data: dict[str, str] | None = None
    string_data: dict[str, str] | None = None


class _ServiceSpec(_Shape):
    type: str | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    ports: list[dict[str, Any]] | None = None
    selector: dict[str, str] | None = None


class _Service(_Object):
    spec: _ServiceSpec | None = None


class _RequestSpec(_Shape):
    request: str
    signer_name: str = ""
    usages: list[str] | None = None
    expiration_seconds: int | None = None
    username: str | None = None
    groups: list[str] | None = None


class _Verdict(_Condition):
    message: str | None = None


class _RequestStatus(_Shape):
    conditions: list[_Verdict] | None = None
    certificate: str | None = None


class _SigningRequest(_Object, kw_only=True):
    spec: _RequestSpec
    status: _RequestStatus | None = None


class _Rule(_Shape):
    verbs: list[str]
    api_groups: list[str] | None = None
    resources: list[str] | None = None
    resource_names: list[str] | None = None
    non_resource_urls: list[str] | None = msgspec.field(default=None, name="nonResourceURLs")


class _Role(_Object):
    rules: list[_Rule] | None = None


class _Reference(_Shape):
    kind: str
    name: str
    namespace: str | None = None


class _Binding(_Object, kw_only=True):
    role_ref: _Reference
    subjects: list[_Reference] | None = None


class _Other(_Object):
    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


_SHAPES: dict[Resource, type[_Object]] = {
    PODS: _Pod,
    NODES: _Node,
    EVENTS: _Event,
    LEASES: _Lease,
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
