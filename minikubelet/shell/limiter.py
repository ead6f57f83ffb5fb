"""Limiter: how many calls the engine is given at once.

Belongs here: finding the number at which the engine gets most done. May not be here: which calls they
are. Starting 90 pods at once on two cores takes as long as starting them four at a time, but then each
waits for all; so starts pass through here, and what ends a container never does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

GAIN: Final = 1.05
"""a change of the limit is kept while the throughput grows by more than this"""


class Limiter:
    """A semaphore whose size climbs and descends with the throughput it gets.

    `initial` calls at first, never fewer than two nor more than `most`; `time` is a monotonic clock in
    seconds. First come, first served.
    """

    def __init__(self, initial: int, most: int, time: Callable[[], float]) -> None:
        self.limit = max(2, min(initial, most))
        self._most = max(2, most)
        self._time = time
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._direction = 1
        self._rate = 0.0
        self._since = 0.0
        self._done = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it for as long as the block runs."""
        await self._enter()
        try:
            yield
        finally:
            self._leave()

    async def _enter(self) -> None:
        if self._busy < self.limit and not self._waiting:
            self._busy += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self._busy -= 1
        self._learn()
        while self._waiting and self._busy < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)

    def _learn(self) -> None:
        """Move the limit by one after each full window in which calls had to wait."""
        if not self._waiting:
            self._done = 0
            return
        if self._done == 0:
            self._since = self._time()
        self._done += 1
        if self._done <= 2 * self.limit:
            return
        rate = (self._done - 1) / max(self._time() - self._since, 1e-6)
        if self._rate and rate < self._rate * GAIN:
            self._direction = -self._direction
        self._rate = rate
        self._done = 0
        self.limit = max(2, min(self._most, self.limit + self._direction))
