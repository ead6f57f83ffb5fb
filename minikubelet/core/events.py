"""Events: everything the agent learns, in the past tense, as the journal keeps it.

Belongs here: facts as they arrive, redacted, with nothing decided. May not be here: anything a reducer
could work out itself. `kind` names the event in the journal and `v` its form; fields are only ever added
with a default, and a changed meaning gets a new `v` and an upcaster in `wire`. What concerns the whole node
is in `nodeevents`. Times are microseconds since the epoch.
"""

from __future__ import annotations

from minikubelet.core.eventbase import Event
from minikubelet.core.nodeevents import (
    AgentStarted,
    ManifestsJudged,
    NodeEvent,
    NodeMeasured,
    NodeSeen,
    NodeShutdownCancelled,
    NodeShuttingDown,
    RuntimeListed,
    SourceSynced,
)
from minikubelet.core.nodefacts import Amounts, Pairs
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.observed import ObservedPod
from minikubelet.model.pod import Pod, ProbeKind

__all__ = [
    "AgentStarted",
    "AnyEvent",
    "CommandFailed",
    "ContainerProbed",
    "ContainerRemoved",
    "ContainerStartFailed",
    "ContainerStarted",
    "ContainerStopped",
    "Event",
    "ManifestsJudged",
    "MirrorEvent",
    "MirrorGone",
    "MirrorSeen",
    "NodeEvent",
    "NodeMeasured",
    "NodeSeen",
    "NodeShutdownCancelled",
    "NodeShuttingDown",
    "PodCleanedUp",
    "PodObserved",
    "PodResult",
    "PodSet",
    "PodWithdrawn",
    "ResultEvent",
    "RuntimeListed",
    "SandboxRemoved",
    "SandboxStartFailed",
    "SandboxStarted",
    "SandboxStopped",
    "SlotEvent",
    "SourceSynced",
    "SpecEvent",
    "StorageMeasured",
    "TimerFired",
]


# ── of a pod's definition ──


class PodSet(Event, tag=True, frozen=True, kw_only=True):
    """A source holds this pod: new, changed or seen again.

    `pod` is redacted. `hashes` are (container, hash of its full definition) pairs. For an API pod,
    `deletion_at` is its deletionTimestamp and `deletion_grace` its grace in seconds, and `finished` tells
    that its phase is Succeeded or Failed there; `origin` is the manifest it came from
    (`web.yaml#0 sha256:…`) or the object's resourceVersion. `gates` are (type, status) of the conditions
    that its readiness gates name, as others have set them there.
    """

    source: Source
    slot: SlotKey
    uid: PodUid
    pod: Pod
    hashes: tuple[tuple[str, str], ...] = ()
    origin: str = ""
    deletion_at: int | None = None
    deletion_grace: int | None = None
    finished: bool = False
    gates: Pairs = ()


class PodWithdrawn(Event, tag=True, frozen=True, kw_only=True):
    """A source no longer holds this pod: the file is gone or changed, the object deleted."""

    source: Source
    slot: SlotKey
    uid: PodUid
    origin: str = ""


class MirrorSeen(Event, tag=True, frozen=True, kw_only=True):
    """The API server holds a mirror pod in this slot."""

    slot: SlotKey
    uid: PodUid
    hash: str
    deleting: bool = False


class MirrorGone(Event, tag=True, frozen=True, kw_only=True):
    """The API server no longer holds that mirror pod."""

    slot: SlotKey
    uid: PodUid


# ── of the runtime ──


class PodObserved(Event, tag=True, frozen=True, kw_only=True):
    """What the runtime showed of one pod, complete.

    `after` is the seq of the last event taken in before the look began: what the state learnt later than
    that is newer than this observation.
    """

    slot: SlotKey
    pod: ObservedPod
    after: int


class SandboxStarted(Event, tag=True, frozen=True, kw_only=True):
    """StartSandbox succeeded."""

    slot: SlotKey
    uid: PodUid
    attempt: int
    sandbox_id: str
    ips: tuple[str, ...] = ()


