"""The clock port: what the time is, and waiting for it.

Belongs here: the protocol that a system clock and a virtual clock both keep. May not be here: a clock.
"""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall-clock time and waiting, so that a simulation can run on a time of its own."""

    def now(self) -> int:
        """Microseconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Return once that much of this clock's time has passed; at least one turn of the loop."""
