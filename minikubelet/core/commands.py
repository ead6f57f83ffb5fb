"""Commands: everything the agent decides to do, in the imperative, as the journal keeps it.

Belongs here: decisions with the reason for each. May not be here: how one is carried out. A command's
`key` derives from pod uid, lane and attempt, so that issuing it twice does no harm.
Times are microseconds since the epoch, grace periods seconds.
"""

from __future__ import annotations

from enum import Enum
from typing import assert_never

import msgspec

from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.status import PodStatus


class Reason(Enum):
    """Why a command was decided; `why` turns it into a sentence."""

    POD_ADDED = "PodAdded"
    POD_REPLACED = "PodReplaced"
    POD_REMOVED = "PodRemoved"
    POD_DELETED = "PodDeleted"
    POD_FINISHED = "PodFinished"
    POD_UNKNOWN = "PodUnknown"
    POD_REFUSED = "PodRefused"
    POD_PREEMPTED = "PodPreempted"
    POD_EVICTED = "PodEvicted"
    NODE_SHUTDOWN = "NodeShutdown"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    NEXT_IN_ORDER = "NextInOrder"
    CONTAINER_EXITED = "ContainerExited"
    CONTAINER_CHANGED = "ContainerChanged"
    CONTAINER_SUPERFLUOUS = "ContainerSuperfluous"
    UNHEALTHY = "Unhealthy"
    SANDBOX_GONE = "SandboxGone"
    SANDBOX_SUPERFLUOUS = "SandboxSuperfluous"
    RETRY = "Retry"
    GRACE_SHORTENED = "GraceShortened"
    STATUS_CHANGED = "StatusChanged"
    MIRROR_MISSING = "MirrorMissing"
    MIRROR_OUTDATED = "MirrorOutdated"
    MIRROR_ORPHANED = "MirrorOrphaned"
    TIMER = "Timer"


class Command(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", kw_only=True):
    """Base of all commands."""

    v: int = 1
    slot: SlotKey
    reason: Reason


class StartSandbox(Command, tag=True, frozen=True, kw_only=True):
    """Create and start the pod's sandbox. Lane `sandbox`."""

    uid: PodUid
    attempt: int


class StopSandbox(Command, tag=True, frozen=True, kw_only=True):
    """Stop a sandbox. Lane `sandbox`."""

    uid: PodUid
    sandbox_id: str


class RemoveSandbox(Command, tag=True, frozen=True, kw_only=True):
    """Remove a sandbox, stopping it first where it still runs. Lane `sandbox:<id>`."""

    uid: PodUid
    sandbox_id: str


class StartContainer(Command, tag=True, frozen=True, kw_only=True):
    """See to the image, create the container and start it. Lane: the container's name.

    `target` is the id of the container whose processes an ephemeral one is to see.
    """

    uid: PodUid
    container: str
    attempt: int
    sandbox_id: str
    target: str = ""


class StopContainer(Command, tag=True, frozen=True, kw_only=True):
    """Stop signal, grace period, SIGKILL. Lane: the container's name."""

    uid: PodUid
    container: str
    container_id: str
    grace: int


class RemoveContainer(Command, tag=True, frozen=True, kw_only=True):
    """Remove a dead container. Lane `remove:<id>`."""

    uid: PodUid
    container: str
    container_id: str


class CleanUpPod(Command, tag=True, frozen=True, kw_only=True):
    """Remove the pod's directories, volumes and logs, and all that the runtime still holds of it.

    `keep_definition`: its definition stays: the same pod is wanted again, or its object still there.
    """

    uid: PodUid
    keep_definition: bool = False


class PublishStatus(Command, tag=True, frozen=True, kw_only=True):
    """Tell the status upstream, whenever upstream can be told.

    `mirror_hash`: the config.hash of a static pod, whose mirror shows it; empty for an API pod's.
    """

    uid: PodUid
    status: PodStatus
    mirror_hash: str = ""


class CreateMirror(Command, tag=True, frozen=True, kw_only=True):
    """Create the mirror pod of a static pod; `uid` is the static pod's, `hash` its config.hash."""

    uid: PodUid
    hash: str


class DeleteMirror(Command, tag=True, frozen=True, kw_only=True):
    """Delete a mirror pod with grace 0; `mirror_uid` is the precondition."""

    mirror_uid: PodUid


class DeleteApiPod(Command, tag=True, frozen=True, kw_only=True):
    """Release a terminated API pod: delete it with grace 0; its uid is the precondition."""

    uid: PodUid


class WakeAt(Command, tag=True, frozen=True, kw_only=True):
    """Send TimerFired at this moment; a later WakeAt of the slot replaces it."""

    at: int


RuntimeCommand = (
    StartSandbox | StopSandbox | RemoveSandbox | StartContainer | StopContainer | RemoveContainer | CleanUpPod
)
UpstreamCommand = PublishStatus | CreateMirror | DeleteMirror | DeleteApiPod
AnyCommand = RuntimeCommand | UpstreamCommand | WakeAt


class Decision(msgspec.Struct, frozen=True):
    """A command with the seqs of the events that caused it, oldest first."""

    command: AnyCommand
    causes: tuple[int, ...]


SANDBOX_LANE = "sandbox"
NEXT_SANDBOX = "sandbox:next"
"""no lane of a command: the wait before the sandbox that follows, in case the one just started dies"""
CLEANUP_LANE = "cleanup"


def lane_of(command: RuntimeCommand) -> str:
    """The lane of a runtime command: at most one command of a lane is under way in a pod."""
    match command:
        case StartSandbox() | StopSandbox():
            return SANDBOX_LANE
        case RemoveSandbox():
            return f"sandbox:{command.sandbox_id}"
        case StartContainer() | StopContainer():
            return command.container
        case RemoveContainer():
            return f"remove:{command.container_id}"
        case CleanUpPod():
            return CLEANUP_LANE
        case _ as never:
            assert_never(never)
