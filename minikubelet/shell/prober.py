"""The prober: asks every probe that is due, and tells when the answers come to another result.

Belongs here: one task for each probe of each running instance, its delays and its period. May not be here:
which probes are due and what answers add up to (`core.probes`), or how to ask (`probehandlers`).
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

import structlog

from minikubelet.core.events import AnyEvent, ContainerProbed
from minikubelet.core.probes import Due, Run, due, probe_of
from minikubelet.core.project import addresses
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Slot
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.pod import Container, Pod, Probe, ProbeKind
from minikubelet.ports.clockport import Clock
from minikubelet.shell.probehandlers import Answer, Outcome, Target
from minikubelet.shell.vault import Vault

MESSAGE_CHARACTERS: Final = 1024
_SECOND: Final = 1_000_000
_UNKNOWN: Final = 1.0
"""seconds between looks for a definition that an earlier life's disk had refused"""

Told = Callable[[SlotKey, PodUid, str, str, str], None]
"""Tells of a pod's container what a person should read: slot, uid, container, reason (one word), message."""

_Key = tuple[PodUid, str, str, ProbeKind]
_log = structlog.get_logger()


class Answered(NamedTuple):
    """How often a probe of a container was answered in one way."""

    slot: SlotKey
    uid: PodUid
    container: str
    kind: ProbeKind
    outcome: Outcome
    times: int


class Asks(Protocol):
    """Asks a container once."""

    async def ask(self, probe: Probe, target: Target) -> Answer:
        """The answer; returns within the probe's timeout."""


