"""Shutdown: what the end of the machine means for its pods, and which of them come back after it.

After upstream's pkg/kubelet/nodeshutdown. May not be here: learning of it (`sources.logind`), or when which
priorities have their turn (`shell.shutdownturns`).
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from minikubelet.core import lifecycle
from minikubelet.core.commands import Reason
from minikubelet.core.eviction import evict
from minikubelet.core.nodefacts import Refusal, Verdict
from minikubelet.core.preemption import priority
from minikubelet.core.state import Generation, Moment, Slot, Stage
from minikubelet.model.ids import Source

_ENDED: Final = "Pod was terminated in response to imminent node shutdown."

TERMINATED: Final = Verdict("Terminated", _ENDED, _ENDED)
REJECTED: Final = Refusal("NodeShutdown", "Pod was rejected as the node is shutting down.")


def has_turn(gen: Generation, below: int | None) -> bool:
    """Whether a pod is among those of a priority below this one; None: every pod is."""
    return below is None or priority(gen) < below


def end_for_shutdown(slot: Slot, below: int | None, grace: int, now: Moment) -> Slot:
    """End the pods whose turn it is, within so many seconds; an end under way is made no longer."""
    for gen in slot.generations:
        if gen.pod is None or not has_turn(gen, below):
            continue
        least = min(grace, lifecycle.grace_of(gen))
        if gen.ending is None:
            slot = slot.put(evict(gen, Reason.NODE_SHUTDOWN, TERMINATED, now, least))
        elif gen.stage is Stage.ENDING:
            shorter = lifecycle.ending(gen, Reason.NODE_SHUTDOWN, now=now, remove=False, grace=least)
            slot = slot.put(shorter)
    return slot


def after_shutdown(slot: Slot, now: Moment) -> Slot:
    """The machine stays up: static pods come back, while those of the API server are their controllers'."""
    for gen in slot.generations:
        if gen.source is not Source.FILE or not gen.offered:
            continue
        if gen.refused == REJECTED:
            slot = slot.put(replace(gen, refused=None, ending=None, stage=Stage.ACTIVE))
        elif _ended_with_machine(gen):
            slot = slot.put(replace(to_come_back(gen, now), reborn=now.seq))
    return slot


def to_come_back(gen: Generation, now: Moment) -> Generation:
    """A static pod that ended with the machine is removed, so that it can begin anew; others are left."""
    if not _ended_with_machine(gen):
        return gen
    return lifecycle.ending(gen, Reason.NODE_SHUTDOWN, now=now, remove=True)


def _ended_with_machine(gen: Generation) -> bool:
    return gen.source is Source.FILE and gen.evicted == TERMINATED
