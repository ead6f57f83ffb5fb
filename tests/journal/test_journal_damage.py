"""Damage of every kind is recovered as the exact prefix or detected; nothing wrong is taken for right."""

import asyncio
import io
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.journal.journalreader import JournalReader
from minikubelet.journal.segments import Tail, segment_name
from minikubelet.journal.segmentscan import Ending, SegmentScan
from minikubelet.journal.survey import Findings, records_of, survey_directory
from minikubelet.ports.journalport import Record, Snapshot, Verdict
from tests.journal.journal_world import (
    HERE,
    FilesInMemory,
    Segment,
    build_segment,
    numbered,
    open_disk,
    write_records,
)

RECORDS = numbered(1, 200)
RANDOM = random.Random(7)
SIZES = [RANDOM.choice((1, 2, 3, 7)) for _ in range(200)]
JOURNAL = build_segment(RECORDS, SIZES, Tail(), None)
SMALL = build_segment(RECORDS[:12], [1, 3, 2, 2, 4], Tail(), Snapshot(0, b'{"state":[1,2,3]}'))


def survey(data: bytes, segment: Segment = JOURNAL) -> tuple[Findings, list[Record]]:
    findings = survey_directory(HERE, FilesInMemory({segment.name: data}))
    return findings, list(records_of(findings.parts))


def counted(segment: Segment, offset: int) -> int:
    """How many records end, with their mark, at or before an offset."""
    return max((last for end, last in segment.ends if end <= offset), default=0)


def test_every_truncation_gives_the_exact_prefix() -> None:
    whole = {end for end, _ in JOURNAL.ends}
    for length in range(len(JOURNAL.data)):
        findings, records = survey(JOURNAL.data[:length])
        assert records == RECORDS[: counted(JOURNAL, length)], length
        assert bool(findings.survey.damage) is (length not in whole), length
        assert bool(findings.repairs) is (length not in whole), length


def flips(segment: Segment, bits: range | None) -> Iterator[tuple[int, bytes]]:
    for offset in range(len(segment.data)):
        for bit in bits or [RANDOM.randrange(8)]:
            data = bytearray(segment.data)
            data[offset] ^= 1 << bit
            yield offset, bytes(data)


def check_flip(segment: Segment, offset: int, data: bytes) -> None:
    findings, records = survey(data, segment)
    assert records == RECORDS[: counted(segment, offset)], offset
    assert findings.survey.damage, offset
    assert findings.repairs, offset


def test_a_flipped_bit_in_every_byte_is_detected() -> None:
    for offset, data in flips(JOURNAL, None):
        check_flip(JOURNAL, offset, data)


def test_every_flipped_bit_of_a_small_journal_is_detected() -> None:
    for offset, data in flips(SMALL, range(8)):
        check_flip(SMALL, offset, data)


def lines_and_offsets() -> list[tuple[int, bytes]]:
    offset, found = 0, []
    for line in JOURNAL.data.splitlines(keepends=True):
        found.append((offset, line))
        offset += len(line)
    return found


LINES = lines_and_offsets()


@pytest.mark.parametrize("damage", ["drop", "duplicate", "swap", "blank"])
def test_lines_out_of_place_leave_the_exact_prefix(damage: str) -> None:
    lines = [line for _, line in LINES]
    for index, (offset, line) in enumerate(LINES[:-1]):
        changed = list(lines)
        at = offset
        match damage:
            case "drop":
                del changed[index]
            case "duplicate":
                changed.insert(index, line)
                at += len(line)
            case "swap":
                changed[index : index + 2] = changed[index + 1], line
            case "blank":
                changed.insert(index, line[:9] + b"\n")
        findings, records = survey(b"".join(changed))
        assert records == RECORDS[: counted(JOURNAL, at)], index
        assert findings.survey.damage, index


def test_a_torn_tail_and_corruption_are_told_apart() -> None:
    end, last = JOURNAL.ends[40]
    torn, _ = survey(JOURNAL.data[: end + 20])
    assert [found.verdict for found in torn.survey.segments] == [Verdict.TORN]
    assert "never committed" in torn.survey.damage[0]
    changed = bytearray(JOURNAL.data)
    changed[end + 20] ^= 1
    corrupt, _ = survey(bytes(changed))
    assert [found.verdict for found in corrupt.survey.segments] == [Verdict.CORRUPT]
    assert f"corrupt behind record {last}" in corrupt.survey.damage[0]
    assert corrupt.next_seq == 201, "seqs that a follower may have seen are not used again"


