"""Disks that do not answer, and journals that somebody removes under the agent: said, and gone on from."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from minikubelet.journal import journalopen
from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.journal.survey import survey_directory
from minikubelet.journal.writing import Patience
from minikubelet.ports.journalport import Journal, JournalHealth, JournalLockedError
from tests.journal.journal_world import GatedDisk, numbered, open_disk, write_records
from tests.journal.test_journal_faults import on_disk, until

IMPATIENT = Patience(flush_after=60, retry_first=0.02, retry_most=0.05, hang_after=0.1, look_every=0.02)
PATIENT = Patience(flush_after=60, retry_first=0.02, retry_most=0.05, hang_after=300, look_every=0.02)


def segments(directory: Path) -> list[Path]:
    return list(directory.glob("*.mkj"))


def hanging(path: Path, story: Callable[[Journal, GatedDisk], Awaitable[None]]) -> list[JournalHealth]:
    """Three records are on the disk when it stops to answer, and one more has been appended."""
    disk = GatedDisk()
    told: list[JournalHealth] = []

    async def main() -> None:
        journal = open_disk(path, disk, patience=IMPATIENT).journal
        journal.on_health = told.append
        await journal.begin_segment(b"{}", 0)
        await write_records(journal, 3)
        disk.gate.clear()
        journal.append(numbered(4, 4))
        try:
            await asyncio.wait_for(journal.commit(), 60)
            await story(journal, disk)
        finally:
            disk.gate.set()
            await journal.close()

    asyncio.run(main())
    assert disk.touched_after_failure == 0
    return told


def test_a_sync_that_hangs_holds_nobody_up_and_is_said_until_it_ends(tmp_path: Path) -> None:
    async def story(journal: Journal, disk: GatedDisk) -> None:
        assert journal.health == JournalHealth(degraded=True, reason="the disk has not answered for 0.1 s")
        await asyncio.wait_for(write_records(journal, 5), 60)
        assert disk.calls["fdatasync"] == 4, "what hangs is not tried again"
        disk.gate.set()
        await until(lambda: not journal.health.degraded)
        await journal.commit()
        assert on_disk(tmp_path) == list(range(1, 10))

    told = hanging(tmp_path, story)
    assert [one.degraded for one in told] == [True, False]
    assert [record.seq for record in open_disk(tmp_path).records] == list(range(1, 10))


def test_a_snapshot_does_not_wait_for_a_disk_that_hangs_and_is_taken_later(tmp_path: Path) -> None:
    async def story(journal: Journal, disk: GatedDisk) -> None:
        journal.append(numbered(5, 5))
        await asyncio.wait_for(journal.begin_segment(b'{"upto":5}', 5), 60)
        assert journal.health.degraded
        disk.gate.set()
        await until(lambda: not journal.health.degraded)
        await until(lambda: len(segments(tmp_path)) == 2)

    hanging(tmp_path, story)
    again = open_disk(tmp_path)
    assert again.snapshot is not None
    assert again.snapshot.body == b'{"upto":5}'
    asyncio.run(again.journal.close())


def test_an_agent_can_stop_while_the_disk_hangs(tmp_path: Path) -> None:
    async def story(journal: Journal, _disk: GatedDisk) -> None:
        journal.append(numbered(5, 6))
        await asyncio.wait_for(journal.close(), 60)

    hanging(tmp_path, story)
    assert on_disk(tmp_path)[:3] == [1, 2, 3]


def test_a_process_ends_though_its_disk_never_answers() -> None:
    source = """
import asyncio, threading
from minikubelet.journal.diskthread import DiskThread

async def main():
    hung = asyncio.Event()
    disk = DiskThread(0.01, hung.set)
    writing = asyncio.create_task(disk.run(threading.Event().wait))
    await hung.wait()
    assert not await disk.answered(writing)
    disk.close()

asyncio.run(main())
print("ended")
"""
    ran = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("ended\n", "", 0)


@pytest.mark.parametrize("moved", [False, True])
def test_a_directory_that_is_removed_under_the_agent_is_said_though_nothing_happens(
    tmp_path: Path, moved: bool
) -> None:
    directory = tmp_path / "state" / "journal"

    async def main() -> None:
        journal = open_disk(directory, patience=PATIENT).journal
        await journal.begin_segment(b"{}", 0)
        await write_records(journal, 3)
        if moved:
            directory.parent.rename(tmp_path / "elsewhere")
        else:
            shutil.rmtree(directory.parent)
        await until(lambda: journal.health.degraded)
        said = f"the directory {directory} was removed or moved while the agent ran"
        assert journal.health.reason.startswith(said)
        await write_records(journal, 2)
        assert journal.health.reason.startswith(said)
        directory.mkdir(parents=True)
        await until(lambda: not journal.health.degraded)
        assert journal.snapshot_wanted
        with pytest.raises(JournalLockedError):
            open_disk(directory)
        await journal.begin_segment(b'{"upto":5}', 5)
        await write_records(journal, 1)
        await journal.close()

    asyncio.run(main())
    again = open_disk(directory)
    assert again.snapshot is not None
    assert list(again.records) == numbered(6, 6)
    asyncio.run(again.journal.close())


def test_a_journal_that_another_agent_took_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    directory = tmp_path / "journal"

    async def main() -> None:
        first = open_disk(directory, patience=PATIENT).journal
        await first.begin_segment(b"{}", 0)
        await write_records(first, 3)
        shutil.rmtree(directory)
        second = open_disk(directory, patience=PATIENT).journal
        await write_records(first, 1)
        assert first.health.degraded
        assert "another agent has taken the journal (pid " in first.health.reason
        await write_records(second, 2)
        await second.close()
        await until(lambda: not first.health.degraded)
        await first.close()

    asyncio.run(main())


def test_a_segment_that_is_removed_has_a_successor_at_once(tmp_path: Path) -> None:
    asked: list[str] = []

    async def main() -> None:
        journal = open_disk(tmp_path).journal
        assert isinstance(journal, DiskJournal)
        journal.on_snapshot_wanted = asked.append
        await journal.begin_segment(b"{}", 0)
        await write_records(journal, 3)
        for path in segments(tmp_path):
            path.unlink()
        await write_records(journal, 1)
        assert journal.health == JournalHealth()
        await journal.begin_segment(b'{"upto":4}', 4)
        await journal.close()

    asyncio.run(main())
    assert asked == ["the disk failed: the segment was removed or moved while the agent ran"]
    assert open_disk(tmp_path).snapshot is not None


def test_a_start_that_verifies_a_part_of_a_large_journal_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        journal = open_disk(tmp_path).journal
        for _ in range(4):
            await write_records(journal, 2)
            await journal.begin_segment(b"{}", journal.next_seq - 1)
        await journal.close()

    asyncio.run(main())
    with capture_logs() as said:
        asyncio.run(open_disk(tmp_path).journal.close())
    assert not [line for line in said if "not verified" in line["event"]]
    monkeypatch.setattr(journalopen, "survey_directory", partial(survey_directory, thorough_bytes=10))
    with capture_logs() as said:
        asyncio.run(open_disk(tmp_path).journal.close())
    (line,) = [line for line in said if "not verified" in line["event"]]
    assert line["segments"] == len(segments(tmp_path)) - 2
    assert "replay --verify" in line["event"]
