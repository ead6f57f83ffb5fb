"""A world around the reducer: events with rising seq and time, and a runtime that answers commands.

Belongs here: driving the core in a few lines, and pods to drive it with. Assertions belong in the tests,
save for what must hold at every step (`check`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from msgspec.structs import replace

from minikubelet.core.behaviours import TODAY
from minikubelet.core.commands import (
    AnyCommand,
    CreateMirror,
    Decision,
    DeleteApiPod,
    DeleteMirror,
    PublishStatus,
    RuntimeCommand,
    StartContainer,
    StopContainer,
    WakeAt,
)
from minikubelet.core.events import (
    AgentStarted,
    AnyEvent,
    ManifestsJudged,
    MirrorGone,
    MirrorSeen,
    PodObserved,
    PodSet,
    PodWithdrawn,
    ResultEvent,
    RuntimeListed,
    SourceSynced,
    TimerFired,
)
from minikubelet.core.nodefacts import Usage
from minikubelet.core.plan import plan
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Generation, Moment
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.observed import ObservedPod
from minikubelet.model.pod import Container, ObjectMeta, Pod, PodSpec
from minikubelet.model.status import ContainerStateTerminated, ContainerStatus, PodStatus
from tests.core.core_runtime import ModelRuntime

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
SLOT = SlotKey("kube-system/web-node")
C = TypeVar("C")


def container(name: str = "web", **fields: Any) -> Container:
    """A container, by default named `web`."""
    return Container(name=name, **{"image": f"{name}:1", **fields})


def sidecar(name: str) -> Container:
    """An init container that is kept running."""
    return container(name, restart_policy="Always")


def static_pod(
    *mains: str | Container,
    uid: str = "a",
    name: str = "web-node",
    init: Iterable[Container] = (),
    **spec: Any,
) -> Pod:
    """A pod; its config.hash is its uid. Mains are names or containers, one called `web` by default."""
    made = tuple(m if isinstance(m, Container) else container(m) for m in mains or ("web",))
    metadata = ObjectMeta(
        name=name, namespace="kube-system", uid=uid, annotations={"kubernetes.io/config.hash": uid}
    )
    return Pod(metadata=metadata, spec=PodSpec(containers=made, init_containers=tuple(init), **spec))


def slot_of(pod: Pod) -> SlotKey:
    """Where a pod lives."""
    return SlotKey(f"{pod.metadata.namespace}/{pod.metadata.name}")


class World:
    """One node: its reducer, its runtime, its clock, the commands upstream was told, and all decisions."""

    def __init__(
        self,
        *sources: Source,
        api: bool = False,
        started: bool = True,
        check: bool = True,
        node: dict[str, Any] | None = None,
    ) -> None:
        self.sources = sources or (Source.FILE,)
        self.api = api
        self.reducer = Reducer()
        self.runtime = ModelRuntime()
        self.seq = 0
        self.now = START
        self.checked = check
        self.queue: list[RuntimeCommand] = []
        self.decisions: list[Decision] = []
        self.timers: dict[SlotKey, int] = {}
        self.offers: dict[SlotKey, PodSet] = {}
        self.boots = 0
        self.node: dict[str, Any] = node or {}
        if started:
            self.start_agent()
            self.sync_sources()

    # ── feeding ──

    def feed(self, event: AnyEvent) -> list[AnyCommand]:
        """Take one event in, remember and dispatch what was decided, and return it."""
        self.seq += 1
        seq = self.seq
        decided = self.reducer.decide(seq, self.now, event)
        self.seq += len(decided)
        self.decisions += decided
        commands = [decision.command for decision in decided]
        for decision in decided:
            assert decision.causes == tuple(sorted(set(decision.causes)))
            assert decision.causes[-1] == seq
        for command in commands:
            self._dispatch(command)
        if self.checked:
            self.check(seq, getattr(event, "slot", None))
        return commands

    def _dispatch(self, command: AnyCommand) -> None:
        match command:
            case WakeAt():
                assert command.at > self.now
                self.timers[command.slot] = command.at
            case PublishStatus() | CreateMirror() | DeleteMirror() | DeleteApiPod():
                pass
            case _:
                self.queue.append(command)

    def check(self, seq: int, only: SlotKey | None) -> None:
        """What must hold after every event: planning again adds nothing, and no lane is doubly busy.

        Verdicts that change nothing lead to no plan: for these, only what was planned just now is looked at.
        """
        slots = [slot for key, slot in self.reducer.slots.items() if only in (None, key)]
        for slot in [each for each in slots if only is not None or each.planned_at == self.now]:
            again, decided = plan(slot, self.reducer.node, Moment(seq, self.now))
            assert decided == []
            assert replace(again, planned_at=slot.planned_at) == slot
        counted = [demand for slot in self.reducer.slots.values() for demand in slot.counted]
        assert _sorted(self.reducer.node.used) == _sorted(Usage().plus(tuple(counted)))
        lanes = [(c.uid, c.container, c.attempt) for c in self.queue if isinstance(c, StartContainer)]
        assert len(lanes) == len(set(lanes))

    # ── the agent's life ──

    def start_agent(self, *, observe: bool = True) -> None:
        """A life begins: what is on the runtime is shown, and then it counts as listed."""
        self.boots += 1
        self.queue.clear()
        self.timers.clear()
        self.feed(
            AgentStarted(
                node="node",
                boot=str(self.boots),
                sources=self.sources,
                has_api=self.api,
                node_ips=("192.0.2.1",),
                **({"runtime": "model", "behaviours": TODAY} | self.node),
            )
        )
        if observe:
            self.observe_all()
            self.feed(RuntimeListed(pods=len(self.runtime.pods)))

    def sync_sources(self) -> None:
        """All sources have told all they hold."""
        for source in self.sources:
            self.sync(source)

    def sync(self, source: Source) -> list[AnyCommand]:
        """One source has told all it holds."""
        held = tuple(offer.uid for offer in self.offers.values() if offer.source is source)
        return self.feed(SourceSynced(source=source, present=held))

    def restart_agent(self) -> None:
        """The agent is killed and starts again: what was under way is never answered."""
        self.start_agent()
        for offer in list(self.offers.values()):
            self.feed(offer)
        self.sync_sources()

    # ── sources ──

    def offer(
        self, pod: Pod, source: Source = Source.FILE, *, hashes: dict[str, str] | None = None, **more: Any
    ) -> list[AnyCommand]:
        """A source holds this pod."""
        all_containers = (*pod.spec.init_containers, *pod.spec.containers)
        found = {c.name: c.image for c in all_containers} if hashes is None else hashes
        self.runtime.hashes[PodUid(pod.metadata.uid)] = found
        event = PodSet(
            source=source,
            slot=slot_of(pod),
            uid=PodUid(pod.metadata.uid),
            pod=pod,
            hashes=tuple(found.items()),
            **more,
        )
        self.offers[event.slot] = event
        return self.feed(event)

    def withdraw(self, pod: Pod, source: Source = Source.FILE) -> list[AnyCommand]:
        """A source no longer holds this pod."""
        uid = PodUid(pod.metadata.uid)
        held = self.offers.get(slot_of(pod))
        if held is not None and held.uid == uid:
            del self.offers[slot_of(pod)]
        return self.feed(PodWithdrawn(source=source, slot=slot_of(pod), uid=uid))

    def delete(self, pod: Pod, grace: int | None = None) -> list[AnyCommand]:
        """Somebody deletes an API pod gracefully."""
        return self.offer(pod, Source.API, deletion_at=self.now, deletion_grace=grace)

    def judge(self, *rejected: str) -> list[AnyCommand]:
        """These manifests are broken now."""
        return self.feed(ManifestsJudged(rejected=tuple((file, "broken") for file in rejected)))

    def mirror(
        self, uid: str, hashed: str, *, deleting: bool = False, slot: SlotKey = SLOT
    ) -> list[AnyCommand]:
        """The API server shows a mirror pod."""
        return self.feed(MirrorSeen(slot=slot, uid=PodUid(uid), hash=hashed, deleting=deleting))

    def mirror_gone(self, uid: str) -> list[AnyCommand]:
        """The API server shows a mirror pod no longer."""
        return self.feed(MirrorGone(slot=SLOT, uid=PodUid(uid)))

    # ── the runtime ──

    def step(self) -> ResultEvent:
        """Let the oldest command that is under way be answered."""
        event = self.runtime.answer(self.queue.pop(0), self.now)
        self.feed(event)
        return event

    def run_until_idle(self, most: int = 1000) -> list[AnyCommand]:
        """Answer commands until none is under way; what was decided meanwhile."""
        before = len(self.decisions)
        for _ in range(most):
            if not self.queue:
                return [decision.command for decision in self.decisions[before:]]
            self.step()
        raise AssertionError(f"it never comes to rest: {self.queue}")

    def advance(self, seconds: float) -> None:
        """Let time pass: timers fire when they are due, and commands are answered."""
        end = self.now + round(seconds * SECOND)
        self.run_until_idle()
        while due := [(at, slot) for slot, at in self.timers.items() if at <= end]:
            at, slot = min(due)
            self.now = max(self.now, at)
            del self.timers[slot]
            self.feed(TimerFired(slot=slot))
            self.run_until_idle()
        self.now = end

    def observe(self, pod: Pod | str = "a", *, after: int | None = None) -> list[AnyCommand]:
        """The runtime is looked at now; `after` feigns a look that began earlier."""
        uid = PodUid(pod if isinstance(pod, str) else pod.metadata.uid)
        return self.feed(self.look(uid, after=after))

    def look(self, uid: str = "a", *, after: int | None = None) -> PodObserved:
        """What a look at the runtime shows now."""
        shown = self.runtime.show(PodUid(uid)) or ObservedPod(PodUid(uid), "kube-system", "web-node")
        slot = SlotKey(f"{shown.namespace}/{shown.name}")
        return PodObserved(slot=slot, pod=shown, after=self.seq if after is None else after)

    def observe_all(self) -> None:
        """Look at everything that is there or should be."""
        known = {g.uid: slot.key for slot in self.reducer.slots.values() for g in slot.generations}
        for uid in dict.fromkeys((*self.runtime.pods, *known)):
            if uid in self.runtime.pods:
                self.observe(uid)
            else:
                namespace, _, name = known[uid].partition("/")
                empty = ObservedPod(uid, namespace, name)
                self.feed(PodObserved(slot=known[uid], pod=empty, after=self.seq))

    def exit(self, name: str = "web", code: int = 1, uid: str = "a", **how: Any) -> list[AnyCommand]:
        """A container ends by itself, and that is seen."""
        self.runtime.end(PodUid(uid), name, code, self.now, **how)
        return self.observe(uid)

    def lose_sandbox(self, uid: str = "a", *, kill: bool = True) -> list[AnyCommand]:
        """The sandbox dies, with what is in it unless told otherwise, and that is seen."""
        self.runtime.break_sandbox(PodUid(uid), self.now, kill=kill)
        return self.observe(uid)

    # ── reading ──

    def generation(self, uid: str = "a") -> Generation:
        """What is known of a pod."""
        found = [g for slot in self.reducer.slots.values() for g in slot.generations if g.uid == uid]
        assert found, f"nothing is known of {uid}"
        return found[0]

    def statuses(self, uid: str = "a") -> list[PodStatus]:
        """All that was told of a pod, oldest first."""
        return [c.status for c in self.all(PublishStatus) if c.uid == uid]

    def status(self, uid: str = "a") -> PodStatus:
        """What was told last."""
        return self.statuses(uid)[-1]

    def shown(self, name: str = "web", uid: str = "a") -> ContainerStatus:
        """What was told last of a container."""
        status = self.status(uid)
        all_statuses = (*status.init_container_statuses, *status.container_statuses)
        return next(s for s in all_statuses if s.name == name)

    def last_end(self, name: str = "web", uid: str = "a") -> ContainerStateTerminated:
        """How a container ended before what it does now."""
        ended = self.shown(name, uid).last_state.terminated
        assert ended is not None
        return ended

    def all(self, kind: type[C]) -> list[C]:
        """All commands of a kind, oldest first."""
        return of(kind, [decision.command for decision in self.decisions])

    def started(self) -> list[str]:
        """The containers started so far, in order."""
        return [command.container for command in self.all(StartContainer)]

    def stopped(self) -> list[tuple[str, int]]:
        """The containers stopped so far, in order, with their grace periods."""
        return [(command.container, command.grace) for command in self.all(StopContainer)]

    def runs(self, uid: str = "a") -> list[str]:
        """The containers that run."""
        return self.runtime.running(PodUid(uid))


def of(kind: type[C], commands: Iterable[AnyCommand]) -> list[C]:
    """The commands of a kind."""
    return [command for command in commands if isinstance(command, kind)]


def _sorted(used: Usage) -> Usage:
    return replace(used, ports=tuple(sorted(used.ports, key=repr)))


def names(commands: Iterable[AnyCommand]) -> list[str]:
    """Commands in short: their kinds, without statuses and timers."""
    return [type(c).__name__ for c in commands if not isinstance(c, PublishStatus | WakeAt)]


def runtime_commands(commands: Iterable[AnyCommand]) -> list[AnyCommand]:
    """The commands that concern the runtime."""
    upstream = PublishStatus | WakeAt | CreateMirror | DeleteMirror | DeleteApiPod
    return [command for command in commands if not isinstance(command, upstream)]


def running_world(pod: Pod | None = None, *sources: Source, api: bool = False) -> World:
    """A world in which a pod has come up."""
    world = World(*sources, api=api)
    world.offer(pod or static_pod())
    world.run_until_idle()
    return world
