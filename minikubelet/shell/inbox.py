"""The inbox: the one queue through which every event reaches the loop.

Belongs here: order, the bound, and letting newer definitions replace older unread ones. May not be here:
what an event means. Sources wait when it is full; results of commands never do, for they are bounded
by the commands under way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from minikubelet.core.events import AnyEvent, PodSet, PodWithdrawn
from minikubelet.model.ids import SlotKey, Source

LIMIT: Final = 1024
BATCH: Final = 256

_Cell = list[AnyEvent]


class Inbox:
    """A queue of events with one reader."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._cells: deque[_Cell] = deque()
        self._specs: dict[tuple[Source, SlotKey], _Cell] = {}
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._cells)

    async def offer(self, event: AnyEvent) -> None:
        """Put a source's event in, and wait first while the inbox is full.

        A definition that arrives while an older one of its slot is unread takes its place in the queue.
        """
        if isinstance(event, PodSet) and self._replace(event):
            return
        while len(self._cells) >= self._limit:
            self._room.clear()
            await self._room.wait()
        self.put(event)

    def put(self, event: AnyEvent) -> None:
        """Put an event in without waiting: results, observations, timers."""
        cell: _Cell = [event]
        if isinstance(event, PodSet):
            if self._replace(event):
                return
            self._specs[event.source, event.slot] = cell
        elif isinstance(event, PodWithdrawn):
            self._specs.pop((event.source, event.slot), None)
        self._cells.append(cell)
        self._filled.set()

    def _replace(self, event: PodSet) -> bool:
        cell = self._specs.get((event.source, event.slot))
        if cell is None:
            return False
        cell[0] = event
        return True

    async def take(self) -> list[AnyEvent]:
        """Wait for events, and take those that are there, in order, at most a batch."""
        while not self._cells:
            self._filled.clear()
            await self._filled.wait()
        taken = [self._cells.popleft()[0] for _ in range(min(BATCH, len(self._cells)))]
        for event in taken:
            if isinstance(event, PodSet):
                self._specs.pop((event.source, event.slot), None)
        if len(self._cells) < self._limit:
            self._room.set()
        return taken
