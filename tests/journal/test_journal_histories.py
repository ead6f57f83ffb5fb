"""Random histories of appends, commits, snapshots, disk faults, crashes and restarts keep the promise.

The promise: what was acknowledged while healthy is found after a crash, what is found is what was written,
and the state that a start hands over (snapshot and records after it) always ends where history ends.
"""

import asyncio
import errno
import random
from pathlib import Path

import msgspec
import pytest

from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.journal.journalreader import JournalReader
from minikubelet.journal.writing import Patience
from minikubelet.ports.journalport import Record, RecordKind, Retention
from tests.journal.journal_world import FailingDisk, open_disk

FAULTS = ("write", "fdatasync", "create", "rename", "sync_directory", "unlink")
LIMITS = Retention(max_bytes=4_000, segment_bytes=700)
PATIENCE = Patience(flush_after=60, retry_first=0.0001, retry_most=0.001, held_bytes=800)


class History:
    """One agent after another on one directory; the state is a checksum over all bodies so far."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.choice = random.Random(seed)
        self.disk = FailingDisk()
        self.states: dict[int, int] = {0: 0}  # seq -> the state after it, as last written
        self.written: dict[int, Record] = {}
        self.acknowledged = 0

    def state_after(self, state: int, record: Record) -> int:
        return (state * 31 + msgspec.json.decode(record.body, type=int)) % 1_000_003

    async def life(self) -> None:
        """One agent: it starts, works among faults, and is killed."""
        self.disk.heal()
        opened = open_disk(self.directory, self.disk, limits=LIMITS, patience=PATIENCE)
        journal = opened.journal
        assert isinstance(journal, DiskJournal)
        assert not journal.health.degraded
        state, seq = 0, 0
        if opened.snapshot is not None:
            state, seq = int(opened.snapshot.body), opened.snapshot.seq
            assert self.states[seq] == state, "a snapshot is the state of its seq"
        for record in opened.records:
            assert record == self.written[record.seq], "what is found is what was written"
            state, seq = self.state_after(state, record), record.seq
            assert self.states[seq] == state, "records follow their snapshot without a hole"
        assert seq >= self.acknowledged, "nothing acknowledged is lost"
        assert journal.next_seq > seq
        await self.work(journal, state)
        self.kill(journal)

    async def work(self, journal: DiskJournal, state: int) -> None:
        for _ in range(self.choice.randrange(40)):
            match self.choice.choices(
                ("append", "commit", "begin", "fault", "heal", "rest"), (8, 5, 3, 3, 2, 2)
            )[0]:
                case "append":
                    for _ in range(self.choice.randrange(1, 6)):
                        seq = journal.next_seq
                        body = msgspec.Raw(b"%d" % self.choice.randrange(10**6))
                        record = Record(seq, RecordKind.EVENT, seq, body)
                        state = self.state_after(state, record)
                        self.written[seq], self.states[seq] = record, state
                        journal.append([record])
                case "commit":
                    last = journal.next_seq - 1
                    await journal.commit()
                    if not journal.health.degraded:
                        self.acknowledged = max(self.acknowledged, last)
                case "begin":
                    last = journal.next_seq - 1
                    self.states[last] = state
                    await journal.begin_segment(b"%d" % state, last)
                case "fault":
                    name = self.choice.choice(FAULTS)
                    self.disk.broken[name] = self.choice.choice((errno.EIO, errno.ENOSPC))
                    self.disk.torn = self.choice.random() < 0.5
                    self.disk.once = {name} if self.choice.random() < 0.5 else set()
                case "heal":
                    self.disk.heal()
                case "rest":
                    await asyncio.sleep(0.002)

    def kill(self, journal: DiskJournal) -> None:
        """What a kill leaves: no flush, no farewell; only the lock is gone with the process."""
        if journal._drain is not None:
            journal._drain.cancel()
        for timer in (journal._timer, journal._reminder, journal._watch):
            if timer is not None:
                timer.cancel()
        journal._thread.close()
        journal._store.close()
        journal._release()


@pytest.mark.parametrize("seed", range(30))
def test_a_random_history_keeps_the_promise(seed: int, tmp_path: Path) -> None:
    history = History(tmp_path, seed)

    async def main() -> None:
        for _ in range(8):
            await history.life()

    asyncio.run(main())
    assert history.disk.touched_after_failure == 0
    if list(tmp_path.glob("*.mkj")):
        for record in JournalReader(tmp_path).records():
            assert record == history.written[record.seq]
