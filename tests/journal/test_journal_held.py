"""Records held in memory stay in order, and a hole among them is never written over."""

import asyncio
import errno
from pathlib import Path

from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.journal.heldrecords import HeldRecords
from minikubelet.journal.journalreader import JournalReader
from minikubelet.journal.writing import Group, Patience
from minikubelet.ports.journalport import JournalHealth
from tests.journal.journal_world import GatedDisk, numbered, open_disk, write_records


def test_a_group_that_was_not_written_is_handed_out_again() -> None:
    held = HeldRecords(4)
    held.add([b"5", b"6", b"7"])
    group = held.take(6)
    assert group == Group((b"5", b"6"), 6)
    assert group.first == 5
    held.add([b"8"])
    held.put_back(group, 4)
    assert (held.taken, len(held), held.size) == (4, 4, 4)
    assert held.take(8) == Group((b"5", b"6", b"7", b"8"), 8)
    assert held.take(8) is None


def test_behind_a_hole_nothing_is_handed_out_until_it_is_covered() -> None:
    held = HeldRecords(0)
    held.add([b"1", b"2"])
    group = held.take(1)
    assert (held.let_go(), held.hole) == (1, True)
    held.add([b"3", b"4"])
    held.put_back(group, 0)
    assert (held.hole, len(held)) == (True, 2), (
        "what stood before the hole would not fit what stands behind it"
    )
    assert held.take(3) is None, "a snapshot after 3 covers the hole and what was before it"
    assert (held.hole, held.take(4)) == (False, Group((b"4",), 4))


def test_records_let_go_while_a_group_is_being_written_keep_the_journal_degraded(tmp_path: Path) -> None:
    disk = GatedDisk()
    patience = Patience(flush_after=60, retry_first=60, retry_most=60, held_bytes=200)
    asked: list[str] = []

    async def main() -> None:
        journal = open_disk(tmp_path, disk, patience=patience).journal
        assert isinstance(journal, DiskJournal)
        journal.on_snapshot_wanted = asked.append
        await journal.begin_segment(b"{}", 0)
        disk.broken["fdatasync"] = errno.EIO
        await write_records(journal, 2)
        disk.heal()
        disk.waiting.clear()
        disk.gate.clear()
        writing = journal._kick()
        await asyncio.to_thread(disk.waiting.wait, 60)
        journal.append(numbered(3, 30))
        disk.gate.set()
        await asyncio.wait([writing])
        assert journal.health.degraded
        journal.append(numbered(31, 31))
        async with asyncio.timeout(60):
            await journal.commit()
            await asyncio.wait([journal._kick()])
        assert asked == ["records were lost while the disk refused"]
        await journal.begin_segment(b'{"upto":31}', 31)
        assert journal.health == JournalHealth()
        await write_records(journal, 1)
        await journal.close()

    asyncio.run(main())
    again = open_disk(tmp_path)
    assert again.snapshot is not None
    assert again.snapshot.body == b'{"upto":31}'
    assert list(again.records) == numbered(32, 32)
    asyncio.run(again.journal.close())
    reader = JournalReader(tmp_path)
    assert [view.linked for view in reader.segments()][-1] is False, "state is that of the snapshot"
    assert "records 3 to 31 are missing" in " ".join(reader.check())
