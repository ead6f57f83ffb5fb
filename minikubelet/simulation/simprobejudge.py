"""The judge of probes: what answers add up to, counted once more from outside.

Belongs here: the thresholds, the gate of start-up, what may be told of readiness. May not be here: whether a
container may be ended (`simsafety`), which asks here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from minikubelet.core.events import AnyEvent, ContainerProbed
from minikubelet.core.probes import probe_of
from minikubelet.model.pod import Container, Probe, ProbeKind
from minikubelet.simulation.simengine import Instance, WatchedEngine
from minikubelet.simulation.simloop import SECOND
from minikubelet.simulation.simwanted import NEVER, Book

LATE: Final = 15 * SECOND
"""how long a result may be on its way to the API server, while that answers"""
EARLY: Final = SECOND // 10


class Answers(msgspec.Struct):
    """The answers that one life of the agent got to one probe of one instance, as far as they add up.

    `since` is when the run of the same answers came to its threshold. `passed` and `failed` say whether one
    ever did, in any life.
    """

    life: int = 0
    good: bool = True
    length: int = 0
    since: int = NEVER
    passed: bool = False
    failed: bool = False


class ProbeJudge:
    """Told of every question and answer; `fail` is told which promise was broken, and how."""

    def __init__(self, engine: WatchedEngine, book: Book, fail: Callable[[str, str], None]) -> None:
        self.life = 0
        self.jumped = False
        self._engine = engine
        self._book = book
        self._fail = fail
        self._answers: dict[tuple[str, ProbeKind], Answers] = {}
        self._written: dict[str, int] = {}

    # ── inside a life ──

    def begun(self, life: int, durable: int) -> None:
        """A life begins with what is durable: what was not is not known to it."""
        self.life = life
        self._written = {key: 0 for key, seq in self._written.items() if seq <= durable}

    def took(self, seq: int, event: AnyEvent) -> None:
        """The loop knows of a result."""
        if isinstance(event, ContainerProbed) and event.probe is ProbeKind.STARTUP and event.passed:
            self._written.setdefault(event.container_id, seq)

    # ── at the container ──

    def asked(self, container_id: str, kind: ProbeKind) -> None:
        """Start-up goes first, once; and nothing is asked before its initial delay is over."""
        instance, container = self._found(container_id)
        probe = probe_of(container, kind) if container is not None else None
        if instance is None or container is None or probe is None:
            return
        if kind is not ProbeKind.STARTUP and not self._started(container, container_id):
            self._fail("startup-gate", f"{container_id} is asked for {kind.value} before it has started")
        if kind is ProbeKind.STARTUP and container_id in self._written:
            self._fail("startup-again", f"{container_id} is asked once more whether it has started")
        ran = self._engine.real.now() - instance.started_at
        if ran < probe.initial_delay_seconds * SECOND - EARLY and not self.jumped:
            self._fail(
                "probe-early", f"{container_id} is asked for {kind.value} after {ran / SECOND:.1f} s,"
                f" not {probe.initial_delay_seconds} s"
            )  # fmt: skip

    def answered(self, container_id: str, kind: ProbeKind, good: bool) -> None:
        """An answer has reached the agent."""
        _, container = self._found(container_id)
        probe = probe_of(container, kind) if container is not None else None
        if probe is None:
            return
        answers = self._answers.setdefault((container_id, kind), Answers())
        if answers.life != self.life or answers.good is not good:
            answers.life, answers.good, answers.length, answers.since = self.life, good, 0, NEVER
        answers.length += 1
        if answers.length == _threshold(probe, good=good):
            answers.since = self._engine.real.now()
            answers.passed |= good
            answers.failed |= not good

    # ── for the other judges ──

    def unhealthy(self, instance: Instance) -> int | None:
        """The least grace of an instance that may be ended for its probes; None if it may not be."""
        _, container = self._found(instance.id)
        wanted = self._book.pods.get(instance.uid)
        if container is None or wanted is None:
            return None
        graces = [
            wanted.grace if probe.termination_grace_period_seconds is None
            else probe.termination_grace_period_seconds
            for kind in (ProbeKind.STARTUP, ProbeKind.LIVENESS)
            if (probe := probe_of(container, kind)) is not None and self._failed(instance.id, kind)
        ]  # fmt: skip
        return min(graces, default=None)

    def started(self, instance: Instance) -> bool:
        """Whether an instance has started, as far as a startup probe has to say so."""
        _, container = self._found(instance.id)
        return container is None or self._started(container, instance.id)

    def results(self, instance: Instance) -> dict[ProbeKind, bool | None]:
        """What startup or readiness of a running instance has come to in this life; None: nothing yet."""
        _, container = self._found(instance.id)
        if container is None:
            return {}
        kind = ProbeKind.READINESS if self._started(container, instance.id) else ProbeKind.STARTUP
        if probe_of(container, kind) is None:
            return {}
        answers = self._answers.get((instance.id, kind), Answers())
        known = answers.life == self.life and answers.since != NEVER
        return {kind: answers.good if known else None}

    def told(self, slot: str, instance: Instance, shown: dict[str, Any]) -> None:
        """What is told of a running instance was so once, and not too long ago."""
        _, container = self._found(instance.id)
        if container is None:
            return
        if shown.get("started") and not self._started(container, instance.id):
            self._fail("untrue-status", f"{slot}: {instance.id} is told to have started")
        if not shown.get("ready"):
            return
        answers = self._answers.get((instance.id, ProbeKind.READINESS), Answers())
        if not self._started(container, instance.id):
            self._fail("untrue-status", f"{slot}: {instance.id} is told to be ready before it has started")
        elif container.readiness_probe is not None and not answers.passed:
            self._fail("untrue-status", f"{slot}: {instance.id} is told to be ready and never was")
        ill = not answers.good and answers.since != NEVER and answers.life == self.life
        if ill and self._engine.real.now() - answers.since > LATE:
            self._fail("stale-status", f"{slot}: {instance.id} is told to be ready long after it was")

    def _failed(self, container_id: str, kind: ProbeKind) -> bool:
        return self._answers.get((container_id, kind), Answers()).failed

    def _started(self, container: Container, container_id: str) -> bool:
        return container.startup_probe is None or (
            self._answers.get((container_id, ProbeKind.STARTUP), Answers()).passed
        )

    def _found(self, container_id: str) -> tuple[Instance | None, Container | None]:
        instance = self._engine.latest(container_id)
        wanted = self._book.pods.get(instance.uid) if instance is not None else None
        if instance is None or wanted is None:
            return instance, None
        every = (*wanted.pod.spec.init_containers, *wanted.pod.spec.containers)
        return instance, next((each for each in every if each.name == instance.name), None)


def _threshold(probe: Probe, *, good: bool) -> int:
    return (probe.success_threshold or 1) if good else (probe.failure_threshold or 3)
