"""The judge of bounds: what the agent keeps and how often it calls do not grow with what it has seen.

Belongs here: journal bytes, events that wait, everything that any part of the agent holds, calls that one
change costs. May not be here: whether the agent is right (`simsafety`, `simliveness`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from minikubelet.model.ids import PodUid
from minikubelet.simulation.simdisk import SimDisk
from minikubelet.simulation.simlife import JOURNAL, AgentLife
from minikubelet.simulation.simwanted import Fail, Wanted

MOST_WAITING: Final = 256
"""events in the inbox at once: a small world never has so many"""
_OWN: Final = "minikubelet."
_JOURNALED: Final = "_segments"
"""files, whose bytes are what is bounded"""
_ASIDE: Final = 4
_SEGMENTS: Final = 2
_PARTS: Final = ("wired", "vault", "outbox", "journal", "reducer")


def while_it_runs(disk: SimDisk, agent: AgentLife, fail: Fail) -> None:
    """Judge what has to be so at every moment.

    What a full disk refused is held in memory, and comes at once in one segment. A snapshot is as large as
    what it holds: what the agent holds too long is found at rest.
    """
    if len(agent.wired.inbox) > MOST_WAITING:
        fail("bounds", f"{len(agent.wired.inbox)} events wait in the inbox")
    limits = agent.limits
    most = limits.max_bytes + limits.max_bytes // _ASIDE + _SEGMENTS * limits.segment_bytes
    size = disk.size(f"{JOURNAL}/")
    if size > most:
        most += _SEGMENTS * _largest_snapshot(disk)
    if size > most and not disk.refused:
        fail("bounds", f"the journal has {size} bytes of at most {most}")


def _largest_snapshot(disk: SimDisk) -> int:
    """Bytes of the largest second line of a segment: the two last snapshots are kept, whatever their size."""
    segments = (held for name, held in disk.files().items() if name.endswith(".mkj"))
    return max((len(held.split(b"\n", 2)[1]) for held in segments if held.count(b"\n") > 1), default=0)


def at_rest(agent: AgentLife, wanted: list[Wanted], gone: set[PodUid], fail: Fail) -> None:
    """Judge what is held once nothing happens any more: what wanted pods need, nothing of `gone` ones."""
    containers = sum(len(each.hashes) for each in wanted)
    most = 8 + 2 * containers
    for name, things in held(agent):
        if len(things) > most and not name.endswith(_JOURNALED):
            fail("bounds", f"{name} holds {len(things)} things, and there are {containers} containers")
        left = gone.intersection(each for each in things if isinstance(each, str))
        if left:
            fail("bounds", f"{name} holds something of {len(left)} pods that are gone")
    tasks = len(agent.life.tasks)
    if tasks > 20 + 4 * containers:
        fail("bounds", f"{tasks} tasks are left, and there are {containers} containers")


def held(agent: AgentLife) -> Iterator[tuple[str, Collection[Any]]]:
    """Every collection that a part of the agent holds, and the path to it."""
    seen: set[int] = set()
    for part in _PARTS:
        yield from _held(part, getattr(agent, part), seen)


def _held(path: str, found: Any, seen: set[int]) -> Iterator[tuple[str, Collection[Any]]]:
    if id(found) in seen:
        return
    seen.add(id(found))
    if isinstance(found, dict | list | set | deque):
        yield path, found
    elif type(found).__module__.startswith(_OWN) and not type(found).__module__.startswith(__package__):
        for name in _fields(found):
            yield from _held(f"{path}.{name}", getattr(found, name, None), seen)


def _fields(found: Any) -> list[str]:
    if isinstance(found, msgspec.Struct):
        return list(found.__struct_fields__)
    slots = [name for kind in type(found).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*vars(found)] if hasattr(found, "__dict__") else slots
