"""Verification in several processes: a history is split at segments that begin with a snapshot.

Belongs here: the splitting and the putting together. May not be here: comparing. A part trusts the snapshot
it begins with, and the part before has compared that snapshot with the state it reached.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from minikubelet.journal.journalreader import JournalReader
from minikubelet.processes import pool
from minikubelet.replay.replayhistory import is_export, open_journal
from minikubelet.replay.replayverify import Findings, Verifier
from minikubelet.wire.records import schema_hash

Progress = Callable[[int, int], None]
_PARTS_PER_JOB = 4


class Part(NamedTuple):
    """Segments from the one that begins with record `first` up to the head at `stop` (None: the end)."""

    path: Path
    first: int
    stop: int | None
    today: bool


def verify(reader: JournalReader, *, jobs: int, today: bool, progress: Progress | None) -> Findings:
    """Verify a history; the findings are the same for any number of jobs (0: one a core)."""
    jobs = jobs or len(os.sched_getaffinity(0))
    parts = split(reader, jobs * _PARTS_PER_JOB, today=today) if jobs > 1 and not is_export(reader) else []
    if len(parts) <= 1:
        return Verifier(reader, today=today).run(progress=progress)
    found = Findings()
    with pool(min(jobs, len(parts))) as workers:
        for result in workers.map(verify_part, parts):
            found.add(result)
            if found.divergences and not today:
                workers.shutdown(wait=False, cancel_futures=True)
                break
            if progress is not None:
                progress(found.events, found.last_seq)
    return found


def split(reader: JournalReader, most: int, *, today: bool) -> list[Part]:
    """At most so many parts of about as many records; every part but the first begins with a snapshot."""
    heads = reader.headers()
    schema = schema_hash()  # a snapshot of another form may not be readable: not a place to begin
    usable = [head for head in heads[1:] if head.snapshot is not None and head.schema == schema]
    starts = [heads[0].first, *(head.first for head in usable)]
    least = max(1, (heads[-1].first - heads[0].first) // most)
    firsts = starts[:1]
    for first in starts[1:]:
        if first - firsts[-1] >= least:
            firsts.append(first)
    stops = [*firsts[1:], None]
    return [Part(reader.path, first, stop, today) for first, stop in zip(firsts, stops, strict=True)]


def verify_part(part: Part) -> Findings:
    """Verify one part; runs in a process of its own."""
    return Verifier(open_journal(part.path), today=part.today).run(part.first, part.stop)
