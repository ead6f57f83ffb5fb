"""Signals: what is measured of the node and of its pods, and the thresholds that it is held against.

Belongs here: the shape of these, as in upstream's eviction/api. May not be here: what follows from them
(`pressure`). Sizes are in bytes, inodes and processes in numbers, shares in millionths, times in µs.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec

from minikubelet.model.ids import PodUid

WHOLE: Final = 1_000_000
"""of which shares are parts"""


class Signal(Enum):
    """Of what the node may run short."""

    MEMORY_AVAILABLE = "memory.available"
    NODEFS_AVAILABLE = "nodefs.available"
    NODEFS_INODES_FREE = "nodefs.inodesFree"
    IMAGEFS_AVAILABLE = "imagefs.available"
    IMAGEFS_INODES_FREE = "imagefs.inodesFree"
    PID_AVAILABLE = "pid.available"


class Observation(msgspec.Struct, frozen=True):
    """How much there is of something, and how much there could be."""

    signal: Signal
    available: int
    capacity: int


class Threshold(msgspec.Struct, frozen=True, omit_defaults=True):
    """Less than this is too little: an amount, or else a share of what there could be.

    With a `grace`, only for so long. `reclaim` (or its share) more than that has to be there again.
    """

    signal: Signal
    amount: int = 0
    share: int = 0
    grace: int = 0
    reclaim: int = 0
    reclaim_share: int = 0


class EvictionRules(msgspec.Struct, frozen=True, omit_defaults=True):
    """The thresholds; how long a condition is told after it was seen last; the most grace in seconds.

    The latter holds for thresholds with a grace of their own; behind others pods have a second.
    """

    thresholds: tuple[Threshold, ...] = ()
    transition: int = 0
    most_grace: int = 0


class ContainerUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one container uses: memory, and of the disk its logs and what it wrote into its own files."""

    name: str
    memory: int = 0
    disk: int = 0


class PodUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one pod uses: `local` are logs and volumes on the node's disk, `root` containers' own files."""

    uid: PodUid
    memory: int = 0
    pids: int = 0
    local: int = 0
    root: int = 0
    local_inodes: int = 0
    containers: tuple[ContainerUse, ...] = ()


class Pressure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of what the node is short.

    `since` are (number of a threshold, when it was first found missed), `met` the numbers of those that were
    missed for their grace, `seen` when each condition was observed last, `conditions` those that are told.
    """

    since: tuple[tuple[int, int], ...] = ()
    met: tuple[int, ...] = ()
    seen: tuple[tuple[str, int], ...] = ()
    conditions: tuple[str, ...] = ()
