"""How things stood: the state at a moment of a history, and what had occurred up to then.

Belongs here: replaying up to a moment. May not be here: what is asked of the state.
"""

from __future__ import annotations

import sys

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
from minikubelet.replay.replaytale import tell_damage
from minikubelet.wire.records import decode_event


class Stand(msgspec.Struct):
    """How things stand behind an event; `seen` are all pods that occurred, `rejected` the broken files.

    `note` says where that is another moment than the one asked for, since the history does not hold that.
    """

    reducer: Reducer
    seq: int = 0
    at: int = 0
    note: str = ""
    reached: int = 0
    """the seq of the last record that is in it"""
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
        self.reached = step.commands[-1].seq if step.commands else step.event.seq

    def _probed(self, step: Step) -> None:
        event = decode_event(step.event.body)
        if isinstance(event, ContainerProbed):
            said = f"at {clock(step.event.at)}{f': {event.message}' if event.message else ''}"
            self.probed[event.container_id, event.probe.value] = "" if event.passed else said


def stand_at(reader: JournalReader, moment: Moment | None) -> Stand:
    """The state at a moment, or at the end; raises ReplayError where the history does not reach it."""
    stand: Stand | None = None
    following = 0
    start = nearest_start(reader, seq=moment.seq if moment else None, at=moment.at if moment else None)
    for item in walk(reader, start):
        seq, at = _place(item)
        known = stand is not None and stand.seq
        if moment is not None and moment.behind(seq, at) and (known or isinstance(item, Step)):
            following = seq
            break
        if isinstance(item, Step) and stand is not None:
            stand.take(item)
        elif isinstance(item, Head) and starts_anew(stand.reducer if stand else None, item):
            stand = _begun(item, stand, moment, export=is_export(reader))
    if stand is None or not stand.seq:
        first = reader.headers()[0]
        raise ReplayError(
            f"there is no usable state before that moment: the journal begins with seq {first.first},"
            f" {clock(first.created)} UTC" + "".join(f"; {text}" for text in harmful(reader))
        )
    if moment is not None:
        stand.note = _note(reader, stand, moment, following)
        if moment.at is not None:
            stand.at = max(stand.at, moment.at)
    return stand


def _place(item: Head | Step) -> tuple[int, int]:
    """The seq and the time with which it begins."""
    if isinstance(item, Head):
        return item.header.first, item.header.created
    return item.event.seq, item.event.at


def tell(reader: JournalReader, *stands: Stand) -> None:
    """Say on stderr what harm was found, and where the history does not hold the moment asked for."""
    tell_damage(reader)
    for stand in stands:
        if stand.note:
            sys.stderr.write(f"{stand.note}\n")


def _note(reader: JournalReader, stand: Stand, moment: Moment, following: int) -> str:
    """Where the history does not hold the moment: it ended before, or the records around it are lost."""
    last = f"{clock(stand.at)} UTC"
    shown = f"this is how things stood at seq {stand.seq}, {last}"
    beyond = moment.ahead(stand.reached, stand.at)
    if following > stand.reached + 1 and beyond and not is_export(reader):
        return f"records {stand.reached + 1} to {following - 1} are lost: {shown}"
    if following or not beyond or reader.in_use():
        return ""
    if moment.seq is not None:
        return f"the journal ends with record {stand.reached}: {shown}"
    return f"the journal ends with record {stand.reached}, {last}: what came after it is not known"


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
        stand.seq, stand.at, stand.reached = covered, head.header.created, covered
    return stand
