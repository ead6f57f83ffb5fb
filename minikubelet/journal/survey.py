"""Look a journal's directory over at the start: what counts, what is damaged, where history goes on.

It only reads and judges. Repairs are named, not done, so that a start on a read-only disk knows just as much.

A segment links to the one before by that one's last crc. Bad bytes with no mark after them are a torn tail;
with one, corruption. After corruption history goes on at the next segment with a snapshot; segments in
between are of no use and go to the quarantine.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import msgspec

from minikubelet.journal.fileops import FileOps
from minikubelet.journal.framing import FramingError, hex_crc, last_mark_in, read_header
from minikubelet.journal.repairs import CutCorrupt, CutTail, MoveToQuarantine, Repair, SetAside, kept_as
from minikubelet.journal.segments import Carried, SegmentInfo, Tail, first_of, segment_names
from minikubelet.journal.segmentscan import Ending, SegmentScan
from minikubelet.ports.journalport import Record, SegmentFound, SegmentHeader, Snapshot, Survey, Verdict

THOROUGH_BYTES = 64 << 20  # up to this size of a journal a start verifies every record of it
_PEEK = 1 << 16


class Part(msgspec.Struct, frozen=True):
    """The bytes of a segment that count, and the snapshot at their head."""

    data: bytes
    snapshot: Snapshot | None


class Findings(msgspec.Struct, frozen=True):
    """All a start has to know; `parts` begin with the newest usable snapshot."""

    survey: Survey = Survey()
    repairs: tuple[Repair, ...] = ()
    tail: Tail = Tail()
    next_seq: int = 1
    segments: tuple[SegmentInfo, ...] = ()
    parts: tuple[Part, ...] = ()
    carried: Carried | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest usable snapshot."""
        return self.parts[0].snapshot if self.parts else None


def records_of(parts: tuple[Part, ...]) -> Iterator[Record]:
    """The records that follow the snapshot of the first part."""
    for part in parts:
        for group in SegmentScan(BytesIO(part.data)).groups():
            yield from group


def survey_directory(directory: Path, ops: FileOps, thorough_bytes: int = THOROUGH_BYTES) -> Findings:
    """Judge every segment of a directory; OSError where its names cannot be read.

    A journal of more than `thorough_bytes` is verified from its last snapshot but one; older segments are
    then left to the readers, unless no snapshot turns out to be usable.
    """
    files = ops.listing(directory)
    sizes = {file.name: file.size for file in files}
    names = segment_names(files)
    headers = [_peek(directory / name, ops) for name in names]
    start = 0
    if sum(sizes[name] for name in names) > thorough_bytes:
        with_snapshot = [i for i, header in enumerate(headers) if header and header.snapshot]
        start = with_snapshot[-2] if len(with_snapshot) > 1 else 0
    findings = _Surveyor(directory, ops, names, headers, start).run(sizes)
    if start and findings.snapshot is None:
        findings = _Surveyor(directory, ops, names, headers, 0).run(sizes)
    return findings


def _peek(path: Path, ops: FileOps) -> SegmentHeader | None:
    try:
        line = ops.read(path, _PEEK)
        if b"\n" not in line:
            line = ops.read(path)
        header, _ = read_header(line[: line.find(b"\n") + 1])
    except (OSError, FramingError):
        return None
    return header if header.first == first_of(path.name) else None


