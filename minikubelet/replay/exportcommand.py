"""`minikubelet export`: a part of a history as one compressed file that verifies itself, for a bug report.

Belongs here: what goes in, and checking what came out. May not be here: the file's format
(`journal.exportfile`) or anonymity (`anonymise`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from minikubelet.core.commands import Decision
from minikubelet.core.reducer import Reducer
from minikubelet.journal.exportfile import ExportError, write_export
from minikubelet.journal.journalreader import EXPORT_SUFFIX, JournalReader
from minikubelet.ports.journalport import Record, RecordKind, Snapshot
from minikubelet.replay.anonymise import Anonymiser
from minikubelet.replay.podnaming import resolve
from minikubelet.replay.replayerrors import OK, ReplayError, command
from minikubelet.replay.replayhistory import Step, brief_of, open_journal
from minikubelet.replay.replaymoments import duration
from minikubelet.replay.replayprogress import progress, told
from minikubelet.replay.replaytale import journal_of, nodes_of, tell_damage
from minikubelet.replay.replayverify import Verifier
from minikubelet.replay.selecting import JournalSelection, Selection, select
from minikubelet.replay.timelinerows import overview
from minikubelet.wire.records import (
    CORE_VERSION,
    decode_event,
    encode_command,
    encode_event,
    encode_snapshot,
    schema_hash,
)


@command
def run(options: argparse.Namespace) -> int:
    """Write an export and verify it."""
    path = Path(options.output_file)
    if not path.name or path.name == EXPORT_SUFFIX:
        raise ReplayError(f"{options.output_file!r} names no file; write one such as bug{EXPORT_SUFFIX}")
    if path.suffix != EXPORT_SUFFIX:
        raise ReplayError(
            f"{path}: name the file {path.with_suffix(EXPORT_SUFFIX).name}: {EXPORT_SUFFIX} tells an export"
        )
    reader = journal_of(options)
    found = overview(reader)
    slot = resolve(options.pod, found.slots, nodes_of(reader))[0] if options.pod else ""
    since = found.last_at - duration(options.last) if options.last else 0
    chosen = select(reader, since=since, slot=slot)
    if slot:
        everything = select(reader, since=since, slot="")
        if not _stands_alone(chosen, everything, slot):
            sys.stderr.write(
                "what is decided for this pod depends on others: all of them are in the export\n"
            )
            chosen = everything
    differs = _difference(reader) if options.anonymise else ""
    made: Selection = chosen
    if options.anonymise:
        made = anonymised(chosen, nodes_of(reader), differs=bool(differs))
    total = write(made, path, "exported")
    if chosen.left_out:
        sys.stderr.write(
            f"{chosen.left_out:,} records before a gap in the journal, or an older form of it, are left out\n"
        )
    if differs:
        sys.stderr.write(f"{differs}\n")
    tell_damage(reader)
    checked = Verifier(open_journal(path)).run(progress=progress("verified"))
    if options.anonymise and checked.divergences:
        path.unlink()
        raise ReplayError("the anonymised history does not verify; the file was removed, please report this")
    verdict = "every decision matches" if not checked.divergences else (
        "its decisions differ from this version's and are kept as recorded: see `minikubelet replay`"
    )  # fmt: skip
    sys.stdout.write(f"{path}: {total:,} records, {path.stat().st_size:,} bytes; {verdict}\n")
    return OK


def _stands_alone(alone: JournalSelection, together: JournalSelection, slot: str) -> bool:
    """Whether this version decides the same for a pod without the pods that are left out as with them."""
    one, all_of_them = Reducer(alone.state), _decided(together)
    for step in told(alone.steps, "re-run"):
        decided = one.decide(step.event.seq, step.event.at, decode_event(step.event.body))
        beside = next(found for seq, found in all_of_them if seq == step.event.seq)
        if decided != [each for each in beside if each.command.slot == slot]:
            return False
    return True


def _decided(selection: Selection) -> Iterator[tuple[int, list[Decision]]]:
    """What this version decides at each event, by its seq."""
    reducer = Reducer(selection.state)
    for step in selection.steps:
        event = step.event
        yield event.seq, reducer.decide(event.seq, event.at, decode_event(event.body))


def alike(decided: Sequence[Decision], step: Step) -> bool:
    """Whether decisions are of the same kinds, and from the same causes, as those that were recorded."""
    now = [(type(one.command).__name__, one.causes) for one in decided]
    return now == [(brief_of(one.body).kind, tuple(one.causes)) for one in step.commands]


def _difference(reader: JournalReader) -> str:
    """That an anonymised export, whose decisions are made anew, will not show what differs in its journal."""
    found = Verifier(open_journal(reader.path)).run(progress=progress("verified")).divergences
    if not found:
        return ""
    return (
        f"this version decides otherwise than was recorded, from seq {found[0].seq} on, and the export holds"
        " what it decides now: to report the difference, export without --anonymise"
    )


def write(chosen: Selection, path: Path, done: str = "") -> int:
    """Write a selection; returns the number of records. Raises ReplayError.

    With `done`, such as "exported", how far it is is told where it takes long.
    """
    records = _records(told(chosen.steps, done) if done else chosen.steps)
    snapshot = Snapshot(chosen.state.seq, encode_snapshot(chosen.state))
    try:
        return write_export(records, snapshot, chosen.header, path)
    except ExportError as error:
        raise ReplayError(f"{path}: {error.strerror}") from None


def _records(steps: Iterable[Step]) -> Iterator[Record]:
    for step in steps:
        yield step.event
        yield from step.commands


def anonymised(chosen: Selection, nodes: list[str], *, differs: bool = False) -> Selection:
    """The same under aliases, its decisions made anew as it is walked, once.

    Walking raises ReplayError where they are others than were recorded, unless it `differs` as it is.
    """
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
    return Selection(
        header, state, _rerun(Reducer(state), names, chosen.steps, differs=differs), chosen.left_out
    )


def _rerun(reducer: Reducer, names: Anonymiser, steps: Iterable[Step], *, differs: bool) -> Iterator[Step]:
    before = last = 0
    for step in steps:
        seq, at = step.event.seq, step.event.at
        if last >= seq:
            raise ReplayError(
                f"event {before} leads to more decisions than were recorded; use the version that"
                " recorded this history to anonymise it"
            )
        event = names.event(decode_event(step.event.body))
        decided = reducer.decide(seq, at, event)
        if not differs and not alike(decided, step):
            raise ReplayError(
                f"event {seq} is decided otherwise under other names; nothing was written, please report this"
            )
        commands = [
            Record(number, RecordKind.COMMAND, at, msgspec.Raw(encode_command(one.command)), one.causes)
            for number, one in enumerate(decided, seq + 1)
        ]
        before, last = seq, seq + len(commands)
        yield Step(Record(seq, RecordKind.EVENT, at, msgspec.Raw(encode_event(event))), commands)
