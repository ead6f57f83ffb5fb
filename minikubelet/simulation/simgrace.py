"""The judge of grace periods: no container has less than its own, and no pod's end takes longer than its.

Belongs here: when each end was decided, and the seconds that are given. May not be here: whether there was a
cause for it (`simsafety`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final

from minikubelet.core.commands import Decision, Reason, StopContainer
from minikubelet.core.events import AnyEvent, ContainerStarted, PodCleanedUp
from minikubelet.core.state import Generation
from minikubelet.model.ids import PodUid
from minikubelet.simulation.simengine import Instance, WatchedEngine
from minikubelet.simulation.simloop import SECOND
from minikubelet.simulation.simprobejudge import ProbeJudge
from minikubelet.simulation.simwanted import NEVER, Book, Fail

SLACK: Final = SECOND + SECOND // 5
"""seconds are whole, and a call takes its time"""
UNKNOWN: Final = 30
LEAST: Final = 2
"""seconds that a container has to end after its preStop hook, or when it came up late"""


class Graces:
    """`jumped_at`: when the clock was set last; an end that was under way cannot be measured."""

    def __init__(self, engine: WatchedEngine, book: Book, probes: ProbeJudge, fail: Fail) -> None:
        self.jumped_at = NEVER
        self._engine = engine
        self._book = book
        self._probes = probes
        self._fail = fail
        self._ending: dict[PodUid, tuple[int, int]] = {}
        self._blind: dict[PodUid, bool] = {}
        self._stopping: dict[str, int] = {}
        self._known: dict[str, tuple[int, int]] = {}
        self._up: dict[str, int] = {}

    def begun(self, durable: int) -> None:
        """A life begins: what was decided and is not durable was not decided."""
        self._ending = {uid: end for uid, end in self._ending.items() if end[1] <= durable}
        self._known = {key: seen for key, seen in self._known.items() if seen[1] <= durable}
        self._up = {key: told for key, told in self._up.items() if told <= durable}

    def took(
        self, seq: int, event: AnyEvent, decisions: list[Decision], generations: Iterable[Generation]
    ) -> None:
        """Note when each end began."""
        for decision in decisions:
            if isinstance(decision.command, StopContainer):
                self._stop_decided(decision.command)
        if isinstance(event, ContainerStarted):
            self._up.setdefault(event.container_id, seq)
        for gen in generations:
            for record in gen.containers.values():
                if record.running:
                    self._known.setdefault(record.id, (self._now(), seq))
            if gen.ending is None:
                self._ending.pop(gen.uid, None)
            elif gen.uid not in self._ending:
                self._ending[gen.uid] = (self._now(), seq)
                self._blind[gen.uid] = gen.pod is None
        if isinstance(event, PodCleanedUp):
            self._ending.pop(event.uid, None)

    def _stop_decided(self, command: StopContainer) -> None:
        """A container that ends by itself meanwhile counts as ended for its probes all the same."""
        self._stopping.setdefault(command.container_id, self._now())
        instance = self._engine.latest(command.container_id)
        if instance is not None and command.reason is Reason.UNHEALTHY:
            instance.unhealthy |= self._probes.unhealthy(instance) is not None

    def decided(self, instance: Instance) -> int:
        """When the first stop of a container was decided, now if none was."""
        return self._stopping.get(instance.id, self._now())

    def end_of(self, uid: PodUid, otherwise: int) -> int:
        """When a pod's end began, as far as the agent that lives has to know."""
        return self._ending.get(uid, (otherwise, 0))[0]

    def ordered(self, instance: Instance, grace: float, known: Container[PodUid]) -> None:
        """A pod that is to end has ended when its grace is over, hooks and all."""
        wanted = self._book.pods.get(instance.uid)
        began = self.end_of(instance.uid, NEVER)
        if wanted is None or began == NEVER or self.jumped_at >= began:
            return
        # Of a pod that it knows from the engine alone, the agent does not know the grace either, and an end
        # that began so goes on when a source tells of the pod.
        sees = instance.uid in known and not self._blind.get(instance.uid)
        allowed = wanted.most_grace if sees else max(wanted.most_grace, UNKNOWN)
        # One that came up after its end was decided has all of it, from when that is seen.
        late = instance.id not in self._up or self._known.get(instance.id, (self._now(), 0))[0] >= began
        until = (self._now() if late else began) + allowed * SECOND
        if self._now() + int(grace * SECOND) > max(until, self._now() + LEAST * SECOND) + SLACK:
            self._fail(
                "grace", f"{instance.id} is given {grace} s; its end began"
                f" {(self._now() - began) / SECOND:.1f} s ago, and it has {allowed} s"
            )  # fmt: skip

    def stop(self, instance: Instance, grace: float, cause: str) -> None:
        """A container has its grace from when its end was decided."""
        wanted = self._book.pods.get(instance.uid)
        if wanted is None:
            return
        now = self._now()
        starts = [self.decided(instance), self.end_of(instance.uid, now)]
        began = min(*starts, instance.hook_failed_at or now)
        if self.jumped_at >= began:
            return
        allowed = 1 if cause == "deadline" else wanted.grace
        own = self._probes.unhealthy(instance)
        if own is not None:
            instance.unhealthy = cause == "unhealthy"
            allowed = min(allowed, own)  # whatever else is wrong with it
        if now + int(grace * SECOND) < began + allowed * SECOND - SLACK:
            self._fail(
                "grace", f"{instance.id} is given {grace} s; its end began"
                f" {(now - began) / SECOND:.1f} s ago, and it has {allowed} s"
            )  # fmt: skip

    def _now(self) -> int:
        return self._engine.real.now()
