"""Put commit groups on the disk: one segment open at a time, and a new one as soon as the disk fails.

All of it is blocking and is called from one thread. A file in which a write or a sync failed is never written
to again, since what the kernel then holds of it is not known; the group is written once more, from memory,
into a new segment. When to write, and what to do if that fails as well, is decided in `diskjournal`.
"""

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from minikubelet.journal.fileops import FileFound, FileOps, write_all
from minikubelet.journal.framing import frame_group, frame_head
from minikubelet.journal.retention import removable, removable_aside
from minikubelet.journal.segments import (
    QUARANTINE,
    TORN_PREFIX,
    Carried,
    Identity,
    SegmentInfo,
    Tail,
    new_header,
    segment_name,
)
from minikubelet.ports.journalport import Retention, SegmentHeader, Snapshot

_REMEDY = "; make it again and restart the agent"
_OVERDUE = 2  # a segment this many times its size gets a successor even without a snapshot


class Group(msgspec.Struct, frozen=True):
    """Encoded records that become durable together; `last` is the seq of the last."""

    payloads: tuple[bytes, ...]
    last: int

    @property
    def first(self) -> int:
        """The seq of the first."""
        return self.last - len(self.payloads) + 1


class Patience(msgspec.Struct, frozen=True):
    """Times in seconds, and the bytes held in memory while the disk refuses.

    A disk that does not answer for `hang_after` is not waited for any longer; every `look_every` it is looked
    whether what was written is still there.
    """

    flush_after: float = 1.0
    hang_after: float = 10.0
    look_every: float = 10.0
    retry_first: float = 1.0
    retry_most: float = 30.0
    held_bytes: int = 64 << 20


class WriteOutcome(msgspec.Struct, frozen=True):
    """What went wrong, where something did.

    `failed` says why nothing became durable, `overcome` what happened before a new segment helped,
    `postponed` why there is no new segment although the old one goes on.
    """

    failed: str = ""
    overcome: str = ""
    postponed: str = ""


class OpenSegment:
    """A segment being written; it has its name only once its head is durable."""

    def __init__(self, path: Path, ops: FileOps) -> None:
        self._path, self._ops = path, ops
        self._temporary = path.with_suffix(".tmp")
        self._fd = ops.create(self._temporary)
        self._crc = 0
        self.size = 0
        self.named = False

    def begin(self, header: SegmentHeader, snapshot: Snapshot | None, group: Group | None) -> Tail | None:
        """Write the head and a first group, make them durable and give the file its name."""
        data, self._crc = frame_head(header, snapshot)
        tail = None
        if group is not None:
            lines, self._crc = frame_group(group.payloads, len(group.payloads), group.last, self._crc)
            data += lines
            tail = Tail(group.last, self._crc)
        write_all(self._ops, self._fd, data)
        self._ops.fdatasync(self._fd)
        self._ops.rename(self._temporary, self._path)
        self.named = True
        self._ops.sync_directory(self._path.parent)
        self.size = len(data)
        return tail

    def write(self, group: Group) -> Tail:
        """Write a group with its mark and wait for the disk."""
        data, crc = frame_group(group.payloads, len(group.payloads), group.last, self._crc)
        write_all(self._ops, self._fd, data)
        self._ops.fdatasync(self._fd)
        self.check()
        self._crc = crc
        self.size += len(data)
        return Tail(group.last, crc)

    def check(self) -> None:
        """Raise OSError where the file was removed, and nobody will ever read what is written to it."""
        if not self._ops.holds(self._path, self._fd):
            there = self._ops.holds(self._path.parent)
            what = "the segment" if there else f"the directory {self._path.parent}"
            raise OSError(
                errno.ENOENT, f"{what} was removed or moved while the agent ran{'' if there else _REMEDY}"
            )

    def close(self) -> None:
        """Let go of the file; what it holds is durable or given up."""
        with suppress(OSError):
            self._ops.close(self._fd)

    def discard(self) -> None:
        """Let go of a file that did not come to be a segment."""
        self.close()
        with suppress(OSError):
            self._ops.unlink(self._temporary)


