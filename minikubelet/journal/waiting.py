"""Who waits for the disk: those who commit, and those who begin a segment; used from the event loop only.

Belongs here: futures, in order. May not be here: when anything is durable, or what to do where it is not
(`diskjournal`).
"""

import asyncio
from collections import deque


class Waiting:
    """Futures of commits by the seq they wait for, and of switches to a new segment."""

    def __init__(self) -> None:
        self._commits: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._switches: list[asyncio.Future[None]] = []
        self._under_way: list[asyncio.Future[None]] = []

    def for_commit(self, seq: int) -> asyncio.Future[None]:
        """Done once the record of this seq is durable; seqs never go down."""
        waiter = asyncio.get_running_loop().create_future()
        self._commits.append((seq, waiter))
        return waiter

    def for_switch(self) -> asyncio.Future[None]:
        """Done once the switch that is asked for now has been tried."""
        waiter = asyncio.get_running_loop().create_future()
        self._switches.append(waiter)
        return waiter

    def begin_switch(self) -> None:
        """What was asked for is under way; whoever asks from now on waits for the next."""
        self._under_way, self._switches = self._switches, []

    def end_switch(self) -> None:
        """What was under way has been tried."""
        _wake(self._under_way)
        self._under_way = []

    def committed(self, durable: int) -> None:
        """The records up to this seq are durable."""
        while self._commits and self._commits[0][0] <= durable:
            _wake([self._commits.popleft()[1]])

    def let_go(self) -> None:
        """Nobody waits for the disk any longer."""
        _wake([waiter for _, waiter in self._commits])
        self._commits.clear()
        _wake(self._switches)
        self._switches = []
        self.end_switch()

    def fail(self, reason: str) -> None:
        """The journal has stopped: nobody may wait for ever."""
        for waiter in [*(waiter for _, waiter in self._commits), *self._switches, *self._under_way]:
            if not waiter.done():
                waiter.set_exception(RuntimeError(reason))
        self._commits.clear()
        self._switches = []
        self._under_way = []


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
