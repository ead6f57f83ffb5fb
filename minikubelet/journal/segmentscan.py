"""Walk the lines of one segment or export, group by group, and say where and why the good part ends.

It sees lines, not files: who opens them, and what is done about damage, is decided elsewhere.
A group counts only with its mark. Scanning stops early at the line whose crc the successor names as its
`prev`: what stands behind it was written once more in the successor, after the disk had failed.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from zlib import crc32

import msgspec

from minikubelet.journal.framing import (
    CRC_WIDTH,
    END_START,
    EXPORT_FORMAT,
    MARK_START,
    FramingError,
    decode_end,
    decode_mark,
    decode_record,
    hex_crc,
    read_header,
    read_snapshot,
)
from minikubelet.journal.segments import Tail
from minikubelet.ports.journalport import Record, SegmentHeader, Snapshot


class Ending(Enum):
    """How the good part of a segment ends."""

    UNREAD = "unread"
    CLEAN = "clean"  # with the file, behind a mark or the head
    SUPERSEDED = "superseded"  # where its successor says
    UNFINISHED = "unfinished"  # with lines that verify, but have no mark
    BAD = "bad"  # with bytes that do not verify
    COMPLETE = "complete"  # with the end line of an export


class SegmentScan:
    """One pass over the lines of a segment; the attributes tell how far it got.

    `good` is the length in bytes of what counts, `tail` the last seq and crc that count, `records` how many.
    """

    def __init__(self, lines: Iterable[bytes], *, stop: str | None = None) -> None:
        self.ending = Ending.UNREAD
        self.problem = ""
        self.good = 0
        self.records = 0
        self.header: SegmentHeader | None = None
        self.snapshot: Snapshot | None = None
        self.tail = Tail()
        self.crc = 0
        self._stop = stop
        self._lines = iter(lines)
        self._read_head()

    def _read_head(self) -> None:
        line = next(self._lines, b"")
        size = len(line)
        try:
            header, crc = read_header(line)
            snapshot = None
            if header.snapshot is not None:
                line = next(self._lines, b"")
                size += len(line)
                snapshot, crc = read_snapshot(line, header.snapshot, crc)
        except FramingError as error:
            self._end(Ending.BAD, str(error))
            return
        self.header, self.snapshot, self.crc, self.good = header, snapshot, crc, size
        self.tail = Tail(header.first - 1, None if header.prev is None else int(header.prev, 16))

    def go_on(self, lines: Iterable[bytes]) -> None:
        """Take lines that were added behind the good part; `groups` then yields the groups among them."""
        self._lines = iter(lines)
        self._end(Ending.UNREAD)

    def _end(self, ending: Ending, problem: str = "") -> None:
        self.ending, self.problem = ending, problem

    def groups(self) -> Iterator[list[Record]]:
        """The records of each commit group that counts; once they are through, `ending` says how it ended."""
        if self.header is None or self._adds_nothing(self.header):
            return
        gapless = self.header.format != EXPORT_FORMAT
        crc, last, pending = self.crc, self.tail.seq, 0
        group: list[Record] = []
        for line in self._lines:
            payload = line[CRC_WIDTH:-1]
            crc = crc32(payload, crc)
            if line[:CRC_WIDTH] != b"%08x " % crc or line[-1:] != b"\n":
                return self._end(Ending.BAD, "the checksum does not match")
            pending += len(line)
            try:
                if payload.startswith(MARK_START):
                    mark = decode_mark(payload)
                    if mark.count != len(group) or mark.last != last:
                        return self._end(Ending.BAD, "a commit mark does not fit the records before it")
                    yield self._accept(group, pending, last, crc)
                    if hex_crc(crc) == self._stop:
                        return self._end(Ending.SUPERSEDED)
                    group, pending = [], 0
                    continue
                if payload.startswith(END_START):
                    return self._finish(payload, last, pending if not group else 0)
                record = decode_record(payload)
            except msgspec.MsgspecError as error:
                return self._end(Ending.BAD, f"a line is not readable: {error}")
            if record.seq != last + 1 and (gapless or record.seq <= last):
                return self._end(Ending.BAD, f"record {record.seq} stands where {last + 1} belongs")
            last = record.seq
            group.append(record)
        return self._end(Ending.UNFINISHED if pending else Ending.CLEAN)

    def _adds_nothing(self, header: SegmentHeader) -> bool:
        """Whether the successor follows the same line as this segment does: no group of it ever counted."""
        if self._stop is None or self._stop != header.prev:
            return False
        self._end(Ending.SUPERSEDED)
        return True

    def _accept(self, group: list[Record], size: int, last: int, crc: int) -> list[Record]:
        self.good += size
        self.records += len(group)
        self.tail = Tail(last, crc)
        self.crc = crc
        return group

    def _finish(self, payload: bytes, last: int, size: int) -> None:
        end = decode_end(payload)
        if (end.total, end.last) != (self.records, last) or not size or next(self._lines, None) is not None:
            self._end(Ending.BAD, "the end line does not fit what stands around it")
        else:
            self.good += size
            self._end(Ending.COMPLETE)

    def run(self) -> "SegmentScan":
        """Walk to the end without keeping the records."""
        for _ in self.groups():
            pass
        return self