class SandboxStartFailed(Event, tag=True, frozen=True, kw_only=True):
    """StartSandbox failed."""

    slot: SlotKey
    uid: PodUid
    attempt: int
    reason: str
    message: str


class ContainerStarted(Event, tag=True, frozen=True, kw_only=True):
    """StartContainer succeeded: this instance runs, or ran."""

    slot: SlotKey
    uid: PodUid
    container: str
    attempt: int
    container_id: str
    image_id: str = ""
    started_at: int = 0
    hash: str = ""


class ContainerStartFailed(Event, tag=True, frozen=True, kw_only=True):
    """StartContainer failed. With a `container_id`, an instance was made that could not run.

    `reason` is ErrImagePull, ErrImageNeverPull, InvalidImageName, CreateContainerConfigError,
    CreateContainerError, RunContainerError or PostStartHookError; `ended` is that of the instance's end.
    """

    slot: SlotKey
    uid: PodUid
    container: str
    attempt: int
    reason: str
    message: str
    container_id: str = ""
    exit_code: int = 128
    hash: str = ""
    image_id: str = ""
    started_at: int = 0
    ended: str = "StartError"


class ContainerStopped(Event, tag=True, frozen=True, kw_only=True):
    """StopContainer succeeded: the instance is dead."""

    slot: SlotKey
    uid: PodUid
    container: str
    container_id: str
    exit_code: int
    started_at: int = 0
    finished_at: int = 0
    reason: str = ""
    message: str = ""


class ContainerProbed(Event, tag=True, frozen=True, kw_only=True):
    """A probe came to another result than before: so many answers in a row were alike as its threshold asks.

    Only results that change something are told: ready or not, started, failed its startup or liveness probe.
    """

    slot: SlotKey
    uid: PodUid
    container: str
    container_id: str
    probe: ProbeKind
    passed: bool
    message: str = ""


class ContainerRemoved(Event, tag=True, frozen=True, kw_only=True):
    """RemoveContainer succeeded."""

    slot: SlotKey
    uid: PodUid
    container: str
    container_id: str


class SandboxStopped(Event, tag=True, frozen=True, kw_only=True):
    """StopSandbox succeeded."""

    slot: SlotKey
    uid: PodUid
    sandbox_id: str


class SandboxRemoved(Event, tag=True, frozen=True, kw_only=True):
    """RemoveSandbox succeeded."""

    slot: SlotKey
    uid: PodUid
    sandbox_id: str


class StorageMeasured(Event, tag=True, frozen=True, kw_only=True):
    """A pod was found to have written more to the node's disk than it may; sizes in bytes.

    `volumes` are its emptyDirs that have a sizeLimit, `containers` their logs and own file systems, `total`
    is all of it.
    """

    slot: SlotKey
    uid: PodUid
    volumes: Amounts = ()
    containers: Amounts = ()
    total: int = 0


class PodCleanedUp(Event, tag=True, frozen=True, kw_only=True):
    """CleanUpPod succeeded: nothing of the pod is left on the node's disk."""

    slot: SlotKey
    uid: PodUid


class CommandFailed(Event, tag=True, frozen=True, kw_only=True):
    """A stop, a removal or a clean-up failed; `lane` says which command of the pod it was."""

    slot: SlotKey
    uid: PodUid
    lane: str
    command: str
    reason: str
    message: str


class TimerFired(Event, tag=True, frozen=True, kw_only=True):
    """The moment that WakeAt asked for has come."""

    slot: SlotKey


SpecEvent = PodSet | PodWithdrawn
MirrorEvent = MirrorSeen | MirrorGone
PodResult = (
    SandboxStarted
    | SandboxStartFailed
    | ContainerStarted
    | ContainerStartFailed
    | ContainerStopped
    | ContainerRemoved
    | SandboxStopped
    | SandboxRemoved
    | CommandFailed
)
ResultEvent = PodResult | PodCleanedUp
SlotEvent = (
    SpecEvent | MirrorEvent | PodObserved | ContainerProbed | StorageMeasured | ResultEvent | TimerFired
)
AnyEvent = NodeEvent | SlotEvent
