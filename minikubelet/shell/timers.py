"""Timers: WakeAt becomes TimerFired.

Belongs here: one timer a slot. May not be here: what is then done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from minikubelet.core.commands import WakeAt
from minikubelet.core.events import TimerFired
from minikubelet.model.ids import SlotKey
from minikubelet.ports.clockport import Clock


class Timers:
    """Arms at most one timer for each slot; a later request replaces an earlier one."""

    def __init__(self, clock: Clock, fire: Callable[[TimerFired], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._armed: dict[SlotKey, asyncio.TimerHandle] = {}

    def arm(self, command: WakeAt, decided: int) -> None:
        """Fire at the moment that the command names; `decided` is when that was asked for.

        A clock set back in between makes the wait no longer: `at` is of the time before.
        """
        armed = self._armed.pop(command.slot, None)
        if armed is not None:
            armed.cancel()
        delay = max(0, command.at - max(self._clock.now(), decided)) / 1e6
        self._armed[command.slot] = asyncio.get_running_loop().call_later(delay, self._ring, command.slot)

    def cancel_all(self) -> None:
        """Let none fire any more."""
        for handle in self._armed.values():
            handle.cancel()
        self._armed.clear()

    def _ring(self, slot: SlotKey) -> None:
        del self._armed[slot]
        self._fire(TimerFired(slot=slot))
