"""How things stood: the state at a moment of a history, and what had occurred up to then.

Belongs here: replaying up to a moment. May not be here: what is asked of the state.
"""

from __future__ import annotations

import msgspec

from minikubelet.core.events import ContainerProbed, ManifestsJudged
from minikubelet.core.reducer import Reducer
from minikubelet.journal.journalreader import JournalReader
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.replay.replayhistory import (
    Head,
    Step,
    begin,
    brief_of,
    decide,
    harmful,
    is_export,
    nearest_start,
    starts_anew,
    walk,
)
from minikubelet.replay.replaymoments import Moment, clock
from minikubelet.wire.records import decode_event


class Stand(msgspec.Struct):
    """How things stand behind an event; `seen` are all pods that occurred, `rejected` the broken files."""

    reducer: Reducer
    seq: int = 0
    at: int = 0
    seen: dict[str, None] = {}
    rejected: tuple[str, ...] = ()
    probed: dict[tuple[str, str], str] = {}
    """what the last probe that failed said, by container's id and probe"""

    def take(self, step: Step) -> None:
        """Take the next step in."""
        brief = brief_of(step.event.body)
        if brief.slot:
            self.seen[brief.slot] = None
        if brief.kind == ManifestsJudged.__name__:
            judged = decode_event(step.event.body)
            self.rejected = (
                tuple(f for f, _ in judged.rejected) if isinstance(judged, ManifestsJudged) else ()
            )
        elif brief.kind == ContainerProbed.__name__:
            self._probed(step)
        decide(self.reducer, step)
        self.seq, self.at = step.event.seq, step.event.at

    def _probed(self, step: Step) -> None:
        event = decode_event(step.event.body)
        if isinstance(event, ContainerProbed):
            said = f"at {clock(step.event.at)}{f': {event.message}' if event.message else ''}"
            self.probed[event.container_id, event.probe.value] = "" if event.passed else said


def stand_at(reader: JournalReader, moment: Moment | None) -> Stand:
    """The state at a moment, or at the end; raises ReplayError where the history does not reach it."""
    stand: Stand | None = None
    start = nearest_start(reader, seq=moment.seq if moment else None, at=moment.at if moment else None)
    for item in walk(reader, start):
        if isinstance(item, Head):
            if starts_anew(stand.reducer if stand else None, item):
                stand = _begun(item, stand, moment, export=is_export(reader))
            continue
        if moment is not None and moment.behind(item.event.seq, item.event.at):
            break
        if stand is not None:
            stand.take(item)
    if stand is None or not stand.seq:
        raise ReplayError(
            "the journal does not reach back so far, or has no usable snapshot before that moment"
            + "".join(f"; {text}" for text in harmful(reader))
        )
    if moment is not None and moment.at is not None:
        stand.at = max(stand.at, moment.at)
    return stand


def _begun(head: Head, before: Stand | None, moment: Moment | None, *, export: bool) -> Stand | None:
    """How things stand at a head: a snapshot may be the last thing that a journal holds."""
    reducer = begin(head, export=export).reducer
    if reducer is None:
        return None
    stand = Stand(reducer, seen=dict.fromkeys(reducer.slots))
    if before is not None:
        stand.seen = before.seen | stand.seen
        stand.rejected, stand.probed = before.rejected, before.probed
    covered = head.snapshot.seq if head.snapshot else 0
    if covered and not (moment and moment.behind(covered, head.header.created)):
        stand.seq, stand.at = covered, head.header.created
    return stand
