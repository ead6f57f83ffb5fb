"""Readers need no lock, change nothing, follow a writing agent, and know an export from half of one."""

import asyncio
import errno
import gzip
import random
from pathlib import Path

import pytest

from minikubelet.journal.exportfile import ExportError, write_export
from minikubelet.journal.framing import frame_end
from minikubelet.journal.journalreader import JournalReader
from minikubelet.journal.segments import Tail, segment_name
from minikubelet.ports.journalport import JournalError, Record, Retention, Snapshot
from tests.journal.journal_world import FailingDisk, build_segment, numbered, open_disk, write_records

SNAPSHOT = Snapshot(9, b'{"pods":{}}')


def write_journal(directory: Path, count: int) -> None:
    async def main() -> None:
        journal = open_disk(directory, limits=Retention(segment_bytes=600)).journal
        for _ in range(count):
            if journal.snapshot_wanted:
                await journal.begin_segment(b"%d" % (journal.next_seq - 1), journal.next_seq - 1)
            await write_records(journal, 1)
        await journal.close()

    asyncio.run(main())


def test_reading_from_a_seq_and_the_snapshots(tmp_path: Path) -> None:
    write_journal(tmp_path, 40)
    reader = JournalReader(tmp_path)
    for start in (0, 1, 7, 40, 41):
        assert list(reader.records(start)) == numbered(max(start, 1), 40)
    snapshots = list(reader.snapshots())
    assert len(snapshots) > 3
    assert all(int(snapshot.body) == snapshot.seq for snapshot in snapshots)
    assert all(view.linked for view in reader.segments())
    assert reader.check() == []
    one = JournalReader(tmp_path / segment_name(1))
    assert next(one.records()).seq == 1


