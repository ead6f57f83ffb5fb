"""Relook: asks for another look where an observation could not be used.

Belongs here: the two cases in which the state left an observation aside: it was older than what is
known, or a command about the same thing was under way. May not be here: looking (`observer`).
"""

from __future__ import annotations

from collections.abc import Callable

from minikubelet.core.events import (
    AnyEvent,
    ContainerStarted,
    ContainerStartFailed,
    PodObserved,
    SandboxStarted,
    SandboxStartFailed,
)
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Generation, Slot
from minikubelet.model.ids import PodUid, SlotKey

_STARTS = ("StartSandbox", "StartContainer")


class Relook:
    """Watches events go by after the reducer took them."""

    def __init__(self, reducer: Reducer, look: Callable[[SlotKey, PodUid], None]) -> None:
        self._reducer = reducer
        self._look = look
        self._left_aside: set[PodUid] = set()

    def seen(self, _seq: int, event: AnyEvent) -> None:
        """Take note of an event."""
        match event:
            case PodObserved():
                self._observed(event)
            case ContainerStartFailed():
                # It may run all the same: the state does not know before somebody has looked.
                self._left_aside.discard(event.uid)
                self._look(event.slot, event.uid)
            case SandboxStarted() | SandboxStartFailed() | ContainerStarted():
                if event.uid in self._left_aside:
                    self._left_aside.discard(event.uid)
                    self._look(event.slot, event.uid)
            case _:
                pass

    def _observed(self, event: PodObserved) -> None:
        slot = self._reducer.slots.get(event.slot)
        gen = slot.find(event.pod.uid) if slot else None
        if gen is None:
            return
        if any(pending.command in _STARTS for pending in gen.pending.values()):
            self._left_aside.add(gen.uid)
        elif slot is not None and _newer(slot, gen, event.after):
            self._look(event.slot, gen.uid)


def _newer(slot: Slot, gen: Generation, after: int) -> bool:
    """Whether something of the pod was known already that is newer than what the look began with."""
    return after < max(slot.looked, learnt(gen))


def learnt(gen: Generation) -> int:
    """The seq of the last thing that the state was told of a pod, looks left aside."""
    return max([gen.as_of, gen.since, *(record.as_of for record in gen.containers.values())])