class _Surveyor:
    """Walks the segments in order; `_tail` is where history ends so far."""

    def __init__(
        self, directory: Path, ops: FileOps, names: list[str], headers: list[SegmentHeader | None], start: int
    ) -> None:
        self._directory, self._ops, self._names, self._headers = directory, ops, names, headers
        self._start = start
        self._tail = Tail()
        self._highest = 0
        self._found: list[SegmentFound] = []
        self._damage: list[str] = []
        self._repairs: list[Repair] = []
        self._parts: list[Part] = []
        self._carried: Carried | None = None
        self._begun = False  # whether the state can be built from `_parts`

    def run(self, sizes: dict[str, int]) -> Findings:
        for index, name in enumerate(self._names):
            if index < self._start:
                self._note(name, Verdict.UNCHECKED, self._headers[index], first_of(name) - 1, sizes[name])
            else:
                self._visit(index, name)
        if not self._begun:
            self._give_up()
        return Findings(
            survey=Survey(tuple(self._found), tuple(self._damage)),
            repairs=tuple(self._repairs),
            tail=self._tail,
            next_seq=max(self._highest, self._tail.seq) + 1,
            segments=tuple(self._infos()),
            parts=tuple(self._parts),
            carried=self._carried,
        )

    def _infos(self) -> Iterator[SegmentInfo]:
        for found in self._found:
            if found.verdict is not Verdict.QUARANTINED:
                has_snapshot = found.snapshot_seq is not None
                yield SegmentInfo(found.path.name, found.size, found.created, has_snapshot)

    def _visit(self, index: int, name: str) -> None:
        try:
            data = self._ops.read(self._directory / name)
        except OSError as error:
            return self._quarantine(name, f"cannot be read ({error.strerror})", first_of(name) - 1, 0)
        following = next((header for header in self._headers[index + 1 :] if header), None)
        scan = SegmentScan(BytesIO(data), stop=following.prev if following else None).run()
        header = scan.header if self._headers[index] else None
        if header is None:
            return self._bad_head(index, name, data, scan)
        mark = None
        damaged = scan.good < len(data) and scan.ending is not Ending.SUPERSEDED
        if damaged:
            mark = last_mark_in(data[scan.good :], scan.crc)
            self._highest = max(self._highest, mark.last if mark else 0)
        linked = index == self._start or header.prev == _hex(self._tail)
        if not linked and scan.snapshot is None:
            problem = "follows records that are missing, and has no snapshot to go on from"
            return self._quarantine(name, problem, scan.tail.seq, len(data))
        if not linked:
            self._damage.append(
                f"{name}: records before {header.first} are missing; history goes on from the snapshot in it"
            )
        self._accept(scan, header, data)
        verdict = Verdict.SOUND
        if damaged:
            verdict = self._cut(name, scan, len(data), committed=mark is not None)
        self._note(name, verdict, header, scan.tail.seq, scan.good)
        return None

    def _accept(self, scan: SegmentScan, header: SegmentHeader, data: bytes) -> None:
        if scan.snapshot is not None:
            self._parts, self._begun = [], True
            self._carried = Carried(scan.snapshot, header.schema)
        elif not self._found and header.prev is None:
            self._begun = True
        if scan.records:
            self._carried = None
        self._tail = scan.tail
        self._parts.append(Part(data[: scan.good], scan.snapshot))

    def _cut(self, name: str, scan: SegmentScan, size: int, *, committed: bool) -> Verdict:
        repair = CutCorrupt(name, scan.good) if committed else CutTail(name, scan.good)
        self._repairs.append(repair)
        lost = size - scan.good
        why = scan.problem or "the last group has no commit mark"
        if committed:
            self._damage.append(
                f"{name}: corrupt behind record {scan.tail.seq} ({why}), {lost} bytes are lost although they"
                f" had been committed; the segment as it was is kept in {kept_as(repair)}"
            )
            return Verdict.CORRUPT
        self._damage.append(
            f"{name}: {lost} bytes behind record {scan.tail.seq} were never committed ({why});"
            f" they are kept in {kept_as(repair)}"
        )
        return Verdict.TORN

    def _bad_head(self, index: int, name: str, data: bytes, scan: SegmentScan) -> None:
        mark = last_mark_in(data, 0)
        why = scan.problem or "its name and its header do not agree"
        last = index == len(self._names) - 1
        if mark is None and last and scan.problem:
            repair = SetAside(name)
            self._repairs.append(repair)
            self._damage.append(f"{name}: holds nothing committed ({why}); kept as {kept_as(repair)}")
            self._note(name, Verdict.QUARANTINED, None, first_of(name) - 1, len(data))
            return
        self._quarantine(name, f"has a bad head ({why})", mark.last if mark else 0, len(data))

    def _quarantine(self, name: str, problem: str, last: int, size: int) -> None:
        repair = MoveToQuarantine(name)
        self._repairs.append(repair)
        self._highest = max(self._highest, last)
        self._damage.append(f"{name}: {problem}; moved to {kept_as(repair)}")
        self._note(name, Verdict.QUARANTINED, None, last, size)

    def _note(self, name: str, verdict: Verdict, header: SegmentHeader | None, last: int, size: int) -> None:
        ref = header.snapshot if header else None
        created = header.created if header else 0
        seq = ref.seq if ref else None
        path = self._directory / name
        self._found.append(SegmentFound(path, verdict, first_of(name), last, size, created, seq))

    def _give_up(self) -> None:
        """No beginning and no snapshot: what is left tells history, but no state can be built from it."""
        self._highest = max(self._highest, self._tail.seq)
        for found in self._found:
            if found.verdict is not Verdict.QUARANTINED:
                self._damage.append(
                    f"{found.path.name}: the beginning of its history is missing; quarantined"
                )
                self._repairs.append(MoveToQuarantine(found.path.name))
        self._found = [msgspec.structs.replace(found, verdict=Verdict.QUARANTINED) for found in self._found]
        self._parts, self._tail, self._carried = [], Tail(), None


def _hex(tail: Tail) -> str | None:
    return None if tail.crc is None else hex_crc(tail.crc)
