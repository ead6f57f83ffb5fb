"""What a runtime shows of pods: sandboxes and containers with their states.

Belongs here: the runtime's words, driver-neutral. May not be here: what was wanted, or why.
Times are microseconds since the epoch.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from minikubelet.model.ids import PodUid


class ContainerPhase(Enum):
    """CRI's container states."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


class ObservedContainer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One container instance as the runtime shows it.

    `attempt` is the restart count in its labels, `hash` the container hash it was made from;
    `image_id` is the id of the image it runs; `reason` is `OOMKilled`, `Error`, `Completed` … or empty.
    """

    id: str
    name: str
    attempt: int
    phase: ContainerPhase
    sandbox_id: str = ""
    hash: str = ""
    image: str = ""
    image_id: str = ""
    created_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int | None = None
    reason: str = ""
    message: str = ""


class ObservedSandbox(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pod sandbox as the runtime shows it; `ready` means its pause process (or likeness) lives."""

    id: str
    attempt: int
    ready: bool
    ips: tuple[str, ...] = ()
    created_at: int = 0


class ObservedPod(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that a runtime shows of one pod uid, sandboxes and containers newest attempt first."""

    uid: PodUid
    namespace: str
    name: str
    sandboxes: tuple[ObservedSandbox, ...] = ()
    containers: tuple[ObservedContainer, ...] = ()
