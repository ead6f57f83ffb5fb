"""Timers: when a slot is woken, also where somebody sets the clock meanwhile."""

import asyncio

import pytest

from minikubelet.core.commands import Reason, WakeAt
from minikubelet.core.events import TimerFired
from minikubelet.model.ids import SlotKey
from minikubelet.shell.timers import Timers
from tests.running import eventually, run

SLOT = SlotKey("default/web")
HOUR = 3_600_000_000


class SetClock:
    """A clock that shows what it is set to."""

    def __init__(self, now: int) -> None:
        self.shown = now

    def now(self) -> int:
        """The time, in microseconds."""
        return self.shown

    async def sleep(self, seconds: float) -> None:
        """Sleep by the loop's own clock."""
        await asyncio.sleep(seconds)


@pytest.mark.parametrize("jump", [-HOUR, 0, HOUR])
def test_a_slot_is_woken_though_the_clock_was_set_since_that_was_decided(jump: int) -> None:
    async def play() -> None:
        fired: list[TimerFired] = []
        clock = SetClock(2 * HOUR)
        timers = Timers(clock, fired.append)
        decided = clock.now()
        clock.shown += jump
        timers.arm(WakeAt(slot=SLOT, reason=Reason.TIMER, at=decided + 1000), decided)
        await eventually(lambda: fired, "the timer")
        assert fired == [TimerFired(slot=SLOT)]

    run(play())
