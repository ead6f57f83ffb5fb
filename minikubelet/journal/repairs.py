"""What is done about damage: bytes are kept aside first, then cut or moved; nothing is ever thrown away here.

Each repair can be done again after it was interrupted. What needs repair is found in `survey`.
"""

from pathlib import Path
from typing import assert_never

import msgspec

from minikubelet.journal.fileops import FileOps, write_durably
from minikubelet.journal.segments import QUARANTINE, TORN_PREFIX


class CutTail(msgspec.Struct, frozen=True):
    """Keep what stands behind `good` bytes in a file of its own, and cut it off."""

    name: str
    good: int


class CutCorrupt(msgspec.Struct, frozen=True):
    """Keep a copy of the whole segment in the quarantine, and cut it back to its `good` bytes."""

    name: str
    good: int


class SetAside(msgspec.Struct, frozen=True):
    """Keep a segment aside whose head holds nothing committed."""

    name: str


class MoveToQuarantine(msgspec.Struct, frozen=True):
    """Move a segment of which nothing can be used into the quarantine."""

    name: str


Repair = CutTail | CutCorrupt | SetAside | MoveToQuarantine


def kept_as(repair: Repair) -> str:
    """Where, below the journal's directory, the damaged bytes are kept."""
    match repair:
        case CutTail():
            return f"{TORN_PREFIX}{repair.name}-{repair.good}"
        case SetAside():
            return f"{TORN_PREFIX}{repair.name}-0"
        case CutCorrupt() | MoveToQuarantine():
            return f"{QUARANTINE}/{repair.name}"
        case _ as never:
            assert_never(never)


def carry_out(repair: Repair, directory: Path, ops: FileOps) -> None:
    """Do one repair, durably; OSError where the file system refuses."""
    segment = directory / repair.name
    match repair:
        case CutTail(good=good):
            write_durably(ops, _free(directory / kept_as(repair), ops), ops.read(segment)[good:])
            ops.truncate(segment, good)
        case CutCorrupt(good=good):
            ops.make_directory(directory / QUARANTINE)
            write_durably(ops, _free(directory / kept_as(repair), ops), ops.read(segment))
            ops.truncate(segment, good)
        case SetAside() | MoveToQuarantine():
            target = directory / kept_as(repair)
            ops.make_directory(target.parent)
            ops.rename(segment, _free(target, ops))
            ops.sync_directory(target.parent)
            ops.sync_directory(directory)
        case _ as never:
            assert_never(never)


def _free(path: Path, ops: FileOps) -> Path:
    """The path, or one with a number behind it where an earlier damage is kept under that name."""
    taken = {file.name for file in ops.listing(path.parent)}
    number, free = 1, path
    while free.name in taken:
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
