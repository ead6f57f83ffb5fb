"""Write a part of a history as one compressed file that verifies itself, for a bug report.

What goes in is chosen elsewhere. The lines are those of a segment, but seqs may have gaps, and the last line
counts them all, so that a file cut short is not taken for a whole one.
"""

import gzip
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

import msgspec

from minikubelet.journal.fileops import FileOps, RealFileOps, write_all
from minikubelet.journal.framing import EXPORT_FORMAT, encode_record, frame_end, frame_group, frame_head
from minikubelet.ports.journalport import Record, SegmentHeader, Snapshot

_GROUP = 50
"""Records that count together: of a file that was cut short, all but the last of these can be read."""


class ExportError(OSError):
    """An export that could not be written; the text names the file and what to do."""


class _Sink:
    """A descriptor behind `FileOps`, as a file object for gzip."""

    def __init__(self, ops: FileOps, fd: int) -> None:
        self._ops, self._fd = ops, fd

    def write(self, data: bytes) -> int:
        write_all(self._ops, self._fd, bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""


def write_export(
    records: Iterable[Record],
    snapshot: Snapshot | None,
    header: SegmentHeader,
    path: Path,
    fileops: FileOps | None = None,
) -> int:
    """Write records (seqs rising) with the state before them; returns how many there were.

    The file has its name only once it is complete and on the disk. Raises ExportError, and what reading the
    records raises.
    """
    ops = fileops or RealFileOps()
    temporary = path.with_name(path.name + ".tmp")
    try:
        fd = ops.create(temporary)
        try:
            total = _write(records, snapshot, header, _Sink(ops, fd))
            ops.fdatasync(fd)
        finally:
            ops.close(fd)
        ops.rename(temporary, path)
        ops.sync_directory(path.parent)
    except BaseException as error:
        with suppress(OSError):
            ops.unlink(temporary)
        if not isinstance(error, OSError):
            raise
        raise ExportError(
            error.errno,
            f"the export was not written ({error.strerror}); free space or name another file",
            str(path),
        ) from error
    return total


def _write(records: Iterable[Record], snapshot: Snapshot | None, header: SegmentHeader, sink: _Sink) -> int:
    rest = iter(records)
    opening = list(islice(rest, 1))
    first = opening[0].seq if opening else (snapshot.seq + 1 if snapshot else header.first)
    head = msgspec.structs.replace(header, format=EXPORT_FORMAT, first=first, prev=None)
    rest = chain(opening, rest)
    total, last = 0, first - 1
    with gzip.GzipFile("", "wb", fileobj=sink, mtime=0) as file:
        data, crc = frame_head(head, snapshot)
        file.write(data)
        while group := list(islice(rest, _GROUP)):
            total, last = total + len(group), group[-1].seq
            data, crc = frame_group(map(encode_record, group), len(group), last, crc)
            file.write(data)
        file.write(frame_end(total, last, crc))
    return total
