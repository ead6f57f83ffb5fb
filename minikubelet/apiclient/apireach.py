"""Whether an API server is in reach, as the requests of one client find it; who waits for it learns at once.

No requests, and no idea of how long to wait: that is `apibackoff`'s.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

LEAST_SECONDS = 1.0
"""A pause lasts as long at least, and up to twice: a thousand nodes must not come back in one moment."""


class Reach:
    """Of one API server."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()  # noqa: S311 - jitter keeps no secret
        self._through = asyncio.Event()

    def got_through(self) -> None:
        """A request was answered, whatever the answer."""
        self._through.set()

    def lost(self) -> None:
        """A request got no answer."""
        self._through.clear()

    async def pause(self, seconds: float) -> None:
        """Wait so long, but where the server is out of reach not beyond the moment at which it is back.

        A server that answers and refuses is given the whole time.
        """
        if self._through.is_set():
            await asyncio.sleep(seconds)
            return
        least = min(seconds, LEAST_SECONDS * (1 + self._rng.random()))
        await asyncio.sleep(least)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds - least):
                await self._through.wait()
