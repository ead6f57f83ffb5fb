"""Killed at any moment, an agent loses nothing that was acknowledged.

`MINIKUBELET_KILL_ROUNDS` says how often it is killed.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from minikubelet.journal.fileops import RealFileOps
from minikubelet.journal.journalreader import JournalReader
from minikubelet.journal.survey import survey_directory
from tests.journal.journal_world import record

ROUNDS = int(os.environ.get("MINIKUBELET_KILL_ROUNDS", "20"))
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(300 + 10 * ROUNDS)
PROGRAM = """
import asyncio, sys
from pathlib import Path
from minikubelet.ports.journalport import Retention
from tests.journal.journal_world import numbered, open_disk

async def produce(journal):
    while True:
        first = journal.next_seq
        journal.append(numbered(first, first + 2))
        last = journal.next_seq - 1
        await journal.commit()
        if journal.health.degraded:  # a disk that is busy for long: what is told then is not durable
            await asyncio.sleep(0.01)
        else:
            print(last, flush=True)

async def main():
    opened = open_disk(Path(sys.argv[1]), limits=Retention(segment_bytes=20_000))
    journal = opened.journal
    assert not journal.health.degraded, journal.health
    for _ in opened.records:
        pass
    async def rotate():
        while True:
            if journal.snapshot_wanted:
                await journal.begin_segment(b'{"upto":%d}' % (journal.next_seq - 1), journal.next_seq - 1)
            await asyncio.sleep(0.001)
    async with asyncio.TaskGroup() as group:
        group.create_task(rotate())
        for _ in range(20):
            group.create_task(produce(journal))

asyncio.run(main())
"""


def run_and_kill(directory: Path, lines: int) -> int:
    """Start a child that appends, kill it after so many acknowledgements; the last seq acknowledged."""
    command = [sys.executable, "-c", PROGRAM, str(directory)]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert child.stdout is not None
    acknowledged = 0
    with child.stdout:
        for _ in range(lines):
            acknowledged = max(acknowledged, int(child.stdout.readline()))
        child.kill()
        for line in child.stdout.read().splitlines(keepends=True):
            if line.endswith(b"\n"):
                acknowledged = max(acknowledged, int(line))
    child.wait()
    return acknowledged


def test_nothing_acknowledged_is_lost_by_kill(tmp_path: Path) -> None:
    choice = random.Random(11)
    before = 0
    for _ in range(ROUNDS):
        acknowledged = run_and_kill(tmp_path, choice.randrange(1, 120))
        assert acknowledged > before
        reader = JournalReader(tmp_path)
        records = list(reader.records())
        assert [found.seq for found in records] == list(range(1, len(records) + 1))
        assert len(records) >= acknowledged
        assert records[before:] == [record(seq) for seq in range(before + 1, len(records) + 1)]
        findings = survey_directory(tmp_path, RealFileOps())
        assert findings.next_seq == len(records) + 1
        before = len(records)
