"""Read a recorded history without a lock and without touching it: a directory, one segment, or an export.

Nothing here repairs or writes. It may read while an agent writes, rotates and removes old segments.
"""

import gzip
import os
import zlib
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import msgspec

from minikubelet.journal.fileops import RealFileOps
from minikubelet.journal.framing import hex_crc, last_mark_in
from minikubelet.journal.journalfollow import follow
from minikubelet.journal.segments import (
    LOCK_NAME,
    QUARANTINE,
    SUFFIX,
    Tail,
    first_of,
    is_segment,
    segment_names,
)
from minikubelet.journal.segmentscan import Ending, SegmentScan
from minikubelet.ports.journalport import JournalError, Record, SegmentHeader, Snapshot

EXPORT_SUFFIX = ".mkx"
UNCOMMITTED = "are not committed"
"""the damage that every journal may have which is being written, or whose agent was killed"""
_BUFFER = 1 << 20
_LOCKS = Path("/proc/locks")


class SegmentView(msgspec.Struct, frozen=True):
    """One part of a history.

    `linked` says that it goes on where the part before ended; where it is false, state has to be taken from
    `snapshot`. `groups` yields the records of each commit group and can be walked once.
    """

    name: str
    header: SegmentHeader
    snapshot: Snapshot | None
    linked: bool
    groups: Iterator[list[Record]]


