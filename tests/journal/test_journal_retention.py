"""Segments rotate by size; old ones go by size and age, and what a start needs stays."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.journal.fileops import FileFound
from minikubelet.journal.journalreader import JournalReader
from minikubelet.journal.retention import removable, removable_aside
from minikubelet.journal.segments import SegmentInfo
from minikubelet.ports.journalport import Journal, Record, Retention
from tests.journal.journal_world import open_disk, record

TINY = Retention(max_bytes=8_000, segment_bytes=1_000)


async def fill(journal: Journal, count: int, *, snapshots: bool) -> None:
    """Write records of some 150 bytes, with a snapshot whenever one is wanted."""
    for _ in range(count):
        if snapshots and journal.snapshot_wanted:
            await journal.begin_segment(b'{"pad":"%b"}' % (b"s" * 50), journal.next_seq - 1)
        journal.append([record(journal.next_seq, "r" * 100)])
        await journal.commit()


def total(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.glob("*.mkj"))


def test_a_full_segment_asks_for_a_snapshot_and_old_ones_go(tmp_path: Path) -> None:
    asked: list[str] = []

    async def main() -> None:
        journal = open_disk(tmp_path, limits=TINY).journal
        journal.on_snapshot_wanted = asked.append
        await fill(journal, 300, snapshots=True)
        await journal.close()

    asyncio.run(main())
    assert len(asked) > 10
    assert set(asked) == {"the segment is full"}
    assert total(tmp_path) < TINY.max_bytes + 2 * TINY.segment_bytes
    reader = JournalReader(tmp_path)
    records = list(reader.records())
    assert records[-1].seq == 300
    assert [found.seq for found in records] == list(range(records[0].seq, 301))
    assert reader.damage == []
    opened = open_disk(tmp_path)
    assert opened.snapshot is not None
    assert next(opened.records).seq == opened.snapshot.seq + 1
    asyncio.run(opened.journal.close())


def test_an_owner_without_snapshots_gets_new_segments_and_keeps_the_beginning(tmp_path: Path) -> None:
    async def main() -> None:
        journal = open_disk(tmp_path, limits=TINY).journal
        await fill(journal, 200, snapshots=False)
        await journal.close()
        again = open_disk(tmp_path, limits=TINY)
        assert len(again.survey.segments) > 5
        assert [found.seq for found in again.records] == list(range(1, 201))
        await again.journal.close()

    asyncio.run(main())


def test_old_segments_go_by_age(tmp_path: Path) -> None:
    limits = Retention(max_age=100)

    async def main() -> None:
        for day in range(6):
            journal = open_disk(tmp_path, limits=limits, now=day * 60_000_000).journal
            await fill(journal, 2, snapshots=True)
            await journal.close()

    asyncio.run(main())
    assert [header.created // 60_000_000 for header in JournalReader(tmp_path).headers()] == [3, 4, 5]


SEGMENTS = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 50), st.booleans()), max_size=12)


@given(SEGMENTS, st.integers(1, 500), st.integers(0, 50), st.integers(0, 100))
def test_what_a_start_needs_is_never_let_go(
    drafts: list[tuple[int, int, bool]], max_bytes: int, max_age: int, now: int
) -> None:
    segments = [
        SegmentInfo(str(index), size, created * 1_000_000, snapshot)
        for index, (size, created, snapshot) in enumerate(drafts)
    ]
    gone = removable(segments, Retention(max_bytes=max_bytes, max_age=max_age), now * 1_000_000)
    assert gone == segments[: len(gone)], "the oldest first, with no holes"
    kept = segments[len(gone) :]
    had = [segment for segment in segments if segment.has_snapshot]
    assert [segment for segment in kept if segment.has_snapshot][-2:] == had[-2:]
    if had:
        assert not gone or kept[0] != had[-1], "one older than the newest snapshot stays"
    else:
        assert not gone


@pytest.mark.parametrize(("limit", "expected"), [(400, []), (200, ["a"]), (40, ["a", "b"])])
def test_damaged_files_kept_aside_have_their_share(limit: int, expected: list[str]) -> None:
    files = [FileFound("b", 40, 2), FileFound("a", 20, 1), FileFound("c", 10, 3)]
    assert [file.name for file in removable_aside(files, Retention(max_bytes=limit))] == expected


def test_a_reader_sees_no_gap_while_segments_rotate_and_go(tmp_path: Path) -> None:
    seen: list[list[Record]] = []

    async def main() -> None:
        journal = open_disk(tmp_path, limits=TINY).journal
        await fill(journal, 5, snapshots=True)
        writing = asyncio.create_task(fill(journal, 300, snapshots=True))
        while not writing.done():
            seen.append(await asyncio.to_thread(lambda: list(JournalReader(tmp_path).records())))
        await writing
        await journal.close()

    asyncio.run(main())
    assert seen
    for records in seen:
        seqs = [found.seq for found in records]
        assert seqs == sorted(set(seqs))
        assert all(found == record(found.seq, "r" * 100) for found in records)
