"""A recorded history as what it is: heads of segments, and events each with the commands decided from it.

Belongs here: reading in that shape, and where a history can be begun. May not be here: comparing, or what
any event means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from minikubelet.core.reducer import Reducer
from minikubelet.core.reducer import Snapshot as State
from minikubelet.journal.journalreader import EXPORT_SUFFIX, UNCOMMITTED, JournalReader
from minikubelet.ports.journalport import JournalError, Record, RecordKind, SegmentHeader, Snapshot
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.wire.records import UnknownRecord, decode_event, decode_snapshot, schema_hash

_EMPTY_AT_MOST = 500
"""bytes of a snapshot that may be empty"""


class Head(NamedTuple):
    """The beginning of a part; `linked`: it goes on where the part before ended."""

    header: SegmentHeader
    snapshot: Snapshot | None
    linked: bool


class Step(NamedTuple):
    """An event, and the commands that were decided from it."""

    event: Record
    commands: Sequence[Record]


class Brief(msgspec.Struct, frozen=True):
    """What every body says of itself."""

    kind: str
    slot: str = ""
    uid: str = ""


brief_of = msgspec.json.Decoder(Brief).decode


def open_journal(path: Path | str) -> JournalReader:
    """A journal's directory, one segment or an export; raises ReplayError."""
    try:
        reader = JournalReader(Path(path))
        readable = reader.headers()
    except JournalError as error:
        raise ReplayError(str(error)) from None
    except OSError as error:
        raise ReplayError(f"{path} cannot be read: {error.strerror}") from None
    if not readable:
        for file in [reader.path] if reader.path.is_file() else sorted(reader.path.glob("*.mkj")):
            try:
                file.open("rb").close()
            except OSError as error:
                raise ReplayError(f"{file} cannot be read: {error.strerror}") from None
        raise ReplayError(f"{path}: no part of it has a readable head; is it a journal of minikubelet?")
    return reader


def is_export(reader: JournalReader) -> bool:
    """Whether it is one closed file, in which damage cannot be an agent's last words."""
    return reader.path.suffix == EXPORT_SUFFIX


def harmful(reader: JournalReader) -> list[str]:
    """The damage found so far that is more than an end that was never committed, or is being written now."""
    return [text for text in reader.damage if is_export(reader) or UNCOMMITTED not in text]


def walk(reader: JournalReader, from_seq: int = 0) -> Iterator[Head | Step]:
    """Heads and steps in order, from the part that holds `from_seq` on."""
    last = -1
    for view in reader.segments(from_seq):
        yield Head(view.header, view.snapshot, view.linked)
        event: Record | None = None
        commands: list[Record] = []
        for group in view.groups:
            for record in group:
                if record.seq <= last:
                    continue
                last = record.seq
                if record.kind is RecordKind.COMMAND:
                    commands.append(record)
                    continue
                if event is not None:
                    yield Step(event, commands)
                event, commands = record, []
        if event is not None:
            yield Step(event, commands)


def begun_by(heads: Iterable[SegmentHeader], at: int) -> Iterator[SegmentHeader]:
    """The parts of a history up to the first that a time (µs) may be in.

    Where a part begins earlier than the one before it, the clock was set back in that one.
    """
    before = 0
    for head in heads:
        if head.created > at or head.created < before:
            return
        before = head.created
        yield head


def nearest_start(reader: JournalReader, *, seq: int | None = None, at: int | None = None) -> int:
    """The seq from which reading has to begin to know the state at a moment (neither: at the end).

    That is the newest part before it which begins with a snapshot in today's form; 0 where there is none.
    A clock that was set back makes a time come twice: its first time is meant.
    """
    schema = schema_hash()
    heads = reader.headers()
    usable = [
        head.first
        for head in (heads if at is None else begun_by(heads, at))
        if head.snapshot is not None and head.schema == schema and (seq is None or head.first <= seq)
    ]
    return max(usable, default=0)


class Start(NamedTuple):
    """A reducer to go on with from a head, or the reason why there is none."""

    reducer: Reducer | None
    problem: str = ""


def state_of(snapshot: Snapshot) -> State:
    """A snapshot's state; raises UnknownRecord."""
    return decode_snapshot(snapshot.body)


def begin(head: Head, *, export: bool) -> Start:
    """Begin at a head: from its snapshot, or empty where nothing can have come before it."""
    if head.snapshot is not None:
        try:
            return Start(Reducer(state_of(head.snapshot)))
        except UnknownRecord as error:
            return Start(None, f"segment {head.header.first}: {error}")
    if head.header.first <= 1 or export:
        return Start(Reducer())
    return Start(None, f"segment {head.header.first} has no snapshot, and what came before it is missing")


def starts_anew(reducer: Reducer | None, head: Head) -> bool:
    """Whether state has to be taken from this head, and not from the reducer that has come so far.

    That is so at the beginning, behind a gap, where the agent had set its state aside, and where a snapshot
    of another form holds less: the next life may have begun from it.
    """
    if reducer is None or not head.linked:
        return True
    if head.snapshot is None:
        return False
    if head.header.schema != schema_hash():
        recorded = begin(head, export=False).reducer
        return recorded is not None and recorded.snapshot() != reducer.snapshot()
    return bool(reducer.slots) and _is_empty(head.snapshot)


def _is_empty(snapshot: Snapshot) -> bool:
    try:
        state = state_of(snapshot) if len(snapshot.body) < _EMPTY_AT_MOST else None
    except UnknownRecord:
        return False
    return state is not None and not state.slots and not state.node.name


def decide(reducer: Reducer, step: Step) -> None:
    """Take the event of a step in; raises ReplayError where this version cannot read it."""
    try:
        reducer.decide(step.event.seq, step.event.at, decode_event(step.event.body))
    except UnknownRecord as error:
        raise ReplayError(f"event {step.event.seq}: {error}; use the version that recorded it") from None