class JournalReader:
    """Implements `ports.JournalSource`; `damage` grows while one reads, `check` reads everything for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: list[str] = []
        if not path.exists():
            raise JournalError(f"{path}: there is no such journal; name a journal's directory or an export")
        if not path.is_dir() and path.suffix not in (SUFFIX, EXPORT_SUFFIX):
            raise JournalError(
                f"{path} is no journal: name a directory, a {SUFFIX} or an {EXPORT_SUFFIX} file"
            )
        if path.is_dir() and not self._paths():
            inside = f"; did you mean {path / 'journal'}?" if (path / "journal").is_dir() else ""
            raise JournalError(f"{path} holds no journal: there is no {SUFFIX} file in it{inside}")

    def _paths(self) -> list[Path]:
        if not self.path.is_dir():
            return [self.path]
        try:
            return [self.path / name for name in segment_names(RealFileOps().listing(self.path))]
        except OSError as error:
            raise JournalError(f"{self.path} cannot be read: {error.strerror}") from error

    def in_use(self) -> bool:
        """Whether an agent writes it now, as far as this machine lets one see; takes no lock."""
        try:
            lock = (self.path / LOCK_NAME).stat()
            held = _LOCKS.read_text().splitlines()
        except OSError:
            return False
        file = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
        return any(" FLOCK " in line and file in line.split() for line in held)

    def aside(self) -> Path | None:
        """The directory of what an agent could not use and set aside, None where there is nothing."""
        found = self.path / QUARANTINE
        return found if found.is_dir() else None

    def headers(self) -> list[SegmentHeader]:
        """The readable heads of its parts, in order."""
        return [header for path in self._paths() if (header := _scan_head(path)[0])]

    def snapshots(self) -> Iterator[Snapshot]:
        """The snapshots that verify, in order."""
        for path in self._paths():
            snapshot = _scan_head(path)[1]
            if snapshot is not None:
                yield snapshot

    def records(self, from_seq: int = 0) -> Iterator[Record]:
        """The committed records that verify, in order; what does not is told in `damage`."""
        last = from_seq - 1
        for view in self.segments(from_seq):
            for group in view.groups:
                if group and group[0].seq > last:
                    yield from group
                else:
                    yield from [record for record in group if record.seq > last]
                last = group[-1].seq if group and group[-1].seq > last else last

    def check(self) -> list[str]:
        """Read everything; what is damaged, in plain sentences."""
        for view in self.segments():
            for _ in view.groups:
                pass
        return self.damage

    def segments(self, from_seq: int = 0) -> Generator[SegmentView]:
        """The parts that are of use, from the one with record `from_seq` on; walk each before the next."""
        paths = self._paths()
        later = [
            index
            for index, path in enumerate(paths)
            if is_segment(path.name) and first_of(path.name) <= from_seq
        ]
        start = later[-1] if later else 0
        heads = [_scan_head(path)[0] for path in paths]
        tail = Tail()
        for index in range(start, len(paths)):
            following = next((head for head in heads[index + 1 :] if head), None)
            try:
                with closing(_open(paths[index])) as file:
                    scan = SegmentScan(_lines(file), stop=following.prev if following else None)
                    header = scan.header
                    if header is None:
                        self._tell(f"{paths[index].name}: its head is damaged ({scan.problem})")
                        continue
                    linked = index == start or self._goes_on(paths[index].name, header, tail)
                    groups = scan.groups()
                    yield SegmentView(paths[index].name, header, scan.snapshot, linked, groups)
                    for _ in groups:
                        pass
                    if scan.ending is Ending.COMPLETE and not _ends_here(file):
                        self._tell(f"{paths[index].name}: what stands behind its last record was changed")
                tail = scan.tail
                self._judge(paths[index], scan)
            except FileNotFoundError:  # retention was faster
                start = index + 1 if index == start else start
            except OSError as error:
                self._tell(f"{paths[index].name} cannot be read: {error.strerror}")

    def _goes_on(self, name: str, header: SegmentHeader, tail: Tail) -> bool:
        """Whether a part goes on where the one before ended; what is missing between them is told.

        A part may name the last line on the disk although records behind that were lost: they were held in
        memory for too long while the disk refused, or were cut off as corrupt. Its snapshot covers them.
        """
        chained = header.prev == (None if tail.crc is None else hex_crc(tail.crc))
        if chained and header.first == tail.seq + 1:
            return True
        lost = f"{tail.seq + 1} to {header.first - 1}" if chained else f"before {header.first}"
        self._tell(f"{name}: records {lost} are missing")
        return chained and header.snapshot is None

    def _judge(self, path: Path, scan: SegmentScan) -> None:
        if path.suffix == EXPORT_SUFFIX:
            if scan.ending is not Ending.COMPLETE:
                self._tell(
                    f"{path.name}: the export is damaged or cut short behind record {scan.tail.seq}"
                    f"{f' ({scan.problem})' if scan.problem else ''}"
                )
            return
        if scan.ending not in (Ending.BAD, Ending.UNFINISHED):
            return
        with path.open("rb") as file:
            file.seek(scan.good)
            rest = file.read()
        if last_mark_in(rest, scan.crc) is not None and scan.ending is Ending.BAD:
            self._tell(f"{path.name}: corrupt behind record {scan.tail.seq} ({scan.problem})")
        else:
            self._tell(
                f"{path.name}: {len(rest)} bytes behind record {scan.tail.seq} {UNCOMMITTED}"
                " (a torn tail, or an agent is writing just now)"
            )

    def _tell(self, sentence: str) -> None:
        if sentence not in self.damage:
            self.damage.append(sentence)

    def follow(self, from_seq: int, interval: float = 0.2) -> AsyncIterator[Record]:
        """The records from `from_seq` on, for ever, as an agent writes them; see `journalfollow`."""
        if not self.path.is_dir():
            raise JournalError(f"{self.path} does not grow; only a journal's directory can be followed")
        return follow(self.path, from_seq, interval)


def _open(path: Path) -> "BinaryIO | gzip.GzipFile":
    return gzip.open(path, "rb") if path.suffix == EXPORT_SUFFIX else path.open("rb", buffering=_BUFFER)


def _lines(file: "BinaryIO | gzip.GzipFile") -> Iterator[bytes]:
    """The lines of a file; bytes that cannot be unpacked end them, and the missing end line tells."""
    return _unpacked(file) if isinstance(file, gzip.GzipFile) else iter(file)


def _unpacked(file: gzip.GzipFile) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return


def _ends_here(file: "BinaryIO | gzip.GzipFile") -> bool:
    """Whether nothing but the packing's own checksum, which matches, is left of a file."""
    try:
        return not file.read(1)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False


def _scan_head(path: Path) -> tuple[SegmentHeader | None, Snapshot | None]:
    try:
        with closing(_open(path)) as file:
            scan = SegmentScan(_lines(file))
            return scan.header, scan.snapshot
    except OSError:
        return None, None