class Prober:
    """Follows the state: each probe that is due has a task, and no other has.

    A probe that hangs holds up itself alone. Probes of containers that ran before this life of the agent
    begin at a random part of their period, so that they do not all come at once.
    """

    def __init__(
        self,
        reducer: Reducer,
        vault: Vault,
        asks: Asks,
        clock: Clock,
        put: Callable[[AnyEvent], None],
        *,
        told: Told,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._reducer = reducer
        self._vault = vault
        self._asks = asks
        self._clock = clock
        self._put = put
        self._told = told
        self._jitter = jitter
        self._began = clock.now()
        self._group: asyncio.TaskGroup | None = None
        self._followed: dict[SlotKey, Slot] = {}
        self._tasks: dict[SlotKey, dict[_Key, asyncio.Task[None]]] = {}
        self._answers: dict[tuple[SlotKey, _Key], Counter[Outcome]] = {}

    def answers(self) -> list[Answered]:
        """How often each probe that is being asked was answered how."""
        return [
            Answered(slot, key[0], key[1], key[3], outcome, count)
            for (slot, key), counts in self._answers.items()
            for outcome, count in counts.items()
        ]

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._follow_all()
            await asyncio.Event().wait()

    def seen(self, event: AnyEvent) -> None:
        """Take note that the state has taken this event in."""
        slot = getattr(event, "slot", None)
        if slot is not None:
            self._follow(slot)
        else:
            self._follow_all()

    def _follow_all(self) -> None:
        for key in list(dict.fromkeys((*self._followed, *self._reducer.slots))):
            self._follow(key)

    def _follow(self, key: SlotKey) -> None:
        """Begin what is due and end what is not; what has come to its result stays until it is not due.

        A slot never changes, another takes its place: of one that was followed already nothing new is due.
        """
        slot = self._reducer.slots.get(key) if self._reducer.node.listed else None
        if self._group is None or slot is self._followed.get(key):
            return
        if slot is None:
            del self._followed[key]
        else:
            self._followed[key] = slot
        wanted = {_key(gen.uid, one): one for gen in slot.generations for one in due(gen)} if slot else {}
        held = self._tasks.get(key, {})
        for probe in [one for one in held if one not in wanted]:
            held.pop(probe).cancel()
            self._answers.pop((key, probe), None)
        for probe, asked in wanted.items():
            if probe not in held:
                held[probe] = self._group.create_task(self._watch(key, probe[0], asked))
        if held:
            self._tasks[key] = held
        else:
            self._tasks.pop(key, None)

    # ── one probe ──

    async def _watch(self, slot: SlotKey, uid: PodUid, asked: Due) -> None:
        await self._first_wait(uid, asked)
        run, passing = Run(), _known(asked)
        while True:
            began, period = self._clock.now(), _UNKNOWN
            found = self._find(slot, uid, asked)
            if found is not None:
                probe, target = found
                period = float(probe.period_seconds or 10)
                answer = await self._asks.ask(probe, target)
                counts = self._answers.setdefault((slot, _key(uid, asked)), Counter())
                counts[answer.outcome] += 1
                passed = self._heard(slot, uid, asked, answer)
                run = run if passed is None else run.then(passed)
                if passed is not None and run.counts(probe) and _changes(asked.kind, passed, passing):
                    passing = passed
                    self._put(self._result(slot, uid, asked, passed=passed, message=answer.message))
                    if asked.kind is not ProbeKind.READINESS:
                        return
            took = max(0, self._clock.now() - began) / _SECOND
            await self._clock.sleep(max(0.0, period - took))

    async def _first_wait(self, uid: PodUid, asked: Due) -> None:
        while (probe := self._probe(uid, asked)) is None:
            await self._clock.sleep(_UNKNOWN)
        now = self._clock.now()
        delay = probe.initial_delay_seconds * _SECOND
        wait = min(delay, max(0, asked.started_at + delay - now))
        if asked.started_at < self._began and now - self._began < probe.period_seconds * _SECOND:
            wait = max(wait, round(self._jitter() * probe.period_seconds * _SECOND))
        if wait:
            await self._clock.sleep(wait / _SECOND)

    def _find(self, slot: SlotKey, uid: PodUid, asked: Due) -> tuple[Probe, Target] | None:
        known = self._reducer.slots.get(slot)
        gen = known.find(uid) if known else None
        container = container_of(self._vault.get(uid), asked.container)
        probe = probe_of(container, asked.kind) if container else None
        if gen is None or container is None or probe is None:
            return None
        address = next(iter(addresses(gen, self._reducer.node)), "")
        return probe, Target(container, asked.container_id, address)

    def _probe(self, uid: PodUid, asked: Due) -> Probe | None:
        container = container_of(self._vault.get(uid), asked.container)
        return probe_of(container, asked.kind) if container else None

    def _heard(self, slot: SlotKey, uid: PodUid, asked: Due, answer: Answer) -> bool | None:
        """Whether it passed; None if the answer does not count. What is wrong is told."""
        if answer.outcome is Outcome.PASSED:
            return True
        words = {Outcome.FAILED: "failed", Outcome.WARNED: "warning", Outcome.UNKNOWN: "errored"}
        said = f"{asked.kind.value} probe {words[answer.outcome]}: {self._safe(uid, answer.message)}"
        _log.debug("probe", pod=slot, container=asked.container, said=said)
        warned = answer.outcome is Outcome.WARNED
        self._told(slot, uid, asked.container, "ProbeWarning" if warned else "Unhealthy", said)
        return None if answer.outcome is Outcome.UNKNOWN else warned

    def _result(
        self, slot: SlotKey, uid: PodUid, asked: Due, *, passed: bool, message: str
    ) -> ContainerProbed:
        return ContainerProbed(
            slot=slot,
            uid=uid,
            container=asked.container,
            container_id=asked.container_id,
            probe=asked.kind,
            passed=passed,
            message=self._safe(uid, message),
        )

    def _safe(self, uid: PodUid, message: str) -> str:
        return self._vault.redact_words(uid, message)[:MESSAGE_CHARACTERS]


def _key(uid: PodUid, asked: Due) -> _Key:
    return (uid, asked.container, asked.container_id, asked.kind)


def container_of(pod: Pod | None, name: str) -> Container | None:
    """The container of that name in a full definition."""
    every = (*pod.spec.init_containers, *pod.spec.containers) if pod else ()
    return next((one for one in every if one.name == name), None)


def _known(asked: Due) -> bool | None:
    """What was told of a probe: nothing of a readiness that never was, whose first failure says why."""
    return None if asked.kind is ProbeKind.READINESS and not asked.passing else asked.passing


def _changes(kind: ProbeKind, passed: bool, passing: bool | None) -> bool:
    """Whether a result is another than is known: liveness is taken for granted, start-up for open."""
    match kind:
        case ProbeKind.READINESS:
            return passed is not passing
        case ProbeKind.LIVENESS:
            return not passed
        case _:
            return True
