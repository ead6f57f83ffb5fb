"""What the rest of the agent may know of a journal: its records, its promises and its health.

Only data types and Protocols belong here. How records lie on a disk is the business of `minikubelet.journal`,
and what a record's body means is the business of `minikubelet.wire`; neither may leak into this module.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Protocol

import msgspec


class JournalError(Exception):
    """Something about a journal that a person has to know; the text says what, where and what to do."""


class JournalLockedError(JournalError):
    """Another agent holds the journal's directory."""


class RecordKind(StrEnum):
    """What a record is; the value is what stands in the file."""

    EVENT = "e"
    COMMAND = "c"


class Record(
    msgspec.Struct,
    frozen=True,
    gc=False,
    omit_defaults=True,
    rename={"seq": "s", "kind": "k", "at": "t", "body": "b", "causes": "c"},
):
    """One event, or one command decided from events; both share one seq that rises by one.

    `at` is in µs since the epoch, `causes` are the seqs that led here, `body` is JSON without line breaks.
    """

    seq: int
    kind: RecordKind
    at: int
    body: msgspec.Raw
    causes: tuple[int, ...] = ()


class SnapshotRef(msgspec.Struct, frozen=True):
    """The snapshot a segment begins with: the last seq it covers, its length in bytes, its crc32 as hex."""

    seq: int
    length: int
    crc: str


class SegmentHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a segment or of an export: who wrote it, and what it follows.

    `created` is in µs since the epoch; `first` is the seq of the first record; `prev` is the crc (hex) of the
    last line that counts in the segment before, or None at the very beginning.
    """

    format: str
    node: str
    boot: str
    core: str
    schema: str
    created: int
    first: int
    prev: str | None = None
    snapshot: SnapshotRef | None = None
    settings: dict[str, Any] = {}


class Snapshot(msgspec.Struct, frozen=True):
    """A state as JSON bytes, and the last seq that went into it."""

    seq: int
    body: bytes


class Retention(msgspec.Struct, frozen=True):
    """How much history is kept: bytes in all, age in seconds, and the bytes after which a segment is full."""

    max_bytes: int = 1 << 30
    max_age: int = 7 * 86_400
    segment_bytes: int = 16 << 20


class JournalHealth(msgspec.Struct, frozen=True):
    """Whether records reach the disk; degraded means they are only held in memory, and `reason` says why."""

    degraded: bool = False
    reason: str = ""


class Verdict(Enum):
    """What the survey made of one segment."""

    SOUND = "sound"
    TORN = "torn"
    CORRUPT = "corrupt"
    QUARANTINED = "quarantined"
    UNCHECKED = "unchecked"


class SegmentFound(msgspec.Struct, frozen=True):
    """One segment as it was found: seqs are inclusive, `last` is `first - 1` where no record counts."""

    path: Path
    verdict: Verdict
    first: int
    last: int
    size: int
    created: int
    snapshot_seq: int | None


class Survey(msgspec.Struct, frozen=True):
    """What a start found on the disk: the segments in order, and the damage in plain sentences."""

    segments: tuple[SegmentFound, ...] = ()
    damage: tuple[str, ...] = ()


class Journal(Protocol):
    """Where the loop writes what happened and what was decided."""

    on_snapshot_wanted: Callable[[str], None] | None
    on_health: Callable[[JournalHealth], None] | None

    @property
    def next_seq(self) -> int:
        """The seq the next record must carry."""

    @property
    def health(self) -> JournalHealth:
        """Whether what is committed is durable."""

    @property
    def snapshot_wanted(self) -> bool:
        """Whether the owner should call `begin_segment` when it next can."""

    def append(self, records: Sequence[Record]) -> None:
        """Take records in; they are durable after the next `commit`, or a second later at the latest.

        Raises ValueError where a seq is not the next one or a body is not JSON on one line: bugs, both.
        """

    async def commit(self) -> None:
        """Return once everything appended so far is durable, or at once while the journal is degraded."""

    async def begin_segment(self, snapshot: bytes, seq: int) -> None:
        """Start a new segment whose head is `snapshot` (JSON on one line), the state after record `seq`.

        Take the snapshot and call this without awaiting in between. A disk that refuses shows in `health`;
        ValueError says that records after `seq` have been written already.
        """

    async def close(self) -> None:
        """Write what is left, and let go of the files."""


class OpenedJournal(msgspec.Struct, frozen=True):
    """A journal after its survey: load `snapshot` (None: begin empty), apply `records`, then go on.

    `records` can be walked once; it yields what follows the snapshot.
    """

    journal: Journal
    survey: Survey
    snapshot: Snapshot | None
    records: Iterator[Record]


class JournalSource(Protocol):
    """A recorded history, read without disturbing whoever writes it."""

    damage: list[str]

    def headers(self) -> list[SegmentHeader]:
        """The heads of its parts, in order."""

    def snapshots(self) -> Iterator[Snapshot]:
        """The snapshots that verify, in order."""

    def records(self, from_seq: int = 0) -> Iterator[Record]:
        """The committed records that verify, in order; what does not is told in `damage`."""
