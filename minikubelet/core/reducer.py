"""Reducer: the whole state, all slots and the node, driven by one event after the other.

Belongs here: routing an event to its slot, and the state as one value that a snapshot keeps. May not be
here: decisions. The shell and replay drive the same reducer, which is why replay must match.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from minikubelet.core.admission import refuse, taken_by
from minikubelet.core.behaviours import Behaviour
from minikubelet.core.commands import Decision, Reason
from minikubelet.core.events import (
    AnyEvent,
    ManifestsJudged,
    NodeEvent,
    NodeMeasured,
    PodCleanedUp,
    SlotEvent,
)
from minikubelet.core.eviction import PREEMPTED, evict
from minikubelet.core.nodefacts import NodeFacts
from minikubelet.core.plan import plan
from minikubelet.core.preemption import no_victims, victims, waits_for_room
from minikubelet.core.pressure import choose, leaves_soon
from minikubelet.core.state import Generation, Moment, Slot
from minikubelet.core.step import step, step_node, step_slot_for_node
from minikubelet.model.ids import SlotKey


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
        decisions = self._node(event, now) if isinstance(event, NodeEvent) else self._slot(event, now)
        return [*decisions, *self._make_room(now)] if self.node.crowded else decisions

    def snapshot(self) -> Snapshot:
        """The state as one value; slots in the order of their names."""
        slots = tuple(self.slots[key] for key in sorted(self.slots))
        return Snapshot(self.seq, self.node, slots)

    def _node(self, event: NodeEvent, now: Moment) -> list[Decision]:
        before, self.node = self.node, step_node(self.node, event, now)
        if isinstance(event, NodeMeasured):
            return self._relieve(event, now)
        decisions: list[Decision] = []
        if isinstance(event, ManifestsJudged) and _as_sound_as(before, self.node):
            return decisions
        for key in sorted(self.slots):
            slot, decided = step_slot_for_node(self.slots[key], event, self.node, now)
            self._keep(slot)
            decisions += decided
        return decisions

    def _slot(self, event: SlotEvent, now: Moment) -> list[Decision]:
        slot = self.slots.get(event.slot) or Slot(event.slot)
        slot, decisions = step(slot, event, self.node, now)
        self._keep(slot)
        if isinstance(event, PodCleanedUp) and Behaviour.LOOKS_ARE_OF_THIS_LIFE in self.node.behaviours:
            self.node = replace(self.node, cleaned=now.seq)
        return decisions

    def _relieve(self, event: NodeMeasured, now: Moment) -> list[Decision]:
        """End one pod where the node is short of something, unless one that was ended has yet to go."""
        gens = [gen for key in sorted(self.slots) for gen in self.slots[key].generations]
        if not self.node.listed or any(leaves_soon(gen, now) for gen in gens):
            return []
        chosen = choose(self.node, event, gens)
        if chosen is None:
            return []
        gen = chosen.gen
        ended = evict(gen, Reason.POD_EVICTED, chosen.verdict, now, chosen.grace)
        self._keep(self.slots[gen.slot].put(ended))
        return self._plan(gen.slot, now)

    def _make_room(self, now: Moment) -> list[Decision]:
        """Let critical pods without room have it: others end for them, or have ended since."""
        decisions: list[Decision] = []
        for key in self.node.crowded if self.node.listed else ():
            decisions += self._plan(key, now)
            for gen in self.slots[key].generations:
                if gen.lacking and gen.ending is None:
                    decisions += self._make_room_for(gen, now)
                    decisions += self._plan(key, now)
        return decisions

    def _make_room_for(self, waiting: Generation, now: Moment) -> list[Decision]:
        every = [self.slots[key] for key in sorted(self.slots)]
        chosen = victims(waiting, every)
        if chosen is None:
            refused = refuse(waiting, no_victims(waiting, every), now)
            self._keep(self.slots[waiting.slot].put(refused))
            return []
        decisions: list[Decision] = []
        for gen in chosen:
            self._keep(self.slots[gen.slot].put(evict(gen, Reason.POD_PREEMPTED, PREEMPTED, now)))
            decisions += self._plan(gen.slot, now)
        return decisions

    def _plan(self, key: SlotKey, now: Moment) -> list[Decision]:
        slot, decisions = plan(self.slots[key], self.node, now)
        self._keep(slot)
        return decisions

    def _keep(self, slot: Slot) -> None:
        if self.node.max_pods or slot.counted:
            slot = self._count(slot)
        self._note_crowded(slot)
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

    def _note_crowded(self, slot: Slot) -> None:
        """Keep the slots whose critical pods wait for room."""
        before, waits = self.node.crowded, waits_for_room(slot)
        if waits is (slot.key in before):
            return
        crowded = sorted((*before, slot.key)) if waits else [key for key in before if key != slot.key]
        self.node = replace(self.node, crowded=tuple(crowded))


def _as_sound_as(before: NodeFacts, node: NodeFacts) -> bool:
    """Whether other verdicts over the manifest folder change nothing: which files are broken is no matter."""
    same = (before.rejected > 0) is (node.rejected > 0)
    return same and Behaviour.FOLDER_SOUND_OR_NOT in node.behaviours
