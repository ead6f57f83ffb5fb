"""The shapes of pods, and what the shapes of all objects are made of; which applies when is in `stubshapes`.

Only the fields this server reads are typed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Shape(msgspec.Struct, rename="camel"):
    """Base of every shape; fields that it does not name may have any type."""


class _Owner(Shape):
    api_version: str | None = None
    kind: str | None = None
    name: str | None = None
    uid: str | None = None
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class MetaShape(Shape):
    """Metadata of any object."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None
    owner_references: list[_Owner] | None = None
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: int | None = None


class ObjectShape(Shape):
    """Any object."""

    metadata: MetaShape | None = None


class _Resources(Shape):
    limits: dict[str, str | int | float] | None = None
    requests: dict[str, str | int | float] | None = None


class _Named(Shape):
    name: str | None = None


class _Mount(_Named):
    mount_path: str | None = None


class _Container(Shape):
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


class PodSpecShape(Shape):
    """What a pod is to be, also as a template."""

    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    ephemeral_containers: list[_Container] | None = None
    volumes: list[_Named] | None = None
    tolerations: list[dict[str, Any]] | None = None
    readiness_gates: list[dict[str, Any]] | None = None
    node_name: str | None = None
    node_selector: dict[str, str] | None = None
    restart_policy: str | None = None
    host_network: bool | None = None
    termination_grace_period_seconds: int | None = None
    active_deadline_seconds: int | None = None


class _Terminated(Shape):
    exit_code: int = 0
    signal: int = 0
    reason: str | None = None
    finished_at: Time | None = None


class _Waiting(Shape):
    reason: str | None = None


class _State(Shape):
    running: dict[str, Any] | None = None
    waiting: _Waiting | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(Shape):
    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: _State | None = None
    last_state: _State | None = None


class ConditionShape(Shape):
    """A condition of any status."""

    type: str = ""
    status: str = ""
    reason: str | None = None


class _PodStatus(Shape):
    phase: str | None = None
    reason: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    nominated_node_name: str | None = None
    conditions: list[ConditionShape] | None = None
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None


class PodShape(ObjectShape):
    """A pod."""

    spec: PodSpecShape | None = None
    status: _PodStatus | None = None
