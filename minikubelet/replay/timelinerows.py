"""Rows of a timeline: each record with its time, pod, container and a sentence, and those asked for.

Belongs here: reading and filtering. May not be here: how rows are shown (`timelinetext`, `timelinepage`,
`timelineperfetto`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.journal.journalreader import JournalReader
from minikubelet.ports.journalport import Record, RecordKind
from minikubelet.replay.podnaming import choose, resolve, suggestions
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.replay.replayhistory import begun_by, brief_of
from minikubelet.replay.replaymoments import Moment, clock, duration, parse_moment, span
from minikubelet.replay.replaytale import first_state, nodes_of
from minikubelet.replay.sentences import because, of_command, of_event
from minikubelet.wire.records import UnknownRecord, decode_command, decode_event


class Row(NamedTuple):
    """One record as a timeline shows it; `slot` empty: of the node; `decision`: a command."""

    seq: int
    at: int
    decision: bool
    kind: str
    slot: str
    uid: str
    container: str
    text: str
    causes: tuple[int, ...]
    body: c.AnyCommand | e.AnyEvent | None
    raw: msgspec.Raw


class Overview(msgspec.Struct):
    """What occurs in a history: pods with their containers, kinds, and its first and last moment."""

    slots: dict[str, dict[str, None]] = {}
    kinds: dict[str, None] = {}
    first_at: int = 0
    last_at: int = 0
    latest_at: int = 0
    records: int = 0


class _Names(msgspec.Struct):
    kind: str
    slot: str = ""
    container: str = ""


_names_of = msgspec.json.Decoder(_Names).decode


def overview(reader: JournalReader, begin: int = 0) -> Overview:
    """Look once through a history, or what there is of it from a part with record `begin` on."""
    found = Overview()
    for slot in first_state(reader, begin):
        found.slots[slot.key] = {name: None for gen in slot.generations for name in gen.containers}
    for record in reader.records(begin):
        names = _names_of(record.body)
        found.kinds[names.kind] = None
        found.first_at = min(found.first_at or record.at, record.at)
        found.last_at = record.at
        found.latest_at = max(found.latest_at, record.at)
        found.records += 1
        if names.slot:
            containers = found.slots.setdefault(names.slot, {})
            if names.container:
                containers[names.container] = None
    return found


class Filter(msgspec.Struct, frozen=True):
    """Which rows are asked for; what is empty asks for all."""

    slot: str = ""
    container: str = ""
    kinds: tuple[str, ...] = ()
    since: Moment | None = None
    until: Moment | None = None

    def wants(self, record: Record, kind: str, slot: str) -> bool:
        """Whether a record passes; the container is looked at in the row."""
        if self.kinds and kind not in self.kinds:
            return False
        if self.slot and slot not in ("", self.slot):
            return False
        if self.since is not None and self.since.ahead(record.seq, record.at):
            return False
        return self.until is None or not self.until.behind(record.seq, record.at)


def filter_of(options: argparse.Namespace, reader: JournalReader, found: Overview) -> Filter:
    """The filter of a command line; raises ReplayError for what does not occur, saying what does."""
    slot = container = ""
    if options.pod:
        slot, container = resolve(options.pod, found.slots, nodes_of(reader))
    container = options.container or container
    if container:
        pods = [slot] if slot else list(found.slots)
        container = choose(container, dict.fromkeys(n for pod in pods for n in found.slots[pod]), "container")
    kinds = tuple(choose(kind, found.kinds, "kind") for kind in options.kind or ())
    moments = [_moment(text, found) if text else None for text in (options.since, options.until)]
    return Filter(slot, container, kinds, *moments)


def look(options: argparse.Namespace, reader: JournalReader) -> tuple[Overview, Filter]:
    """What occurs, and what is asked for; raises ReplayError.

    Of a history of days it is looked only at the end that is asked for, unless that does not know a name.
    """
    begin = begin_of(reader, _moment(options.since, _end_of(reader))) if options.since else 0
    found = overview(reader, begin)
    try:
        return found, filter_of(options, reader, found)
    except ReplayError:
        if not begin:
            raise
    found = overview(reader)
    return found, filter_of(options, reader, found)


def _end_of(reader: JournalReader) -> Overview:
    """The last moment alone."""
    for head in reversed(reader.headers()):
        found = Overview()
        for record in reader.records(head.first):
            found.last_at = record.at
        if found.last_at:
            return found
    return Overview()


def _moment(text: str, found: Overview) -> Moment:
    """A moment, or a duration before the history's end."""
    if text.isascii() and text.isdigit():
        return parse_moment(text)
    try:
        return Moment(at=found.last_at - duration(text))
    except ReplayError:
        pass
    try:
        return parse_moment(text)
    except ReplayError as error:
        raise ReplayError(f"{error}, or how long before the end (10m)") from None


def begin_of(reader: JournalReader, since: Moment | None) -> int:
    """The seq with which reading has to begin so that nothing since that moment is missed.

    Times may have been set back: so it is a part before the first that a time may be in.
    """
    if since is None:
        return 0
    heads = reader.headers()
    if since.at is None:
        begun = [head.first for head in heads if not since.behind(head.first, head.created)]
    else:
        begun = [head.first for head in begun_by(heads, since.at)]
    parts_back = 1 if since.at is None else 2
    return begun[-parts_back] if len(begun) >= parts_back else 0


def rows(reader: JournalReader, wanted: Filter) -> Iterator[Row]:
    """The rows that a filter lets through, in order."""
    for record in reader.records(begin_of(reader, wanted.since)):
        brief = brief_of(record.body)
        if not wanted.wants(record, brief.kind, brief.slot):
            continue
        row = row_of(record)
        if not wanted.container or _about(row, wanted.container):
            yield row


def _about(row: Row, container: str) -> bool:
    pod = getattr(row.body, "pod", None)
    return row.container == container or any(one.name == container for one in getattr(pod, "containers", ()))


def row_of(record: Record) -> Row:
    """A record as a row; one that this version cannot read says so in its text."""
    decision = record.kind is RecordKind.COMMAND
    try:
        body = decode_command(record.body) if decision else decode_event(record.body)
    except UnknownRecord as error:
        brief = brief_of(record.body)
        return Row(
            record.seq, record.at, decision, brief.kind, brief.slot, brief.uid, "", str(error),
            record.causes, None, record.body,
        )  # fmt: skip
    return Row(
        record.seq,
        record.at,
        decision,
        type(body).__name__,
        str(getattr(body, "slot", "")),
        str(getattr(body, "uid", "") or getattr(getattr(body, "pod", None), "uid", "")),
        str(getattr(body, "container", "")),
        sentence_of(body, record.at),
        record.causes,
        body,
        record.body,
    )


def sentence_of(body: c.AnyCommand | e.AnyEvent, at: int) -> str:
    """What a record tells, with the reason of a decision."""
    if not isinstance(body, c.Command):
        return of_event(body)
    if isinstance(body, c.WakeAt):
        return f"wait until {clock(body.at)} ({span(body.at - at)})"
    if isinstance(body, c.PublishStatus):
        return of_command(body)
    return f"{of_command(body)}, because {because(body)}"


def nothing(found: Overview, wanted: Filter) -> str:
    """What to say where no row passes."""
    if not found.records:
        return "the journal holds no records"
    said = f"it reaches from {clock(found.first_at)} to {clock(found.latest_at)} UTC"
    what = f" of {wanted.slot}" if wanted.slot else ""
    return f"nothing{what} passes these filters; {said}; {suggestions('', found.kinds, 'kinds')}"
