"""Reducer: the whole state, all slots and the node, driven by one event after the other.

Belongs here: routing an event to its slot, and the state as one value that a snapshot keeps. May not be
here: decisions. The shell and replay drive the same reducer, which is why replay must match.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from minikubelet.core.admission import taken_by
from minikubelet.core.commands import Decision
from minikubelet.core.events import (
    AgentStarted,
    AnyEvent,
    ManifestsJudged,
    NodeEvent,
    NodeSeen,
    RuntimeListed,
    SlotEvent,
    SourceSynced,
)
from minikubelet.core.nodefacts import NodeFacts
from minikubelet.core.state import Moment, Slot
from minikubelet.core.step import step, step_node, step_slot_for_node
from minikubelet.model.ids import SlotKey

_OF_NODE: Final = (AgentStarted, NodeSeen, SourceSynced, RuntimeListed, ManifestsJudged)


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state after the event of `seq`."""

    seq: int
    node: NodeFacts
    slots: tuple[Slot, ...]


class Reducer:
    """Holds the state and takes events in; `decide` is the only thing that changes it."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.seq = snapshot.seq if snapshot else 0
        self.node = snapshot.node if snapshot else NodeFacts()
        self.slots: dict[SlotKey, Slot] = {slot.key: slot for slot in snapshot.slots} if snapshot else {}

    def decide(self, seq: int, at: int, event: AnyEvent) -> list[Decision]:
        """Take the event of this seq and time (µs) in, and return what was decided, in order."""
        self.seq = seq
        now = Moment(seq, at)
        if isinstance(event, _OF_NODE):
            return self._node(event, now)
        return self._slot(event, now)

    def snapshot(self) -> Snapshot:
        """The state as one value; slots in the order of their names."""
        slots = tuple(self.slots[key] for key in sorted(self.slots))
        return Snapshot(self.seq, self.node, slots)

    def _node(self, event: NodeEvent, now: Moment) -> list[Decision]:
        self.node = step_node(self.node, event)
        decisions: list[Decision] = []
        for key in sorted(self.slots):
            slot, decided = step_slot_for_node(self.slots[key], event, self.node, now)
            self._keep(slot)
            decisions += decided
        return decisions

    def _slot(self, event: SlotEvent, now: Moment) -> list[Decision]:
        slot = self.slots.get(event.slot) or Slot(event.slot)
        slot, decisions = step(slot, event, self.node, now)
        self._keep(slot)
        return decisions

    def _keep(self, slot: Slot) -> None:
        if self.node.max_pods or slot.counted:
            slot = self._count(slot)
        if slot.empty:
            self.slots.pop(slot.key, None)
        else:
            self.slots[slot.key] = slot

    def _count(self, slot: Slot) -> Slot:
        """Keep the sum of what all slots take of the node."""
        taken = taken_by(slot)
        if taken == slot.counted:
            return slot
        self.node = replace(self.node, used=self.node.used.minus(slot.counted).plus(taken))
        return replace(slot, counted=taken)
