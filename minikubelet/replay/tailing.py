"""`minikubelet tail`: the newest events and decisions, and with -f those to come.

Belongs here: the command. May not be here: following a journal on a disk (`journal.journalfollow`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import deque
from collections.abc import Callable

import msgspec

from minikubelet.journal.journalreader import JournalReader
from minikubelet.ports.journalport import Record, RecordKind
from minikubelet.replay.replayerrors import OK, ReplayError, command
from minikubelet.replay.replaymoments import clock
from minikubelet.replay.replaypaint import Paint, say
from minikubelet.replay.replaytale import journal_of, tell_damage
from minikubelet.replay.timelinerows import row_of

_LINES = 20


@command
def run(options: argparse.Namespace) -> int:
    """Show records; with -f until interrupted."""
    reader = journal_of(options)
    if options.follow and not reader.path.is_dir():
        raise ReplayError(f"{reader.path} does not grow; leave -f out, or name a journal's directory")
    if options.from_seq is not None and options.lines is not None:
        raise ReplayError("--from and -n both say where to begin: leave one of them out")
    lines = _LINES if options.lines is None else options.lines
    start = options.from_seq if options.from_seq is not None else _newest(reader, lines)
    oldest = reader.headers()[0].first
    if options.from_seq is not None and start < oldest > 1:
        sys.stderr.write(f"records before {oldest} are gone; going on from there\n")
    show = _as_json if options.output == "json" else _Text()
    if options.follow:
        asyncio.run(_follow(reader, start, show))
    else:
        last = 0
        for record in reader.records(start):
            show(record)
            last = record.seq
        tell_damage(reader)
        if options.from_seq is not None and not last:
            sys.stderr.write(f"no record from {start} on; leave --from out for the newest\n")
    return OK


def _newest(reader: JournalReader, lines: int) -> int:
    """The seq with which the last so many records begin."""
    newest: deque[int] = deque(maxlen=min(max(lines, 1), sys.maxsize))
    firsts = [head.first for head in reader.headers()]
    newest.extend(record.seq for record in reader.records(firsts[-1]))
    wanted = (newest[-1] if newest else firsts[-1]) - lines + 1
    # In the part that holds the first of them where no record is missing; else somewhere in the whole.
    for first in (max((one for one in firsts if one <= wanted), default=firsts[0]), firsts[0]):
        if len(newest) < lines:
            newest.clear()
            newest.extend(record.seq for record in reader.records(first))
    if not newest:
        return 0
    return newest[0] if lines else newest[0] + 1


async def _follow(reader: JournalReader, start: int, show: Callable[[Record], None]) -> None:
    last = 0
    async for record in reader.follow(start):
        if last and record.seq > last + 1:
            sys.stderr.write(f"records {last + 1} to {record.seq - 1} are missing\n")
        show(record)
        sys.stdout.flush()
        last = record.seq


class _Text:
    """A line a record: time, seq, mark, pod, sentence."""

    def __init__(self) -> None:
        self._paint = Paint(sys.stdout)

    def __call__(self, record: Record) -> None:
        row = row_of(record)
        mark = "→" if row.decision else "·"
        text = self._paint.strong(row.text) if row.decision else row.text
        say(f"{clock(row.at)}  {row.seq:>8} {mark} {row.slot or '-':<28}  {text}")


def _as_json(record: Record) -> None:
    item = {
        "seq": record.seq,
        "at": record.at,
        "type": "event" if record.kind is RecordKind.EVENT else "decision",
        "causes": record.causes,
        "record": record.body,
    }
    say(msgspec.json.encode(item).decode())
