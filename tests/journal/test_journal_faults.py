"""Disks that fail: nothing acknowledged is lost, no failed file is written again, the agent goes on."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from minikubelet.journal.journalreader import JournalReader
from minikubelet.journal.segments import segment_name
from minikubelet.journal.writing import Patience
from minikubelet.ports.journalport import Journal, JournalHealth, Retention
from tests.journal.journal_world import EAGER, FailingDisk, numbered, open_disk, write_records

LAZY = Patience(flush_after=60, retry_first=60, retry_most=60, hang_after=300)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, for as long as a slow machine needs."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the journal has no event to wait for here
            await asyncio.sleep(0.005)


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def on_disk(directory: Path) -> list[int]:
    return [record.seq for record in JournalReader(directory).records()]


@pytest.mark.parametrize("operation", ["write", "fdatasync"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("torn", [False, True])
def test_a_failed_group_goes_into_a_new_segment_and_the_old_file_is_left_alone(
    operation: str, code: int, torn: bool, tmp_path: Path
) -> None:
    disk = FailingDisk()
    disk.torn = torn
    asked: list[str] = []

    async def main() -> None:
        journal = open_disk(tmp_path, disk, patience=LAZY).journal
        journal.on_snapshot_wanted = asked.append
        await journal.begin_segment(b"{}", 0)
        await write_records(journal, 3)
        disk.broken[operation] = code
        disk.once.add(operation)
        journal.append(numbered(4, 6))
        await journal.commit()
        assert journal.health == JournalHealth()
        assert journal.snapshot_wanted
        assert on_disk(tmp_path) == [1, 2, 3, 4, 5, 6]
        await journal.begin_segment(b'{"upto":6}', 6)
        await write_records(journal, 2)
        await journal.close()

    asyncio.run(main())
    assert len(asked) == 1
    assert asked[0].startswith("the disk failed:")
    assert disk.touched_after_failure == 0
    assert on_disk(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8]
    again = open_disk(tmp_path)
    assert list(again.records) == numbered(7, 8)
    assert again.survey.damage == ()
    asyncio.run(again.journal.close())


@pytest.mark.parametrize("operation", ["write", "fdatasync", "create", "rename", "sync_directory"])
def test_a_disk_that_stays_broken_degrades_the_journal_until_it_works_again(
    operation: str, tmp_path: Path
) -> None:
    disk = FailingDisk()
    healths: list[JournalHealth] = []

    async def main() -> None:
        journal = open_disk(tmp_path, disk).journal
        journal.on_health = healths.append
        if operation not in ("create", "rename", "sync_directory"):
            await write_records(journal, 3)
        start = journal.next_seq
        disk.broken[operation] = errno.ENOSPC
        journal.append(numbered(start, start + 4))
        await journal.commit()
        assert journal.health.degraded
        assert "No space left" in journal.health.reason
        journal.append(numbered(start + 5, start + 6))
        await journal.commit()
        disk.heal()
        await until(lambda: not journal.health.degraded)
        await journal.commit()
        assert on_disk(tmp_path) == list(range(1, start + 7))
        assert journal.snapshot_wanted
        await journal.close()

    asyncio.run(main())
    assert [health.degraded for health in healths] == [True, False]
    assert disk.touched_after_failure == 0
    assert [record.seq for record in open_disk(tmp_path).records] == list(
        range(1, journal_length(tmp_path) + 1)
    )


def journal_length(directory: Path) -> int:
    return on_disk(directory)[-1]


def test_records_that_memory_cannot_hold_are_bridged_by_a_snapshot(tmp_path: Path) -> None:
    disk = FailingDisk()
    patience = Patience(flush_after=0.01, retry_first=0.01, retry_most=0.02, held_bytes=500)
    asked: list[str] = []

    async def main() -> None:
        journal = open_disk(tmp_path, disk, patience=patience).journal
        journal.on_snapshot_wanted = asked.append
        await journal.begin_segment(b"{}", 0)
        await write_records(journal, 2)
        disk.broken["write"] = errno.ENOSPC
        await write_records(journal, 100)
        disk.heal()
        await until(lambda: bool(asked))
        assert journal.health.degraded, "a hole in the history needs a snapshot"
        last = journal.next_seq - 1
        await journal.begin_segment(b'{"upto":102}', last)
        assert journal.health == JournalHealth()
        await write_records(journal, 1)
        await journal.close()

    asyncio.run(main())
    again = open_disk(tmp_path)
    assert again.snapshot is not None
    assert again.snapshot.body == b'{"upto":102}'
    assert list(again.records) == numbered(103, 103)
    asyncio.run(again.journal.close())


def test_a_read_only_directory_can_be_read_and_gone_on_from_in_memory(tmp_path: Path) -> None:
    async def main() -> None:
        first = open_disk(tmp_path).journal
        await write_records(first, 4)
        await first.close()
        before = contents(tmp_path)
        disk = FailingDisk()
        disk.read_only()
        opened = open_disk(tmp_path, disk)
        assert list(opened.records) == numbered(1, 4)
        journal = opened.journal
        assert journal.health.degraded
        assert "Read-only file system" in journal.health.reason
        await journal.begin_segment(b"{}", 4)
        await write_records(journal, 3)
        assert contents(tmp_path) == before
        disk.heal()
        await write_records(journal, 1)
        await until(lambda: not journal.health.degraded)
        await journal.close()
        assert on_disk(tmp_path) == list(range(1, 9))

    asyncio.run(main())


def test_nothing_is_written_over_a_directory_that_changed_while_it_was_not_locked(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FailingDisk()
        disk.read_only()
        journal = open_disk(tmp_path, disk).journal
        other = open_disk(tmp_path).journal
        await write_records(other, 4)
        await other.close()
        disk.heal()
        await write_records(journal, 2)
        await until(lambda: "restart the agent" in journal.health.reason)
        await journal.close()

    asyncio.run(main())
    assert on_disk(tmp_path) == [1, 2, 3, 4]


@pytest.mark.parametrize("operation", ["listing", "read", "make_directory", "lock", "truncate", "rename"])
def test_an_agent_starts_whatever_fails(operation: str, tmp_path: Path) -> None:
    async def main() -> None:
        first = open_disk(tmp_path).journal
        await write_records(first, 4)
        await first.close()
        segment = tmp_path / segment_name(1)
        segment.write_bytes(segment.read_bytes() + b"torn")
        disk = FailingDisk()
        disk.broken[operation] = errno.EIO
        opened = open_disk(tmp_path, disk)
        assert opened.journal.health.degraded is (operation != "read"), "an unreadable file is set aside"
        assert len(list(opened.records)) == (0 if operation in ("listing", "read") else 4)
        await write_records(opened.journal, 2)
        await opened.journal.close()
        if operation != "read":
            assert on_disk(tmp_path)[:4] == [1, 2, 3, 4]

    asyncio.run(main())


def test_a_new_segment_that_cannot_be_begun_leaves_the_old_one_at_work(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FailingDisk()
        journal: Journal = open_disk(tmp_path, disk).journal
        await write_records(journal, 2)
        disk.broken["create"] = errno.EMFILE
        await journal.begin_segment(b"{}", 2)
        assert journal.health == JournalHealth()
        assert journal.snapshot_wanted
        await write_records(journal, 2)
        assert on_disk(tmp_path) == [1, 2, 3, 4]
        await journal.close()

    asyncio.run(main())


def test_segments_that_came_to_be_without_being_durable_do_not_hide_later_records(tmp_path: Path) -> None:
    async def main() -> None:
        disk = FailingDisk()
        journal = open_disk(tmp_path, disk, patience=EAGER).journal
        await write_records(journal, 3)
        disk.broken["sync_directory"] = errno.EIO
        for last in (5, 8):
            await write_records(journal, last - journal.next_seq + 1)
            await journal.begin_segment(b'{"upto":%d}' % last, last)
            assert journal.health.degraded
        disk.heal()
        await write_records(journal, 2)
        await until(lambda: not journal.health.degraded)
        await journal.commit()
        await journal.close()
        again = open_disk(tmp_path)
        assert (again.snapshot, list(again.records)) == (None, numbered(1, 10))
        await again.journal.close()

    asyncio.run(main())


def test_a_clock_set_back_disturbs_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        for now in (10**15, 10**14, 5):
            journal = open_disk(tmp_path, limits=Retention(max_age=60), patience=EAGER, now=now).journal
            await journal.begin_segment(b"{}", journal.next_seq - 1)
            await write_records(journal, 2)
            await journal.close()
        assert on_disk(tmp_path) == [1, 2, 3, 4, 5, 6]

    asyncio.run(main())