class SegmentStore:
    """The segments of one directory, from the side that writes.

    `todo` are steps that must have succeeded before anything is written: the lock, and repairs. `hold` makes
    sure of the lock before each new segment.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ops: FileOps,
        identity: Identity,
        limits: Retention,
        clock: Callable[[], int],
        tail: Tail,
        segments: Sequence[SegmentInfo] = (),
        carried: Carried | None = None,
        hold: Callable[[], None],
    ) -> None:
        self._directory, self._ops, self._identity = directory, ops, identity
        self._hold = hold
        self._limits, self._clock = limits, clock
        self._tail = tail
        self._segments = list(segments)
        self._carried = carried
        self._open: OpenSegment | None = None
        self._strays: list[str] = []
        self._lost = ""  # what became of the segment that was open, where somebody removed it
        self.todo: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        """Whether there is a segment to go on in."""
        return self._open is not None

    @property
    def written(self) -> int:
        """The last seq that is durable as a record."""
        return self._tail.seq

    @property
    def is_full(self) -> bool:
        """Whether the open segment has reached its size."""
        return self._open is not None and self._open.size >= self._limits.segment_bytes

    def write(self, group: Group) -> WriteOutcome:
        """Make a group durable, in a new segment where the open one fails or is long overdue."""
        overcome = self._lost
        if self._open is not None and self._open.size < _OVERDUE * self._limits.segment_bytes:
            try:
                self._tail = self._open.write(group)
            except OSError as error:
                overcome = _tell(error)
                self._lost = overcome if isinstance(error, FileNotFoundError) else ""
                self._drop()
            else:
                self._carried = None
                return WriteOutcome()
        try:
            self._start(group.first, self._carried, group)
        except OSError as error:
            return WriteOutcome(
                failed=(self._lost if isinstance(error, FileNotFoundError) else "") or _tell(error)
            )
        return WriteOutcome(overcome=overcome)

    def look(self) -> str:
        """Why what was written is not there any more; nothing where it is."""
        try:
            if self._open is not None:
                self._open.check()
        except OSError as error:
            self._lost = _tell(error)
            self._drop()
        return self._lost

    def begin(self, snapshot: Snapshot) -> WriteOutcome:
        """Start a new segment with a snapshot at its head; where that fails, the old one stays open."""
        try:
            self._start(snapshot.seq + 1, Carried(snapshot, self._identity.schema), None)
        except OSError as error:
            return WriteOutcome(failed=_tell(error))
        return WriteOutcome()

    def _start(self, first: int, head: Carried | None, group: Group | None) -> None:
        while self.todo:
            self.todo[0]()
            del self.todo[0]
        self._hold()
        self._remove_strays()
        created = self._clock()
        header = new_header(self._identity, first, self._tail, created)
        if head is not None:
            header = msgspec.structs.replace(header, schema=head.schema)
        segment = OpenSegment(self._directory / segment_name(first), self._ops)
        try:
            tail = segment.begin(header, head.snapshot if head else None, group)
        except OSError:
            segment.discard()
            if segment.named:  # a successor may be there after a crash: what went before must not grow
                self._strays.append(segment_name(first))
                self._drop()
            raise
        self._drop()
        self._open, self._lost = segment, ""
        self._carried = head if tail is None else None
        self._tail = tail or self._tail
        self._remember(SegmentInfo(segment_name(first), segment.size, created, head is not None))
        self._clear_out()

    def _remove_strays(self) -> None:
        """Segments that got their name but were not said to be durable must not stand beside a new one."""
        while self._strays:
            with suppress(FileNotFoundError):
                self._ops.unlink(self._directory / self._strays[-1])
            self._strays.pop()

    def _remember(self, info: SegmentInfo) -> None:
        self._segments = [segment for segment in self._segments if segment.name != info.name]
        self._segments.append(info)

    def _drop(self) -> None:
        if self._open is not None:
            self._open.close()
            last = self._segments[-1]
            self._segments[-1] = msgspec.structs.replace(last, size=self._open.size)
            self._open = None

    def _clear_out(self) -> None:
        """Remove what retention lets go; what cannot be removed is tried again with the next segment."""
        for segment in removable(self._segments, self._limits, self._clock()):
            try:
                self._ops.unlink(self._directory / segment.name)
            except FileNotFoundError:
                pass  # somebody else removed it: so much the better
            except OSError:
                return
            self._segments.remove(segment)
        with suppress(OSError):
            for path in self._aside():
                self._ops.unlink(path)

    def _aside(self) -> list[Path]:
        torn = [file for file in self._ops.listing(self._directory) if file.name.startswith(TORN_PREFIX)]
        quarantined: list[FileFound] = []
        with suppress(FileNotFoundError):
            quarantined = self._ops.listing(self._directory / QUARANTINE)
        where = {file: self._directory / file.name for file in torn}
        where |= {file: self._directory / QUARANTINE / file.name for file in quarantined}
        return [where[file] for file in removable_aside([*where], self._limits)]

    def close(self) -> None:
        """Let go of the open segment."""
        self._drop()


def _tell(error: OSError) -> str:
    where = f" ({Path(str(error.filename)).name})" if error.filename else ""
    return f"{error.strerror or error}{where}"
