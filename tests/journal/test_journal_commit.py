"""Group commit: many wait for one sync, nobody waits for ever, and what nobody commits is written anyway."""

import asyncio
from pathlib import Path

import pytest

from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.journal.journalreader import JournalReader
from minikubelet.journal.writing import Patience
from minikubelet.ports.journalport import Journal
from tests.journal.journal_world import FailingDisk, GatedDisk, numbered, open_disk, record, write_records

LAZY = Patience(flush_after=60, hang_after=300)


async def produce(journal: Journal) -> int:
    seq = journal.next_seq
    journal.append([record(seq)])
    await journal.commit()
    return seq


def committed(directory: Path) -> list[int]:
    return [found.seq for found in JournalReader(directory).records()]


def test_all_who_commit_during_a_sync_share_the_next_one(tmp_path: Path) -> None:
    disk = GatedDisk()

    async def main() -> None:
        journal = open_disk(tmp_path, disk, patience=LAZY).journal
        await journal.begin_segment(b"{}", 0)
        disk.calls.clear()
        disk.waiting.clear()
        disk.gate.clear()
        first = asyncio.create_task(produce(journal))
        await asyncio.to_thread(disk.waiting.wait, 60)
        others = [asyncio.create_task(produce(journal)) for _ in range(110)]
        await asyncio.sleep(0)
        assert not first.done()
        disk.gate.set()
        assert await asyncio.gather(first, *others) == list(range(1, 112))
        assert disk.calls["fdatasync"] == 2
        assert committed(tmp_path) == list(range(1, 112))
        await journal.commit()
        assert disk.calls["fdatasync"] == 2, "nothing new, nothing to wait for"
        await journal.close()

    asyncio.run(main())


def test_who_gives_up_waiting_disturbs_nobody(tmp_path: Path) -> None:
    disk = GatedDisk()

    async def main() -> None:
        journal = open_disk(tmp_path, disk, patience=LAZY).journal
        disk.gate.clear()
        quitter = asyncio.create_task(produce(journal))
        await asyncio.to_thread(disk.waiting.wait, 60)
        stayer = asyncio.create_task(produce(journal))
        await asyncio.sleep(0)
        quitter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await quitter
        disk.gate.set()
        assert await stayer == 2
        assert committed(tmp_path) == [1, 2]
        await journal.close()

    asyncio.run(main())


def test_what_nobody_commits_is_written_before_long(tmp_path: Path) -> None:
    async def main() -> None:
        journal = open_disk(tmp_path).journal
        journal.append(numbered(1, 3))
        async with asyncio.timeout(60):
            while not list(tmp_path.glob("*.mkj")):  # noqa: ASYNC110, ASYNC240 - only the file tells
                await asyncio.sleep(0.005)
        assert committed(tmp_path) == [1, 2, 3]
        await journal.close()

    asyncio.run(main())


def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    async def main() -> None:
        journal = open_disk(tmp_path, patience=LAZY).journal
        journal.append(numbered(1, 3))
        await journal.close()
        await journal.close()
        with pytest.raises(RuntimeError, match="closed"):
            journal.append(numbered(4, 4))

    asyncio.run(main())
    assert committed(tmp_path) == [1, 2, 3]


def test_a_bug_in_writing_is_loud_and_leaves_nobody_waiting(tmp_path: Path) -> None:
    class BuggyDisk(FailingDisk):
        def write(self, fd: int, data: bytes) -> int:
            raise ZeroDivisionError

    async def main() -> None:
        seen: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: seen.append(str(context["exception"]))
        )
        journal = open_disk(tmp_path, BuggyDisk(), patience=LAZY).journal
        assert isinstance(journal, DiskJournal)
        journal.append(numbered(1, 1))
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            await journal.commit()
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            await journal.commit()
        assert journal._drain is not None
        assert isinstance(journal._drain.exception(), ZeroDivisionError)

    asyncio.run(main())


def test_a_snapshot_that_waits_for_its_first_record_keeps_the_form_it_was_written_in(tmp_path: Path) -> None:
    async def main() -> None:
        older = open_disk(tmp_path, schema="older").journal
        await write_records(older, 3)
        await older.begin_segment(b'{"upto":3}', 3)
        await older.close()
        later = open_disk(tmp_path, schema="later").journal
        await write_records(later, 1)
        await later.begin_segment(b'{"upto":4}', 4)
        await later.close()

    asyncio.run(main())
    reader = JournalReader(tmp_path)
    assert [(head.first, head.schema) for head in reader.headers()] == [
        (1, "older"),
        (4, "older"),
        (5, "later"),
    ]
    assert [snapshot.seq for snapshot in reader.snapshots()] == [3, 4]
    assert reader.check() == []
