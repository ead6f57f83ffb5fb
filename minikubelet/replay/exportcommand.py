"""`minikubelet export`: a part of a history as one compressed file that verifies itself, for a bug report.

Belongs here: what goes in, and checking what came out. May not be here: the file's format
(`journal.exportfile`) or anonymity (`anonymise`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec

from minikubelet.core.reducer import Reducer
from minikubelet.core.reducer import Snapshot as State
from minikubelet.journal.exportfile import ExportError, write_export
from minikubelet.journal.journalreader import EXPORT_SUFFIX, JournalReader
from minikubelet.ports.journalport import Record, RecordKind, SegmentHeader, Snapshot
from minikubelet.replay.anonymise import Anonymiser
from minikubelet.replay.podnaming import resolve
from minikubelet.replay.replayerrors import OK, ReplayError, command
from minikubelet.replay.replayhistory import (
    Head,
    Step,
    begin,
    brief_of,
    decide,
    is_export,
    nearest_start,
    open_journal,
    starts_anew,
    walk,
)
from minikubelet.replay.replaymoments import duration
from minikubelet.replay.replaytale import journal_of, nodes_of, tell_damage
from minikubelet.replay.replayverify import Verifier
from minikubelet.replay.timelinerows import overview
from minikubelet.wire.records import (
    CORE_VERSION,
    decode_event,
    encode_command,
    encode_event,
    encode_snapshot,
    schema_hash,
)


class Selection(msgspec.Struct):
    """What goes into an export: the state before it, and its steps."""

    header: SegmentHeader
    state: State
    steps: list[Step]
    left_out: int = 0
    """records before a gap in the history, of which nothing follows for what comes after it"""


@command
def run(options: argparse.Namespace) -> int:
    """Write an export and verify it."""
    path = Path(options.output_file)
    if path.suffix != EXPORT_SUFFIX:
        raise ReplayError(
            f"{path}: name the file {path.with_suffix(EXPORT_SUFFIX).name}: {EXPORT_SUFFIX} tells an export"
        )
    reader = journal_of(options)
    found = overview(reader)
    slot = resolve(options.pod, found.slots, nodes_of(reader))[0] if options.pod else ""
    since = found.last_at - duration(options.last) if options.last else 0
    chosen = select(reader, since=since, slot=slot)
    if options.anonymise:
        chosen = anonymised(chosen, nodes_of(reader))
    total = write(chosen, path)
    if chosen.left_out:
        sys.stderr.write(
            f"{chosen.left_out:,} records before a gap in the journal, or an older form of it, are left out\n"
        )
    tell_damage(reader)
    checked = Verifier(open_journal(path)).run()
    if options.anonymise and checked.divergences:
        path.unlink()
        raise ReplayError("the anonymised history does not verify; the file was removed, please report this")
    told = "every decision matches" if not checked.divergences else (
        "its decisions differ from this version's and are kept as recorded: see `minikubelet replay`"
    )  # fmt: skip
    sys.stdout.write(f"{path}: {total:,} records, {path.stat().st_size:,} bytes; {told}\n")
    return OK


def select(reader: JournalReader, *, since: int, slot: str) -> Selection:
    """The steps from a time (µs) on, of one slot and the node or of all, with the state before them."""
    chosen: Selection | None = None
    reducer: Reducer | None = None
    header: SegmentHeader | None = None
    for item in walk(reader, nearest_start(reader, at=since) if since else 0):
        if isinstance(item, Head):
            header = item.header
            if starts_anew(reducer, item):
                reducer = begin(item, export=is_export(reader)).reducer
                left = len(chosen.steps) + chosen.left_out if chosen else 0
                chosen = Selection(header, _state(reducer, slot), [], left) if reducer else None
            continue
        if chosen is None or reducer is None:
            continue
        if item.event.at < since and not chosen.steps:
            decide(reducer, item)
            chosen.state = _state(reducer, slot)
        elif slot and brief_of(item.event.body).slot not in ("", slot):
            continue
        else:
            chosen.steps.append(_step_of(item, slot))
    if chosen is None:
        raise ReplayError("there is nothing to export: the journal has no usable state to begin with")
    return chosen


def of_slots(state: State, slots: Collection[str]) -> State:
    """The state as far as it is these slots'."""
    crowded = tuple(key for key in state.node.crowded if key in slots)
    node = msgspec.structs.replace(state.node, crowded=crowded)
    return msgspec.structs.replace(state, node=node, slots=tuple(s for s in state.slots if s.key in slots))


def _state(reducer: Reducer, slot: str) -> State:
    state = reducer.snapshot()
    return of_slots(state, (slot,)) if slot else state


def _step_of(step: Step, slot: str) -> Step:
    if not slot:
        return step
    return Step(step.event, [one for one in step.commands if brief_of(one.body).slot == slot])


def write(chosen: Selection, path: Path) -> int:
    """Write a selection; returns the number of records. Raises ReplayError."""
    records = _records(chosen.steps)
    snapshot = Snapshot(chosen.state.seq, encode_snapshot(chosen.state))
    try:
        return write_export(records, snapshot, chosen.header, path)
    except ExportError as error:
        raise ReplayError(f"{path}: {error.strerror}") from None


def _records(steps: Iterable[Step]) -> Iterator[Record]:
    for step in steps:
        yield step.event
        yield from step.commands


def anonymised(chosen: Selection, nodes: list[str]) -> Selection:
    """The same under aliases, its decisions made anew; raises ReplayError where they do not fit in."""
    names = Anonymiser(nodes)
    names.learn(chosen.state)
    for step in chosen.steps:
        names.learn(decode_event(step.event.body))
    header = msgspec.structs.replace(
        chosen.header,
        node=names.aliases.node(chosen.header.node),
        boot=names.aliases.identity(chosen.header.boot),
        core=CORE_VERSION,
        schema=schema_hash(),
        settings={},
    )
    state = names.state(chosen.state)
    reducer = Reducer(state)
    steps = [_rerun(reducer, names, step) for step in chosen.steps]
    for step, following in pairwise(steps):
        if step.commands and step.commands[-1].seq >= following.event.seq:
            raise ReplayError(
                f"event {step.event.seq} leads to more decisions than were recorded; use the version that"
                " recorded this history to anonymise it"
            )
    return Selection(header, state, steps, chosen.left_out)


def _rerun(reducer: Reducer, names: Anonymiser, step: Step) -> Step:
    event = names.event(decode_event(step.event.body))
    seq, at = step.event.seq, step.event.at
    commands = [
        Record(number, RecordKind.COMMAND, at, msgspec.Raw(encode_command(one.command)), one.causes)
        for number, one in enumerate(reducer.decide(seq, at, event), seq + 1)
    ]
    return Step(Record(seq, RecordKind.EVENT, at, msgspec.Raw(encode_event(event))), commands)
