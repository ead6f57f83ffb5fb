"""The system's clock.

Belongs here: reading it and sleeping by it. May not be here: anything that decides.
"""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """The wall clock; a step of it is taken over at once, and the core copes with it."""

    def now(self) -> int:
        """Microseconds since the epoch."""
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        """Sleep by the event loop's own clock, which never jumps."""
        await asyncio.sleep(seconds)
