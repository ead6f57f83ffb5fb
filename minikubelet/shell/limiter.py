"""Limiter: how many calls the engine is given at once, and which of those that wait goes first.

Belongs here: finding the number at which the engine gets most done, and ranks. May not be here: which calls
they are. Starting 90 pods at once on two cores takes as long as starting them four at a time, but then each
waits for all; so starts pass through here, and what ends a container never does. What was begun is finished
before more is begun: else all sandboxes would come before the first container. Taking away what has ended
waits for both, for nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Final

FEWEST_QUEUED: Final = 2.0
"""calls that may wait inside the engine before its limit stops climbing; two keep it from running dry"""

MOST_QUEUED: Final = 4.0
"""calls inside the engine that only wait, by the time calls take; with more than these the limit descends"""

FORGETS: Final = 1.02
"""by how much the shortest time known of a call grows with each window: engines get slower, too"""

SHORTEST_WINDOW: Final = 8
"""calls whose mean says something"""

SHORTEST_CALL: Final = 0.001
"""seconds: what is quicker than this is no engine's work"""

LONGEST_TIDY_WAIT: Final = 5.0
"""seconds after which taking away goes first all the same, one at a time"""


class Rank(IntEnum):
    """Which call goes before which."""

    FINISH = 0
    """the next step of a pod that was begun"""
    BEGIN = 1
    """the first step of a pod"""
    TIDY = 2
    """taking away what nobody waits for"""


_Turn = tuple[asyncio.Future[None], float]


class Limiter:
    """A semaphore whose size follows how long calls take (after TCP Vegas).

    Of n calls at once, each of which takes t where it took t0 at best, n * (1 - t0 / t) only wait inside the
    engine: while these are few, one more gets more done, and when they are many, one less gets as much done.
    `initial` calls at first, never fewer than two nor more than `most`; `time` is a monotonic clock in
    seconds. First come, first served within a rank.
    """

    def __init__(self, initial: int, most: int, time: Callable[[], float]) -> None:
        self.limit = max(2, min(initial, most))
        self._most = max(2, most)
        self._time = time
        self._busy = 0
        self._tidying = 0
        self._waiting: dict[Rank, deque[_Turn]] = {rank: deque() for rank in Rank}
        self._best: dict[Rank, float] = {}
        self._window: dict[Rank, list[float]] = {Rank.FINISH: [], Rank.BEGIN: []}

    @asynccontextmanager
    async def slot(self, rank: Rank = Rank.BEGIN) -> AsyncIterator[None]:
        """Wait for a place, and hold it for as long as the block runs."""
        await self._enter(rank)
        began = self._time()
        try:
            yield
        except BaseException:
            self._leave(rank)
            raise
        self._learn(rank, self._time() - began)
        self._leave(rank)

    async def _enter(self, rank: Rank) -> None:
        first = not any(self._waiting[each] for each in Rank if each <= rank)
        if self._busy < self.limit and first and self._may(rank):
            self._take(rank)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[rank].append((turn, self._time()))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(rank)
            raise

    def _take(self, rank: Rank) -> None:
        self._busy += 1
        self._tidying += rank is Rank.TIDY

    def _leave(self, rank: Rank) -> None:
        self._busy -= 1
        self._tidying -= rank is Rank.TIDY
        while self._busy < self.limit and (rank_next := self._next()) is not None:
            turn, _ = self._waiting[rank_next].popleft()
            if not turn.done():
                self._take(rank_next)
                turn.set_result(None)

    def _next(self) -> Rank | None:
        tidy = self._waiting[Rank.TIDY]
        if tidy and not self._tidying and self._time() - tidy[0][1] > LONGEST_TIDY_WAIT:
            return Rank.TIDY
        return next((rank for rank in Rank if self._waiting[rank] and self._may(rank)), None)

    def _may(self, rank: Rank) -> bool:
        """While starts are under way, one place is enough for taking away: it is as much work as a start."""
        return rank is not Rank.TIDY or not self._tidying or self._busy == self._tidying

    def _learn(self, rank: Rank, took: float) -> None:
        """Take note of a call; the limit moves by one at most with each window of calls."""
        if rank is Rank.TIDY:
            return
        self._window[rank].append(took)
        counts = [len(times) for times in self._window.values()]
        if sum(counts) < max(SHORTEST_WINDOW, 2 * self.limit):
            return
        shares = [self._share_of_waiting(rank) * len(times) for rank, times in self._window.items() if times]
        queued = self.limit * sum(shares) / sum(counts)
        for times in self._window.values():
            times.clear()
        if queued > MOST_QUEUED:
            self.limit = max(2, self.limit - 1)
        elif queued < FEWEST_QUEUED and any(self._waiting.values()):
            self.limit = min(self._most, self.limit + 1)

    def _share_of_waiting(self, rank: Rank) -> float:
        """Which part of the time that calls of this rank took in this window was waiting, as far as is known.

        Means are compared, not single calls, of which the quickest tells more of luck than of the engine.
        """
        times = self._window[rank]
        mean = max(sum(times) / len(times), SHORTEST_CALL)
        best = min(mean, self._best.get(rank, mean) * FORGETS)
        self._best[rank] = best
        return 1.0 - best / mean