def chain() -> list[Segment]:
    """Three segments, each of which but the first begins with a snapshot."""
    first = build_segment(RECORDS[:30], [4] * 30, Tail(), None)
    second = build_segment(RECORDS[30:60], [3] * 30, first.tail, Snapshot(30, b'{"upto":30}'))
    third = build_segment(RECORDS[60:90], [5] * 30, second.tail, Snapshot(60, b'{"upto":60}'))
    return [first, second, third]


CHAIN = chain()


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_damage_in_a_chain_never_breaks_what_is_handed_over(victim: int) -> None:
    files = {segment.name: segment.data for segment in CHAIN}
    for offset, data in flips(CHAIN[victim], None):
        findings = survey_directory(HERE, FilesInMemory(files | {CHAIN[victim].name: data}))
        records = list(records_of(findings.parts))
        base = findings.snapshot.seq if findings.snapshot else 0
        assert findings.survey.damage, offset
        assert records == RECORDS[base : base + len(records)], offset
        if victim < 2:
            assert (base, len(records)) == (60, 30), (
                "an intact newer snapshot serves whatever happened before"
            )
        else:
            reached = counted(CHAIN[2], offset)
            assert base + len(records) == (reached or 60), offset
        assert findings.next_seq > base + len(records)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_segment_is_noticed_or_was_the_end(missing: int) -> None:
    files = {segment.name: segment.data for index, segment in enumerate(CHAIN) if index != missing}
    findings = survey_directory(HERE, FilesInMemory(files))
    assert bool(findings.survey.damage) is (missing == 1)
    assert findings.snapshot == Snapshot(
        30 if missing == 2 else 60, b'{"upto":30}' if missing == 2 else b'{"upto":60}'
    )


def test_segments_that_follow_nothing_are_quarantined() -> None:
    first = build_segment(RECORDS[:30], [4] * 30, Tail(), None)
    second = build_segment(RECORDS[30:60], [3] * 30, first.tail, None)
    findings = survey_directory(HERE, FilesInMemory({second.name: second.data}))
    assert list(records_of(findings.parts)) == []
    assert [found.verdict for found in findings.survey.segments] == [Verdict.QUARANTINED]
    assert findings.next_seq == 61


def test_an_agent_starts_and_goes_on_after_any_damage(tmp_path: Path) -> None:
    async def run(directory: Path, expected: int) -> None:
        opened = open_disk(directory)
        assert list(opened.records) == RECORDS[:expected]
        next_seq = opened.journal.next_seq
        await write_records(opened.journal, 3, group=2)
        await opened.journal.close()
        again = open_disk(directory)
        assert again.survey.damage == (), "repairs last"
        assert [found.seq for found in again.records][-3:] == [next_seq, next_seq + 1, next_seq + 2]
        assert again.journal.next_seq == next_seq + 3
        await again.journal.close()
        reader = JournalReader(directory)
        assert [found.seq for found in reader.records()] == [
            *range(1, expected + 1),
            *range(next_seq, next_seq + 3),
        ]
        lost = [f"{segment_name(next_seq)}: records {expected + 1} to {next_seq - 1} are missing"]
        assert reader.damage == ([] if next_seq == expected + 1 else lost)

    for number in range(60):
        offset = RANDOM.randrange(len(JOURNAL.data))
        data = bytearray(JOURNAL.data)
        if number % 2:
            del data[offset:]
        else:
            data[offset] ^= 1 << RANDOM.randrange(8)
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / JOURNAL.name).write_bytes(data)
        asyncio.run(run(directory, counted(JOURNAL, offset)))
        left = (
            SegmentScan(io.BytesIO((directory / JOURNAL.name).read_bytes())).run()
            if offset > JOURNAL.ends[0][0]
            else None
        )
        assert left is None or left.ending is Ending.CLEAN, "what is damaged is cut off"
        kept = sum(file.stat().st_size for file in directory.rglob("*") if file.name.startswith("torn-"))
        kept += sum(file.stat().st_size for file in directory.glob("quarantine/*"))
        assert kept or offset in [end for end, _ in JOURNAL.ends], "damaged bytes are kept"
