"""The loop: events in, decisions out, the journal between. The heart of the agent.

Belongs here: the order in which an event is numbered, decided upon, written down and carried out. May
not be here: any decision, any effect. It is the only writer of the state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from minikubelet.core.commands import AnyCommand, Decision
from minikubelet.core.events import AnyEvent
from minikubelet.core.reducer import Reducer
from minikubelet.ports.clockport import Clock
from minikubelet.ports.journalport import Journal, Record, RecordKind
from minikubelet.shell.inbox import Inbox
from minikubelet.wire.records import encode_command, encode_event, encode_snapshot

Dispatch = Callable[[AnyCommand, int], None]
"""begins a command, given the moment it was decided upon"""
Seen = Callable[[int, AnyEvent, list[Decision]], None]
SNAPSHOT_EVERY: Final = 50_000
"""records after which a new segment with a snapshot is begun, however small they are"""


class Loop:
    """Takes events from the inbox, has the reducer decide, journals both, then lets effects begin."""

    def __init__(
        self,
        reducer: Reducer,
        journal: Journal,
        inbox: Inbox,
        clock: Clock,
        *,
        dispatch: Dispatch,
        seen: Seen,
    ) -> None:
        self.reducer = reducer
        self.inbox = inbox
        self._journal = journal
        self._clock = clock
        self._dispatch = dispatch
        self._seen = seen
        self._since_snapshot = 0

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self.turn(await self.inbox.take())

    async def turn(self, events: list[AnyEvent]) -> None:
        """Take a batch in; no effect begins before its decision is durable."""
        commands: list[AnyCommand] = []
        decided = self._clock.now()
        for event in events:
            commands += self._decide(event)
        if commands:
            await self._journal.commit()
        for command in commands:
            self._dispatch(command, decided)
        if self._journal.snapshot_wanted or self._since_snapshot >= SNAPSHOT_EVERY:
            await self.snapshot()

    async def snapshot(self) -> None:
        """Begin a new segment with the present state at its head."""
        self._since_snapshot = 0
        body = encode_snapshot(self.reducer.snapshot())
        await self._journal.begin_segment(body, self._journal.next_seq - 1)

    def _decide(self, event: AnyEvent) -> list[AnyCommand]:
        seq, at = self._journal.next_seq, self._clock.now()
        decisions = self.reducer.decide(seq, at, event)
        records = [Record(seq, RecordKind.EVENT, at, msgspec.Raw(encode_event(event)))]
        for number, decision in enumerate(decisions, seq + 1):
            body = msgspec.Raw(encode_command(decision.command))
            records.append(Record(number, RecordKind.COMMAND, at, body, decision.causes))
        self._journal.append(records)
        self._since_snapshot += len(records)
        self._seen(seq, event, decisions)
        return [decision.command for decision in decisions]
