"""The judge of restarts: what the restart policy and the back-off allow.

Belongs here: a container that ran before and is started again. May not be here: other starts (`simsafety`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

from minikubelet.core.events import AnyEvent, PodObserved
from minikubelet.model.observed import ContainerPhase
from minikubelet.simulation.simengine import Instance, WatchedEngine
from minikubelet.simulation.simloop import SECOND
from minikubelet.simulation.simwanted import NEVER, Wanted

BACKOFF_SLACK: Final = SECOND // 10
LATE: Final = 3 * SECOND
"""what a restart may take beyond its back-off: looking, deciding, a slow disk, calls of the engine"""
FORGOTTEN: Final = 600 * SECOND
UNKNOWN: Final = 137
"""the code of a container whose end nobody saw"""


class Restarts:
    """`jumped_at`: the clock was set; `amnesia_at`: what a full disk had refused was lost.

    `exact`: the engine is never slow and tells of all that happens; until `disturbed_until` the world had
    other things in store than an exit, for which a restart may have waited.
    """

    def __init__(self, engine: WatchedEngine, fail: Callable[[str, str], None]) -> None:
        self._engine = engine
        self._fail = fail
        self.jumped_at = NEVER
        self.amnesia_at = NEVER
        self.exact = False
        self.disturbed_until = 0
        self._ends: dict[str, int] = {}

    def begun(self, durable: int) -> None:
        """A life begins: what was told and is not durable was not told."""
        self._ends = {key: seq for key, seq in self._ends.items() if seq <= durable}

    def took(self, seq: int, event: AnyEvent) -> None:
        """Note which ends the agent was told of."""
        if isinstance(event, PodObserved):
            for shown in event.pod.containers:
                if shown.phase is ContainerPhase.EXITED:
                    self._ends.setdefault(shown.id, seq)

    def knows(self, instance: Instance) -> bool:
        """Whether the agent was told of the end of a container."""
        return instance.id in self._ends

    def judge(self, instance: Instance, wanted: Wanted) -> None:
        """A container is started that ran before."""
        history = self._lifetime(instance, wanted)
        if not history:
            return
        before = history[-1]
        stopped = before.signalled_at and not before.unhealthy
        if not before.ended_at or stopped or before.hash != instance.hash:
            return
        again = wanted.once(instance.name) and before.sandbox_id != instance.sandbox_id
        # One that vanished before anybody looked at its end may have failed, for all that the agent knows.
        unknown = before.unhealthy or (before.gone and before.id not in self._ends)
        codes = (before.exit_code, UNKNOWN) if unknown else (before.exit_code,)
        if not again and not any(wanted.restarts(instance.name, code) for code in codes):
            self._fail(
                "restart-policy",
                f"{instance.id} is started though {before.id} ended with {before.exit_code} under"
                f" {wanted.policy(instance.name)}",
            )
        self._backed_off(instance, history, self._ended_before(history[0]))

    def _lifetime(self, instance: Instance, wanted: Wanted) -> list[Instance]:
        """The earlier instances of a container since it was last not wanted, or forgotten."""
        changes = wanted.changed_at.get(instance.name, ())
        since = max(wanted.unwanted_at, self.amnesia_at, *changes)
        # Of an attempt that was made twice, since the answer to the first was lost, the last counts.
        found = {
            each.attempt: each
            for each in self._engine.instances()
            if (each.uid, each.name) == (instance.uid, instance.name)
            and each.attempt != instance.attempt
            and each.started_at > since
        }
        return sorted(found.values(), key=lambda each: each.started_at)

    def _ended_before(self, first: Instance) -> int:
        """How many ends may count that came before the first container of a definition.

        Upstream counts one if that took the place of one that had ended by itself, though it is not waited
        for; and where an edit is taken back, all that were made as it is, since it goes by their hash.
        """
        ended = [
            each
            for each in self._engine.instances()
            if (each.uid, each.name) == (first.uid, first.name)
            and each.made_at < first.made_at
            and each.ended_at
            and (not each.signalled_at or each.unhealthy)
        ]
        return max(int(bool(ended)), sum(each.hash == first.hash for each in ended))

    def _backed_off(self, instance: Instance, history: list[Instance], earlier: int) -> None:
        """10 s before the second restart, then twice as long each time, at most five minutes."""
        restarts, most = 0, earlier
        for before, after in itertools.pairwise(history):
            stopped = before.signalled_at and not before.unhealthy
            by_itself = before.ended_at and not stopped and before.hash == after.hash
            counts = by_itself and before.ended_at - before.started_at < FORGOTTEN
            # A new sandbox may bring the containers up at once, and does not make their crashes forgotten.
            moved = before.sandbox_id != after.sandbox_id
            restarts = restarts + 1 if counts and not moved else 0
            lost = before.gone and not before.ended_at  # nobody saw whether it ended by itself
            # One that was told to end may have been so for its probes, whatever else was wrong then.
            ended = stopped and before.hash == after.hash
            most = most + 1 if counts or moved or lost or ended else 0
        last = history[-1]
        if last.ended_at - last.started_at >= FORGOTTEN or last.sandbox_id != instance.sandbox_id:
            return
        wait, longest = _wait(restarts), _wait(most)
        waited = self._engine.real.now() - last.ended_at
        if waited < wait - BACKOFF_SLACK and self.jumped_at < history[0].started_at:
            self._fail(
                "back-off", f"{instance.id} is started {waited / SECOND:.1f} s after the end of {last.id},"
                f" not {wait // SECOND} s"
            )  # fmt: skip
        hooked = any(each.hook_failed_at for each in history)
        remembers = self.exact and self.amnesia_at == NEVER
        if waited > longest + LATE and remembers and last.ended_at > self.disturbed_until and not hooked:
            self._fail(
                "back-off", f"{instance.id} is started only {waited / SECOND:.1f} s after {last.id} ended,"
                f" not after {longest // SECOND} s"
            )  # fmt: skip


def _wait(restarts: int) -> int:
    return min(300, 10 << (restarts - 1)) * SECOND if restarts else 0
