"""How segments are named, what identifies their writer, and what is remembered of each.

Names and small values only; reading is in `segmentscan`, writing in `writing`.
"""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from minikubelet.journal.fileops import FileFound
from minikubelet.journal.framing import FORMAT, hex_crc
from minikubelet.ports.journalport import SegmentHeader, Snapshot

SUFFIX = ".mkj"
LOCK_NAME = "lock"
QUARANTINE = "quarantine"
TORN_PREFIX = "torn-"
_NAME = re.compile(r"(\d{20})\.mkj")


class Identity(msgspec.Struct, frozen=True):
    """Who writes: goes into the header of every segment."""

    node: str
    boot: str
    core: str
    schema: str
    settings: dict[str, Any]


class Tail(msgspec.Struct, frozen=True):
    """Where a history ends: the last seq that counts, and the crc of its line (None: no line at all)."""

    seq: int = 0
    crc: int | None = None


class Carried(msgspec.Struct, frozen=True):
    """The snapshot of a segment in which no record counts yet, and the schema that it is written in."""

    snapshot: Snapshot
    schema: str


class SegmentInfo(msgspec.Struct, frozen=True):
    """What retention has to know of a segment; `created` in µs since the epoch."""

    name: str
    size: int
    created: int
    has_snapshot: bool


def now_us() -> int:
    """The wall clock in µs since the epoch."""
    return time.time_ns() // 1000


def segment_name(first: int) -> str:
    """The file name of the segment whose first record is `first`."""
    return f"{first:020d}{SUFFIX}"


def is_segment(name: str) -> bool:
    """Whether a file name is a segment's."""
    return _NAME.fullmatch(name) is not None


def first_of(name: str) -> int:
    """The first seq a segment's file name tells."""
    return int(Path(name).name.removesuffix(SUFFIX))


def segment_names(files: Sequence[FileFound]) -> list[str]:
    """The segments among files, oldest first."""
    return sorted(file.name for file in files if is_segment(file.name))


def new_header(identity: Identity, first: int, tail: Tail, created: int) -> SegmentHeader:
    """The header of a segment that goes on after `tail`."""
    return SegmentHeader(
        format=FORMAT,
        node=identity.node,
        boot=identity.boot,
        core=identity.core,
        schema=identity.schema,
        settings=identity.settings,
        created=created,
        first=first,
        prev=None if tail.crc is None else hex_crc(tail.crc),
    )
