"""What the journal's tests share: records, files in memory, disks that fail, and journals to open."""

import errno
import os
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.journal.fileops import FileFound, FileOps, RealFileOps
from minikubelet.journal.framing import encode_record, frame_group, frame_head
from minikubelet.journal.segments import Identity, Tail, new_header, segment_name
from minikubelet.journal.writing import Patience
from minikubelet.ports.journalport import Journal, OpenedJournal, Record, RecordKind, Retention, Snapshot

IDENTITY = Identity("node", "boot", "1.0", "schema", {"maxPods": 110})
HERE = Path("/journal")
EAGER = Patience(flush_after=0.01, retry_first=0.01, retry_most=0.05, hang_after=300)


def record(seq: int, text: str = "") -> Record:
    """A small event or command."""
    body = msgspec.json.encode({"n": seq, "t": text} if text else seq)
    kind = RecordKind.COMMAND if seq % 3 == 0 else RecordKind.EVENT
    return Record(seq, kind, seq, msgspec.Raw(body), (seq - 1,) if seq % 3 == 0 else ())


def numbered(first: int, last: int) -> list[Record]:
    """Records with the seqs from first to last."""
    return [record(seq) for seq in range(first, last + 1)]


class Segment(msgspec.Struct):
    """A segment made by hand; `ends` are the offsets behind its head and behind each group."""

    name: str
    data: bytes
    ends: list[tuple[int, int]]  # offset, last seq that counts up to there
    tail: Tail


def build_segment(
    records: Sequence[Record], sizes: Iterable[int], tail: Tail, snapshot: Snapshot | None
) -> Segment:
    """The bytes of a segment that holds the records in groups of the sizes."""
    first = records[0].seq
    data, crc = frame_head(new_header(IDENTITY, first, tail, 5), snapshot)
    ends = [(len(data), first - 1)]
    rest = list(records)
    for size in sizes:
        group, rest = rest[:size], rest[size:]
        if not group:
            break
        lines, crc = frame_group(map(encode_record, group), len(group), group[-1].seq, crc)
        data += lines
        ends.append((len(data), group[-1].seq))
    return Segment(segment_name(first), data, ends, Tail(ends[-1][1], crc))


def open_disk(
    directory: Path,
    ops: FileOps | None = None,
    limits: Retention | None = None,
    patience: Patience = EAGER,
    now: int = 5,
    *,
    schema: str = "schema",
) -> OpenedJournal:
    """Open a journal as an agent does."""
    return DiskJournal.open(
        directory,
        node="node",
        boot="boot",
        core_version="1.0",
        schema_hash=schema,
        settings={"maxPods": 110},
        limits=limits or Retention(),
        fileops=ops,
        clock=lambda: now,
        patience=patience,
    )


async def write_records(journal: Journal, count: int, group: int = 1) -> None:
    """Append and commit so many records, so many at a time."""
    while count > 0:
        size = min(group, count)
        journal.append(numbered(journal.next_seq, journal.next_seq + size - 1))
        await journal.commit()
        count -= size


class FilesInMemory(RealFileOps):
    """A directory in memory, for surveys by the ten thousand."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def listing(self, path: Path) -> list[FileFound]:
        return [FileFound(name, len(data), 0) for name, data in sorted(self.files.items())]

    def read(self, path: Path, limit: int = -1) -> bytes:
        data = self.files[path.name]
        return data if limit < 0 else data[:limit]


class FailingDisk(RealFileOps):
    """The real disk, whose operations fail as told; `calls` counts those of each name.

    `broken` maps an operation to the errno it fails with, `once` names those that then heal by themselves;
    `torn` lets a failing write put half its bytes down. `touched_after_failure` counts the writes and syncs
    of a file in which one had failed before.
    """

    def __init__(self) -> None:
        self.broken: dict[str, int] = {}
        self.once: set[str] = set()
        self.torn = False
        self.calls: Counter[str] = Counter()
        self.touched_after_failure = 0
        self._failed: set[int] = set()  # descriptors

    def _call(self, name: str, path: Path | None = None) -> None:
        self.calls[name] += 1
        if name in self.broken:
            code = self.broken.pop(name) if name in self.once else self.broken[name]
            raise OSError(code, os.strerror(code), *([] if path is None else [str(path)]))

    def read_only(self) -> None:
        for name in ("make_directory", "create", "rename", "unlink", "truncate", "lock"):
            self.broken[name] = errno.EROFS

    def heal(self) -> None:
        self.broken.clear()

    def make_directory(self, path: Path) -> None:
        self._call("make_directory", path)
        super().make_directory(path)

    def listing(self, path: Path) -> list[FileFound]:
        self._call("listing", path)
        return super().listing(path)

    def read(self, path: Path, limit: int = -1) -> bytes:
        self._call("read", path)
        return super().read(path, limit)

    def create(self, path: Path) -> int:
        self._call("create", path)
        fd = super().create(path)
        self._failed.discard(fd)
        return fd

    def write(self, fd: int, data: bytes) -> int:
        self.touched_after_failure += fd in self._failed
        if "write" in self.broken:
            self._failed.add(fd)
            if self.torn:
                super().write(fd, data[: len(data) // 2])
        self._call("write")
        return super().write(fd, data)

    def fdatasync(self, fd: int) -> None:
        self.touched_after_failure += fd in self._failed
        if "fdatasync" in self.broken:
            self._failed.add(fd)
        self._call("fdatasync")
        super().fdatasync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._call("rename", new)
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._call("unlink", path)
        super().unlink(path)

    def truncate(self, path: Path, length: int) -> None:
        self._call("truncate", path)
        super().truncate(path, length)

    def sync_directory(self, path: Path) -> None:
        self._call("sync_directory", path)
        super().sync_directory(path)

    def lock(self, path: Path) -> int:
        self._call("lock", path)
        return super().lock(path)


class GatedDisk(FailingDisk):
    """A disk whose syncs wait until the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()

    def fdatasync(self, fd: int) -> None:
        self.waiting.set()
        assert self.gate.wait(60)
        super().fdatasync(fd)