def test_reading_changes_nothing_and_tells_damage(tmp_path: Path) -> None:
    write_journal(tmp_path, 40)
    victim = sorted(tmp_path.glob("*.mkj"))[1]
    data = bytearray(victim.read_bytes())
    data[-120] ^= 4
    victim.write_bytes(data)
    last = max(tmp_path.glob("*.mkj"))
    last.write_bytes(last.read_bytes() + b"12345678 {")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    reader = JournalReader(tmp_path)
    seqs = [record.seq for record in reader.records()]
    assert seqs == sorted(set(seqs))
    assert 0 < len(seqs) < 40
    assert [sentence.split(":")[0] for sentence in reader.damage] == [
        victim.name,
        sorted(tmp_path.glob("*.mkj"))[2].name,
        last.name,
    ]
    assert "corrupt behind record" in reader.damage[0]
    assert "are missing" in reader.damage[1]
    assert "10 bytes" in reader.damage[2]
    assert reader.check() == reader.damage
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_what_comes_behind_a_lost_part_is_read(tmp_path: Path) -> None:
    """Though no state is known there before the next snapshot."""
    tail = Tail()
    for begin in (1, 11, 21, 31):
        snapshot = Snapshot(begin - 1, b"{}") if begin == 31 else None
        part = build_segment(numbered(begin, begin + 9), [4, 6], tail, snapshot)
        (tmp_path / part.name).write_bytes(part.data)
        tail = part.tail
    (tmp_path / segment_name(11)).unlink()
    reader = JournalReader(tmp_path)
    assert list(reader.records()) == [*numbered(1, 10), *numbered(21, 40)]
    assert reader.damage == [f"{segment_name(21)}: records before 21 are missing"]
    assert [view.linked for view in reader.segments()] == [True, False, True]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("absent", "no such journal"), ("a.txt", "is no journal"), ("empty", "holds no journal")],
)
def test_what_is_no_journal_is_named(name: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(JournalError, match=sentence):
        JournalReader(tmp_path / name)


def test_following_across_rotation_restart_and_resumption(tmp_path: Path) -> None:
    async def follow(start: int, end: int, ready: asyncio.Event) -> list[Record]:
        found = []
        async for record in JournalReader(tmp_path).follow(start, interval=0.001):
            found.append(record)
            ready.set()
            if record.seq == end:
                break
        return found

    async def write(count: int) -> None:
        journal = open_disk(tmp_path, limits=Retention(segment_bytes=500)).journal
        for _ in range(count):
            if journal.snapshot_wanted:
                await journal.begin_segment(b"{}", journal.next_seq - 1)
            await write_records(journal, 1)
        await journal.close()

    async def main() -> None:
        await write(3)
        ready = asyncio.Event()
        async with asyncio.timeout(100):
            following = asyncio.create_task(follow(1, 150, ready))
            await ready.wait()
            await write(100)
            await write(97)
            assert await following == numbered(1, 150)
            assert await follow(151, 200, ready) == numbered(151, 200)

    asyncio.run(main())


def test_following_sees_a_replaced_empty_segment_and_stops_at_damage(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / segment_name(1)
        path.write_bytes(
            build_segment(numbered(1, 1), [], Tail(), Snapshot(0, b'"a long snapshot, later replaced"')).data
        )
        async with asyncio.timeout(100):
            stream = JournalReader(tmp_path).follow(1, interval=0.001)
            first = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.01)
            whole = build_segment(numbered(1, 6), [2, 2, 2], Tail(), None)
            (tmp_path / "new").write_bytes(whole.data[: whole.ends[1][0]])
            (tmp_path / "new").replace(path)
            assert [await first, await anext(stream)] == numbered(1, 2)
            damaged = bytearray(whole.data)
            damaged[whole.ends[1][0] + 15] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(JournalError, match="corrupt behind record 2"):
                await anext(stream)

    asyncio.run(main())


def make_export(path: Path, records: list[Record]) -> int:
    header = JournalReader(path.parent / "journal").headers()[0]
    return write_export(iter(records), SNAPSHOT, header, path)


def test_an_export_holds_chosen_records_and_verifies(tmp_path: Path) -> None:
    write_journal(tmp_path / "journal", 3)
    path = tmp_path / "bug.mkx"
    chosen = [record for record in numbered(10, 3000) if record.seq % 7]
    assert make_export(path, chosen) == len(chosen)
    reader = JournalReader(path)
    assert list(reader.records()) == chosen
    assert list(reader.snapshots()) == [SNAPSHOT]
    assert [header.node for header in reader.headers()] == ["node"]
    assert reader.check() == []
    assert path.stat().st_mode & 0o777 == 0o600
    first = path.read_bytes()
    make_export(path, chosen)
    assert path.read_bytes() == first, "the same records make the same file"


def test_an_empty_export_is_whole(tmp_path: Path) -> None:
    write_journal(tmp_path / "journal", 3)
    assert make_export(tmp_path / "none.mkx", []) == 0
    assert JournalReader(tmp_path / "none.mkx").check() == []


def test_half_an_export_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    write_journal(tmp_path / "journal", 3)
    path = tmp_path / "bug.mkx"
    make_export(path, numbered(10, 2100))
    data = path.read_bytes()
    lines = gzip.decompress(data).splitlines(keepends=True)
    choice = random.Random(3)
    broken = [data[: choice.randrange(len(data))] for _ in range(100)]
    broken += [gzip.compress(b"".join(lines[:count])) for count in (0, 1, 2, 1000, 1003, len(lines) - 1)]
    broken += [
        gzip.compress(b"".join([*lines, lines[-1]])),
        gzip.compress(b"".join([*lines[:5], *lines[6:]])),
    ]
    crc = int(lines[-2][:8], 16)
    broken += [
        gzip.compress(b"".join([*lines[:-1], frame_end(*end, crc)])) for end in ((2090, 2100), (2091, 2099))
    ]
    for _ in range(200):
        changed = bytearray(data)
        changed[choice.randrange(10, len(data))] ^= 1 << choice.randrange(8)
        broken.append(bytes(changed))
    for number, content in enumerate(broken):
        path.write_bytes(content)
        reader = JournalReader(path)
        records = list(reader.records())
        assert records == numbered(10, 9 + len(records)), number
        assert reader.damage, number


def test_what_was_before_the_cut_can_be_read(tmp_path: Path) -> None:
    write_journal(tmp_path / "journal", 3)
    path = tmp_path / "bug.mkx"
    make_export(path, numbered(10, 2100))
    whole = path.read_bytes()
    read = []
    for tenths in range(1, 10):
        path.write_bytes(whole[: len(whole) * tenths // 10])
        read.append(len(list(JournalReader(path).records())))
    assert read == sorted(read)
    assert read[0] > 0
    assert read[-1] > 1800


def test_what_was_changed_behind_the_last_record_is_told(tmp_path: Path) -> None:
    write_journal(tmp_path / "journal", 3)
    path = tmp_path / "bug.mkx"
    make_export(path, numbered(10, 100))
    whole = path.read_bytes()
    for changed in (whole[:-5], whole[:-1] + bytes([whole[-1] ^ 1]), whole + b"x" * 3000):
        path.write_bytes(changed)
        reader = JournalReader(path)
        assert list(reader.records()) == numbered(10, 100)
        assert reader.damage == ["bug.mkx: what stands behind its last record was changed"]


@pytest.mark.parametrize("operation", ["create", "write", "fdatasync", "rename"])
def test_an_export_that_fails_leaves_the_old_file_and_says_what_to_do(operation: str, tmp_path: Path) -> None:
    write_journal(tmp_path / "journal", 3)
    header = JournalReader(tmp_path / "journal").headers()[0]
    path = tmp_path / "bug.mkx"
    path.write_bytes(b"old")
    disk = FailingDisk()
    disk.broken[operation] = errno.ENOSPC
    with pytest.raises(ExportError, match=r"No space left.*bug\.mkx"):
        write_export(numbered(1, 5), None, header, path, disk)
    assert path.read_bytes() == b"old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bug.mkx", "journal"]
