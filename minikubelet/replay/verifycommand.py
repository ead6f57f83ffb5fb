"""`minikubelet replay`: the command around `verify`.

Belongs here: options, progress, exit codes. May not be here: comparing, or the words of the report.
"""

from __future__ import annotations

import argparse
import sys
import time

from minikubelet.journal.journalreader import JournalReader
from minikubelet.replay.divergencegroups import group_lines, grouped
from minikubelet.replay.replayerrors import OK, command
from minikubelet.replay.replayhistory import harmful
from minikubelet.replay.replaypaint import Paint, say
from minikubelet.replay.replayprogress import progress
from minikubelet.replay.replaytale import ASIDE, journal_of
from minikubelet.replay.verifyjobs import verify
from minikubelet.replay.verifyreport import (
    as_json,
    causes_of,
    divergence_lines,
    verdict_lines,
    verdict_of,
)


@command
def run(options: argparse.Namespace) -> int:
    """Verify a journal: 0 everything matches, 1 it does not or is damaged, 2 nothing could be verified."""
    return report(journal_of(options), jobs=options.jobs, today=options.compare_core, form=options.output)


def report(reader: JournalReader, *, jobs: int, today: bool, form: str) -> int:
    """Verify as recorded, or compare with what is decided today, print what was found and return the code."""
    began = time.monotonic()
    found = verify(reader, jobs=jobs, today=today, progress=progress("verified"))
    seconds = time.monotonic() - began
    causes = causes_of(reader, found.divergences[0]) if found.divergences else []
    groups = grouped(found.divergences) if today else []
    reader.damage = found.damage
    harms, aside = len(harmful(reader)), reader.aside()
    verdict = verdict_of(found, harms, today=today)
    if form == "json":
        say(as_json(found, causes, seconds, groups, verdict).decode())
        return verdict.code
    paint = Paint(sys.stdout)
    for line in verdict_lines(found, seconds, today=today):
        say(paint.warn(line) if line.startswith("damage") else line)
    if harms and aside is not None:
        say(f"{ASIDE} {aside}")
    if today and found.divergences:
        say(paint.bad(f"{len(found.divergences):,} events lead to other decisions today:"))
        say("\n".join(group_lines(groups)))
    elif found.divergences:
        say(paint.bad("DIVERGENCE"))
        say("\n".join(divergence_lines(found.divergences[0], causes)))
    say(paint.good(verdict.text) if verdict.code == OK else paint.bad(verdict.text))
    return verdict.code
