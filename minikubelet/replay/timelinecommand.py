"""`minikubelet timeline`: what happened and what was decided, in order: text, JSON, a page, or a trace.

Belongs here: the command, and the text. May not be here: pages and traces.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from minikubelet.journal.journalreader import JournalReader
from minikubelet.replay.replayerrors import NEGATIVE, OK, ReplayError, command
from minikubelet.replay.replayhistory import harmful
from minikubelet.replay.replaymoments import Moment, clock
from minikubelet.replay.replaypaint import Paint, say
from minikubelet.replay.replaytale import first_state, journal_of, nodes_of, tell_damage
from minikubelet.replay.timelinebars import PHASES, Bars
from minikubelet.replay.timelinepage import write_page
from minikubelet.replay.timelineperfetto import write_trace
from minikubelet.replay.timelinerows import Filter, Row, begin_of, look, nothing, overview, rows

_WIDEST_POD = 36
_COMFORTABLE = 400_000


@command
def run(options: argparse.Namespace) -> int:
    """Show a timeline; 1 where no record passes the filters."""
    _check(options)
    reader = journal_of(options)
    found, wanted = look(options, reader)
    passing = rows(reader, wanted)
    shown = 0
    if options.html or options.perfetto:
        kept = list(passing)
        shown = len(kept)
        if shown > _COMFORTABLE:
            sys.stderr.write(f"{shown:,} records are many for a browser: --pod and --since leave fewer\n")
        if kept:
            bars = bars_of(reader, wanted)
            node = ", ".join(nodes_of(reader))
            if options.html:
                write_page(Path(options.html), node, kept, bars, harmful(reader))
                sys.stderr.write(f"{options.html}: {shown:,} records; open it in a browser\n")
            if options.perfetto:
                write_trace(Path(options.perfetto), node, kept, bars, harmful(reader))
                sys.stderr.write(f"{options.perfetto}: {shown:,} records; open it at ui.perfetto.dev\n")
    elif options.output == "json":
        shown = as_json(passing)
    else:
        pods = [wanted.slot] if wanted.slot else list(found.slots)
        shown = as_text(passing, min(_WIDEST_POD, max(map(len, pods), default=4)))
    tell_damage(reader)
    if not shown:
        sys.stderr.write(f"minikubelet: {nothing(overview(reader), wanted)}\n")
    return OK if shown else NEGATIVE


def _check(options: argparse.Namespace) -> None:
    """Raise ReplayError for what would be left aside without a word."""
    for name in ("html", "perfetto"):
        given = getattr(options, name)
        if given == "-":
            raise ReplayError(f"--{name} needs a file's name; - is none")
        if given and options.output == "json":
            raise ReplayError(f"--{name} writes a file, and -o json the records: ask for one at a time")


def bars_of(reader: JournalReader, wanted: Filter) -> Bars:
    """The phases up to the end of what is asked for, whatever kinds and times are left out of it."""
    begin = begin_of(reader, wanted.since)
    bars = Bars(slot for slot in first_state(reader, begin) if wanted.slot in ("", slot.key))
    since = Moment(seq=begin)
    for row in rows(reader, Filter(wanted.slot, kinds=PHASES, since=since, until=wanted.until)):
        bars.take(row)
    return bars


def as_text(passing: Iterable[Row], width: int) -> int:
    """Aligned lines with times relative to the first; decisions are marked with an arrow."""
    paint = Paint(sys.stdout)
    start, shown = 0, 0
    for row in passing:
        if not shown:
            start = row.at
            say(f"times are relative to {clock(start)} UTC; → marks a decision, (n) its causes")
        shown += 1
        pod = row.slot if len(row.slot) <= width else f"…{row.slot[1 - width :]}"
        mark = "→" if row.decision else "·"
        causes = f"  ({' '.join(map(str, row.causes))})" if row.causes else ""
        line = f"{relative(row.at - start):>14}  {row.seq:>8} {mark} {pod or '-':<{width}}"
        text = paint.strong(row.text) if row.decision else row.text
        say(f"{line}  {text}{paint.faint(causes)}")
    return shown


def relative(microseconds: int) -> str:
    """`+1:02:03.456`, to the millisecond, aligned where it is right-justified."""
    ms = microseconds // 1000
    seconds, rest = divmod(abs(ms), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if ms < 0 else "+"
    big = f"{hours}:{minutes:02}:" if hours else f"{minutes}:" if minutes else ""
    return f"{sign}{big}{seconds:0{2 if big else 1}}.{rest:03}"


def as_json(passing: Iterable[Row]) -> int:
    """One JSON array, an object a line."""
    shown = 0
    for row in passing:
        item = {
            "seq": row.seq,
            "at": row.at,
            "time": clock(row.at).replace(" ", "T") + "Z",
            "type": "decision" if row.decision else "event",
            "kind": row.kind,
            "pod": row.slot,
            "uid": row.uid,
            "container": row.container,
            "text": row.text,
            "causes": row.causes,
            "record": row.raw,
        }
        say(("," if shown else "[") + msgspec.json.encode(item).decode())
        shown += 1
    say("]" if shown else "[]")
    return shown
