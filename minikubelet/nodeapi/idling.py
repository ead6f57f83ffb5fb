"""Streams on which nothing moves: how long that has lasted, and when it is too long.

Belongs here: `streamingConnectionIdleTimeout`; signs of life between the two ends do not count as use. May
not be here: what is streamed.
"""

from __future__ import annotations

import asyncio


class Idle:
    """Of one connection; `seconds` is how long it may lie idle."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._used = asyncio.get_running_loop().time()

    def used(self) -> None:
        """Something was carried."""
        self._used = asyncio.get_running_loop().time()

    async def too_long(self) -> None:
        """Return when the connection has lain idle for too long."""
        now = asyncio.get_running_loop().time
        while (left := self._used + self._seconds - now()) > 0:  # noqa: ASYNC110 - use puts the end off
            await asyncio.sleep(left)
