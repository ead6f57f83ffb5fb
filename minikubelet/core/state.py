"""State: what the agent knows of each pod, folded from the events.

Belongs here: the shape of knowledge and the smallest changes of it. May not be here: what an event means
(`apply`), what follows from it (`plan`), or how it looks to Kubernetes (`project`). Times are in µs.
"""

from __future__ import annotations

from enum import Enum

import msgspec
from msgspec.structs import replace

from minikubelet.core.commands import Reason
from minikubelet.core.nodefacts import Amounts, Demand, Pairs, Refusal, Verdict
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.pod import Container, EphemeralContainer, Pod, ProbeKind
from minikubelet.model.status import PodStatus


class Moment(msgspec.Struct, frozen=True):
    """The event being taken in: its seq, and its time."""

    seq: int
    at: int


class Life(Enum):
    """Of the current instance of a container."""

    NEVER = "never"
    RUNNING = "running"
    EXITED = "exited"


class Termination(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an earlier instance of a container ended."""

    id: str
    exit_code: int
    reason: str
    message: str = ""
    started_at: int = 0
    finished_at: int = 0


class ContainerRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One container of a pod: its current instance, how the one before ended, what holds it back.

    `attempt` counts restarts and is -1 before the first instance. `delay` is the back-off in force after
    the next exit; `tries` counts starts that failed in a row and `retry_at` ends the wait after them.
    `touched` is the seq of the event that told of the current state, `dead` are older instances to remove.
    `as_of` is the seq of the last answer about it: an observation begun before says nothing new. `again`: it
    is stopped only to be started anew, whatever the restart policy says. `unsure`: a start of it failed and
    may have had its effect: nobody has looked since. The last three, probes have told.
    """

    name: str
    life: Life = Life.NEVER
    id: str = ""
    attempt: int = -1
    sandbox_id: str = ""
    hash: str = ""
    image_id: str = ""
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    previous: Termination | None = None
    dead: tuple[str, ...] = ()
    delay: int = 0
    tries: int = 0
    retry_at: int = 0
    failed_at: int = 0
    waiting_reason: str = ""
    waiting_message: str = ""
    touched: int = 0
    as_of: int = 0
    again: bool = False
    unsure: bool = False
    ready: bool = False
    started: bool = False
    unhealthy: ProbeKind | None = None

    @property
    def running(self) -> bool:
        """Whether the current instance runs, as far as is known."""
        return self.life is Life.RUNNING

    def end(self) -> Termination:
        """How the current instance ended."""
        return Termination(
            self.id, self.exit_code, self.reason, self.message, self.started_at, self.finished_at
        )

    def ended(self) -> Termination | None:
        """The last end that is known: of the current instance, if it has ended, or of the one before."""
        return self.end() if self.life is Life.EXITED else self.previous


class Sandbox(msgspec.Struct, frozen=True, omit_defaults=True):
    """The pod's current sandbox."""

    id: str
    attempt: int
    ready: bool
    ips: tuple[str, ...] = ()
    touched: int = 0


class Pending(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command of a lane that is under way."""

    command: str
    seq: int
    until: int = 0
    """when the grace period of a StopContainer ends"""
    attempt: int = 0
    target: str = ""
    """the container of a StopContainer, the sandbox of a StartContainer"""


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lane whose last command failed: how often, until when it waits, and what was said."""

    tries: int
    until: int
    message: str
    seq: int


class Ending(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why and since when a generation ends, and within which grace (seconds).

    `remove`: nothing of it stays; otherwise its dead containers are kept, unless the node evicts it.
    """

    reason: Reason
    seq: int
    at: int
    grace: int
    remove: bool


class Stage(Enum):
    """How far a generation has come."""

    ACTIVE = "active"
    ENDING = "ending"
    FINISHED = "finished"
    """nothing runs any more, dead containers are kept unless it was evicted"""
    CLEANED = "cleaned"
    """nothing is left on the node; an API pod waits for its object to go"""


class Generation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One pod: a definition with a uid, and what has become of it.

    `pod` is None for one known from the runtime alone. In this life of the agent: `offered`, a source holds
    it; `told` and `released`, `published` was handed to the outbox and the API object's deletion asked for;
    `unheld`, all files were sound without it. `reborn` is the seq of a PodSet that asks for it again while it
    ends. `over`: the API server said that it had ended before this node knew. `admitted` is what it takes of
    the node, `refused` why the node did not admit it. `gates` are the conditions of its readiness gates;
    `lacking` is what a critical pod waits for, `evicted` what is said of one that the node ends.
    """

    uid: PodUid
    slot: SlotKey
    source: Source | None = None
    pod: Pod | None = None
    hashes: dict[str, str] = {}
    origin: str = ""
    spec_seq: int = 0
    born_at: int = 0
    offered: bool = False
    stage: Stage = Stage.ACTIVE
    ending: Ending | None = None
    reborn: int | None = None
    deletion_at: int | None = None
    sandbox: Sandbox | None = None
    sandbox_attempt: int = -1
    strays: tuple[str, ...] = ()
    as_of: int = 0
    """the seq of the last answer about its sandboxes: an observation begun before says nothing of them"""
    since: int = 0
    """the seq at which its earlier life was cleaned up: an observation begun before says nothing at all"""
    containers: dict[str, ContainerRecord] = {}
    pending: dict[str, Pending] = {}
    retries: dict[str, Retry] = {}
    qos: str = ""
    published: PodStatus | None = None
    told: bool = False
    released: bool = False
    over: bool = False
    admitted: Demand | None = None
    refused: Refusal | None = None
    gates: Pairs = ()
    lacking: Amounts = ()
    unheld: bool = False
    evicted: Verdict | None = None

    @property
    def alive(self) -> bool:
        """Whether anything of it runs or is being started: what a successor has to wait for."""
        return bool(busy_lanes(self))


_BUSY = ("StartSandbox", "StopSandbox", "StartContainer", "StopContainer")


def busy_lanes(generation: Generation) -> tuple[str, ...]:
    """The containers that run, may run, or are being started or stopped, and the sandbox's lane likewise."""
    running = (r.name for r in generation.containers.values() if r.running or r.unsure)
    under_way = (lane for lane, pending in generation.pending.items() if pending.command in _BUSY)
    return tuple(dict.fromkeys((*running, *under_way)))


class Mirror(msgspec.Struct, frozen=True, omit_defaults=True):
    """The mirror pod that the API server holds."""

    uid: PodUid
    hash: str
    deleting: bool = False
    seq: int = 0


class Slot(msgspec.Struct, frozen=True, omit_defaults=True):
    """All generations of one namespace/name, oldest first, and the mirror pod.

    `mirror_asked` is what was last asked of the API server, `mirror_free_at` the moment before which a
    deleted mirror is not created again, `wake_at` the timer that is armed. `looked` is the seq at which the
    newest observation began, `planned_at` the time of the last plan. `counted` is what the node counts as
    taken by its pods.
    """

    key: SlotKey
    generations: tuple[Generation, ...] = ()
    mirror: Mirror | None = None
    mirror_asked: str = ""
    mirror_free_at: int = 0
    mirror_seq: int = 0
    wake_at: int = 0
    looked: int = 0
    planned_at: int = 0
    counted: tuple[Demand, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is known of it any more."""
        return not self.generations and self.mirror is None

    def find(self, uid: PodUid) -> Generation | None:
        """The generation of that uid."""
        for generation in self.generations:
            if generation.uid == uid:
                return generation
        return None

    def put(self, generation: Generation) -> Slot:
        """With this generation in the place of the one of its uid, or added as the newest."""
        known = self.generations
        for index, one in enumerate(known):
            if one.uid == generation.uid:
                return replace(self, generations=(*known[:index], generation, *known[index + 1 :]))
        return replace(self, generations=(*known, generation))

    def drop(self, uid: PodUid) -> Slot:
        """Without the generation of that uid."""
        return replace(self, generations=tuple(g for g in self.generations if g.uid != uid))


def with_record(generation: Generation, record: ContainerRecord) -> Generation:
    """With this record of a container."""
    return replace(generation, containers={**generation.containers, record.name: record})


def record_of(generation: Generation, name: str) -> ContainerRecord:
    """The record of a container, an empty one if nothing is known."""
    return generation.containers.get(name) or ContainerRecord(name)


def is_sidecar(container: Container) -> bool:
    """Whether an init container is a sidecar: kept running beside the main containers."""
    return container.restart_policy == "Always"


def init_containers(generation: Generation) -> tuple[Container, ...]:
    """The init containers of its definition, sidecars among them, in order."""
    return generation.pod.spec.init_containers if generation.pod else ()


def main_containers(generation: Generation) -> tuple[Container, ...]:
    """The main containers of its definition, in order."""
    return generation.pod.spec.containers if generation.pod else ()


def ephemeral_containers(generation: Generation) -> tuple[EphemeralContainer, ...]:
    """The ephemeral containers of its definition, in order."""
    return generation.pod.spec.ephemeral_containers if generation.pod else ()
