"""The status of a pod as the API writes it, and how times are spelt there.

Belongs here: PodStatus and its parts. May not be here: how a status follows from what is seen
(`core.project`), or anything that is wanted. Times are RFC 3339 text in UTC.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from enum import StrEnum

import msgspec

from minikubelet.model.podbase import ApiStruct, Raw

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_EXTRA_DIGITS = re.compile(r"(\.\d{6})\d+")


def rfc3339(microseconds: int) -> str:
    """Spell microseconds since the epoch as metav1.Time does: whole seconds, `2024-05-01T10:00:00Z`."""
    return _spell_second(microseconds // 1_000_000)


@functools.lru_cache(maxsize=4096)
def _spell_second(seconds: int) -> str:
    """Statuses name few moments many times."""
    return (_EPOCH + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(microseconds: int) -> str:
    """Spell microseconds since the epoch as metav1.MicroTime does (leases): `2024-05-01T10:00:00.000001Z`."""
    return (_EPOCH + microseconds * _MICROSECOND).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_rfc3339(text: str) -> int:
    """Read RFC 3339 text as microseconds since the epoch; raises ValueError on anything else."""
    if len(text) < len("2024-05-01T10:00:00Z"):
        raise ValueError(f"{text!r} is not a time like 2024-05-01T10:00:00Z")
    moment = dt.datetime.fromisoformat(_EXTRA_DIGITS.sub(r"\1", text))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return (moment - _EPOCH) // _MICROSECOND


class PodPhase(StrEnum):
    """Where a pod is in its life."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class PodConditionType(StrEnum):
    """Conditions that a kubelet sets."""

    POD_SCHEDULED = "PodScheduled"
    POD_READY_TO_START_CONTAINERS = "PodReadyToStartContainers"
    INITIALIZED = "Initialized"
    CONTAINERS_READY = "ContainersReady"
    READY = "Ready"
    DISRUPTION_TARGET = "DisruptionTarget"


class ContainerStateWaiting(ApiStruct, frozen=True, kw_only=True):
    """Not running yet, or not again, and why: ContainerCreating, CrashLoopBackOff, ErrImagePull …"""

    reason: str = ""
    message: str = ""


class ContainerStateRunning(ApiStruct, frozen=True, kw_only=True):
    """Running since."""

    started_at: str = ""


class ContainerStateTerminated(ApiStruct, frozen=True, kw_only=True):
    """Ended, how and when; `exit_code` is always written, 0 too."""

    exit_code: int
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: str = ""
    finished_at: str = ""
    container_id: str = ""


class ContainerState(ApiStruct, frozen=True, kw_only=True):
    """At most one of the three; none at all is waiting."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(ApiStruct, frozen=True, kw_only=True):
    """One container as the API shows it; `container_id` is `<runtime>://<id>`.

    Fields that the API requires have no default here, so that they are written when zero or empty.
    """

    name: str
    ready: bool
    restart_count: int
    image: str
    image_id: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    container_id: str = ""
    started: bool | None = None
    allocated_resources: dict[str, str] = msgspec.field(default_factory=dict)
    allocated_resources_status: tuple[Raw, ...] = ()
    resources: Raw | None = None
    volume_mounts: tuple[Raw, ...] = ()
    user: Raw | None = None
    stop_signal: str = ""


class PodCondition(ApiStruct, frozen=True, kw_only=True):
    """Whether something holds of a pod, since when and why; `type` may be a readiness gate's."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_probe_time: str = ""
    last_transition_time: str = ""
    observed_generation: int = 0


class PodIP(ApiStruct, frozen=True, kw_only=True):
    """An address of the pod."""

    ip: str


class HostIP(ApiStruct, frozen=True, kw_only=True):
    """An address of the node."""

    ip: str


class PodStatus(ApiStruct, frozen=True, kw_only=True):
    """What is seen of a pod."""

    observed_generation: int = 0
    phase: str = ""
    conditions: tuple[PodCondition, ...] = ()
    message: str = ""
    reason: str = ""
    nominated_node_name: str = ""
    host_ip: str = ""
    host_ips: tuple[HostIP, ...] = ()
    pod_ip: str = ""
    pod_ips: tuple[PodIP, ...] = ()
    start_time: str = ""
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()
    qos_class: str = ""
    resize: str = ""
    resource_claim_statuses: tuple[Raw, ...] = ()
    extended_resource_claim_status: Raw | None = None
    allocated_resources: dict[str, str] = msgspec.field(default_factory=dict)
    resources: Raw | None = None
    node_allocatable_resource_claim_statuses: tuple[Raw, ...] = ()
