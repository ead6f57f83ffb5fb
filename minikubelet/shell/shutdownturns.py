"""Shutdown turns: pods end by priority when the machine goes down, the least important first.

Belongs here: whose turn it is, and how long it may take. As upstream's nodeshutdown manager. May not be
here: what ends and how (`core.shutdown`), or learning that the machine goes down (`sources.logindsource`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from itertools import zip_longest
from typing import NamedTuple

import structlog

from minikubelet.core.events import AnyEvent, NodeShutdownCancelled, NodeShuttingDown
from minikubelet.core.preemption import SYSTEM_CRITICAL
from minikubelet.core.reducer import Reducer
from minikubelet.core.shutdown import has_turn
from minikubelet.core.state import Stage
from minikubelet.model.settings import KubeletSettings

log = structlog.get_logger()


class Turn(NamedTuple):
    """Pods of a priority below `below`, None: all that are left, have this many seconds."""

    below: int | None
    seconds: int


def turns(settings: KubeletSettings) -> tuple[Turn, ...]:
    """The turns that are configured, the least important first; none: the machine does not wait for pods.

    A pod has the turn of the highest priority that is not above its own, one below all of them the first.
    """
    chosen = {each.priority: each.shutdown_grace_period_seconds for each in settings.shutdown_by_priority}
    whole, critical = settings.shutdown_grace_period, settings.shutdown_grace_period_critical_pods
    if not chosen and whole > 0:
        chosen = {0: int(whole - critical), SYSTEM_CRITICAL: int(critical)}
    begins = sorted(chosen)
    return tuple(Turn(below, chosen[priority]) for priority, below in zip_longest(begins, begins[1:]))


class ShutdownTurns:
    """Takes the turns; `seen` is to be called after each event that the reducer took."""

    def __init__(
        self,
        reducer: Reducer,
        put: Callable[[AnyEvent], None],
        configured: tuple[Turn, ...],
        changed: Callable[[], None],
    ) -> None:
        self._reducer = reducer
        self._put = put
        self._turns = configured
        self._changed = changed
        self._seen = asyncio.Event()
        self._told = False

    @property
    def seconds(self) -> int:
        """How long all of it takes at most."""
        return sum(turn.seconds for turn in self._turns)

    async def going_down(self) -> None:
        """End all pods, turn by turn; return once they have ended, or their time is over."""
        log.warning("the machine is going down: pods are ended", seconds=self.seconds)
        for turn in self._turns:
            self._put(NodeShuttingDown(grace=turn.seconds, below=turn.below))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(turn.seconds):
                    await self._over(turn)
            late = self._busy(turn.below)
            if late:
                log.warning("pods have not ended in their time", pods=late, seconds=turn.seconds)
        log.info("the machine may go down")

    def stays_up(self) -> None:
        """It does not go down after all."""
        log.info("the machine stays up: static pods come back")
        self._put(NodeShutdownCancelled())

    def seen(self) -> None:
        """An event was taken in."""
        if self._told is not self._reducer.node.going_down:
            self._told = self._reducer.node.going_down
            self._changed()
        self._seen.set()

    async def _over(self, turn: Turn) -> None:
        while not self._reducer.node.going_down or self._busy(turn.below):
            self._seen.clear()
            await self._seen.wait()

    def _busy(self, below: int | None) -> list[str]:
        """The pods whose turn it is and that have not ended; of one without a definition nothing is known."""
        return [
            gen.slot
            for slot in self._reducer.slots.values()
            for gen in slot.generations
            if gen.pod is not None and has_turn(gen, below) and gen.stage in (Stage.ACTIVE, Stage.ENDING)
        ]
