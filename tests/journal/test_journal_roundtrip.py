"""What goes in comes out: records, snapshots and headers, on disk and in memory."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.journal.fileops import RealFileOps
from minikubelet.journal.framing import decode_record, encode_record
from minikubelet.journal.journalreader import JournalReader
from minikubelet.journal.memoryjournal import MemoryJournal
from minikubelet.journal.segments import segment_name
from minikubelet.journal.survey import records_of, survey_directory
from minikubelet.ports.journalport import Journal, OpenedJournal, Record, RecordKind
from tests.journal.journal_world import numbered, open_disk, record, write_records

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
DRAFTS = st.lists(
    st.tuples(
        st.sampled_from(RecordKind),
        st.integers(-(2**40), 2**60),
        JSON,
        st.lists(st.integers(0, 2**50), max_size=4),
    ),
    max_size=30,
)


def made(drafts: list[tuple[RecordKind, int, object, list[int]]]) -> list[Record]:
    return [
        Record(seq, kind, at, msgspec.Raw(msgspec.json.encode(body)), tuple(causes))
        for seq, (kind, at, body, causes) in enumerate(drafts, 1)
    ]


@given(DRAFTS)
def test_a_record_reads_back_as_it_was_written(
    drafts: list[tuple[RecordKind, int, object, list[int]]],
) -> None:
    for wanted in made(drafts):
        payload = encode_record(wanted)
        assert decode_record(payload) == wanted
        assert encode_record(decode_record(payload)) == payload


@settings(max_examples=30, deadline=None)
@given(drafts=DRAFTS, sizes=st.lists(st.integers(1, 5)), cut=st.integers(0, 30))
def test_a_journal_reads_back_whatever_the_groups_and_segments(
    tmp_path_factory: pytest.TempPathFactory,
    drafts: list[tuple[RecordKind, int, object, list[int]]],
    sizes: list[int],
    cut: int,
) -> None:
    directory = tmp_path_factory.mktemp("journal")
    records = made(drafts)

    async def write() -> None:
        journal = open_disk(directory).journal
        rest = list(records)
        for size in [*sizes, len(rest)]:
            journal.append(rest[:size])
            del rest[:size]
            await journal.commit()
            if journal.next_seq - 1 >= cut and journal.snapshot_wanted:
                await journal.begin_segment(msgspec.json.encode(journal.next_seq), journal.next_seq - 1)
        await journal.close()

    asyncio.run(write())
    reader = JournalReader(directory) if any(directory.glob("*.mkj")) else None
    assert list(reader.records() if reader else []) == records
    assert (reader.damage if reader else []) == []
    findings = survey_directory(directory, RealFileOps())
    base = findings.snapshot.seq if findings.snapshot else 0
    assert list(records_of(findings.parts)) == records[base:]


def reopened(kind: str, journal: Journal, directory: Path) -> OpenedJournal:
    if isinstance(journal, MemoryJournal):
        return journal.survivor()
    return open_disk(directory)


def opened(kind: str, directory: Path) -> Journal:
    return MemoryJournal() if kind == "memory" else open_disk(directory).journal


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_a_restart_finds_the_newest_snapshot_and_what_follows_it(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        journal = opened(kind, tmp_path)
        wanted = [journal.snapshot_wanted]
        await journal.begin_segment(b'{"upto":0}', 0)
        wanted.append(journal.snapshot_wanted)
        assert wanted == [True, False]
        await write_records(journal, 5)
        await journal.begin_segment(b'{"upto":5}', 5)
        await write_records(journal, 4, group=2)
        await journal.close()
        again = reopened(kind, journal, tmp_path)
        assert again.snapshot is not None
        assert (again.snapshot.seq, again.snapshot.body) == (5, b'{"upto":5}')
        assert list(again.records) == numbered(6, 9)
        assert again.journal.next_seq == 10
        await again.journal.close()

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_what_could_not_be_read_again_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    async def main() -> None:
        journal = opened(kind, tmp_path)
        with pytest.raises(ValueError, match="record 2 stands where 1 belongs"):
            journal.append([record(2)])
        with pytest.raises(ValueError, match="line break"):
            journal.append([Record(1, RecordKind.EVENT, 1, msgspec.Raw(b'{"a":\n1}'))])
        with pytest.raises(ValueError, match="not be readable again"):
            journal.append([Record(1, RecordKind.EVENT, 1, msgspec.Raw(b'{"a":'))])
        with pytest.raises(ValueError, match="not be readable again"):
            journal.append([Record(1, RecordKind.EVENT, 1, msgspec.Raw(b'1},"x":{'))])
        with pytest.raises(ValueError, match="not JSON"):
            await journal.begin_segment(b"{", 0)
        with pytest.raises(ValueError, match="line break"):
            await journal.begin_segment(b"{\n}", 0)
        await write_records(journal, 3)
        with pytest.raises(ValueError, match="too late or too early"):
            await journal.begin_segment(b"{}", 2)
        with pytest.raises(ValueError, match="too late or too early"):
            await journal.begin_segment(b"{}", 4)
        await journal.close()
        assert list(reopened(kind, journal, tmp_path).records) == numbered(1, 3), "nothing refused went in"

    asyncio.run(main())


def test_records_appended_behind_a_snapshot_go_into_its_segment(tmp_path: Path) -> None:
    async def main() -> None:
        journal = open_disk(tmp_path).journal
        journal.append(numbered(1, 4))
        switch = asyncio.create_task(journal.begin_segment(b'{"upto":4}', 4))
        await asyncio.sleep(0)
        journal.append(numbered(5, 6))
        await asyncio.gather(switch, journal.commit())
        await journal.close()

    asyncio.run(main())
    parts = [
        (view.header.first, [found for group in view.groups for found in group])
        for view in JournalReader(tmp_path).segments()
    ]
    assert parts == [(1, numbered(1, 4)), (5, numbered(5, 6))]


def test_the_header_tells_who_wrote_and_what_it_follows(tmp_path: Path) -> None:
    async def main() -> None:
        for _ in range(2):
            journal = open_disk(tmp_path).journal
            await write_records(journal, 2)
            await journal.close()

    asyncio.run(main())
    first, second = JournalReader(tmp_path).headers()
    assert (first.node, first.boot, first.core, first.schema, first.settings) == (
        "node",
        "boot",
        "1.0",
        "schema",
        {"maxPods": 110},
    )
    assert (first.first, first.prev, second.first) == (1, None, 3)
    last_line = (tmp_path / "00000000000000000001.mkj").read_bytes().splitlines()[-1]
    assert second.prev == last_line[:8].decode()


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    async def main() -> None:
        journal = open_disk(tmp_path / "deep" / "journal").journal
        await write_records(journal, 1)
        await journal.close()

    asyncio.run(main())
    directory = tmp_path / "deep" / "journal"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in directory.iterdir()] == [0o600, 0o600]


def test_an_empty_segment_with_a_snapshot_is_replaced_without_losing_it(tmp_path: Path) -> None:
    async def main() -> None:
        journal = open_disk(tmp_path).journal
        await write_records(journal, 3)
        await journal.begin_segment(b'{"upto":3}', 3)
        await journal.close()
        (tmp_path / segment_name(1)).unlink()  # now the state is in the snapshot alone
        again = open_disk(tmp_path)
        await write_records(again.journal, 2)
        await again.journal.close()
        third = open_disk(tmp_path)
        assert third.survey.damage == ()
        assert third.snapshot is not None
        assert third.snapshot.body == b'{"upto":3}'
        assert list(third.records) == numbered(4, 5)
        await third.journal.close()

    asyncio.run(main())
