"""Coverage: which events met which stages of their pods, and how the stages followed upon one another.

Belongs here: counting, and the table that a person reads. May not be here: what is right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, get_args

from minikubelet.core.events import AnyEvent, NodeEvent, PodObserved
from minikubelet.core.state import Slot, Stage
from minikubelet.model.ids import PodUid, SlotKey

KINDS: Final = tuple(sorted(kind.__name__ for kind in get_args(AnyEvent)))
STAGES: Final = ("node", "none", *(stage.value for stage in Stage))
_GONE: Final = "none"


class Coverage:
    """`pairs` are of event kind and stage, `transitions` of the stage before and the one after."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.transitions: Counter[tuple[str, str]] = Counter()
        self._stages: dict[PodUid, str] = {}

    def took(self, slots: Mapping[SlotKey, Slot], event: AnyEvent) -> None:
        """An event was taken in, and this is the state after."""
        self.pairs[type(event).__name__, _stage(slots, event)] += 1
        touched = slots.values() if isinstance(event, NodeEvent) else filter(None, [slots.get(event.slot)])
        for gen in [gen for slot in touched for gen in slot.generations]:
            before = self._stages.get(gen.uid, _GONE)
            if before != gen.stage.value:
                self.transitions[before, gen.stage.value] += 1
                self._stages[gen.uid] = gen.stage.value
        uid = None if isinstance(event, NodeEvent) else _uid(event)
        slot = None if isinstance(event, NodeEvent) else slots.get(event.slot)
        if uid in self._stages and (slot is None or slot.find(uid) is None):
            self.transitions[self._stages.pop(uid), _GONE] += 1


def _uid(event: AnyEvent) -> PodUid | None:
    return event.pod.uid if isinstance(event, PodObserved) else getattr(event, "uid", None)


def _stage(slots: Mapping[SlotKey, Slot], event: AnyEvent) -> str:
    if isinstance(event, NodeEvent):
        return "node"
    slot, uid = slots.get(event.slot), _uid(event)
    gen = slot.find(uid) if slot is not None and uid else None
    if gen is None:
        return _GONE if slot is None or not slot.generations else slot.generations[-1].stage.value
    return gen.stage.value


def table(pairs: Mapping[str, int], transitions: Mapping[str, int]) -> Iterator[str]:
    """Rows of event kinds with a column for each stage, a dot where none was seen, then the transitions.

    Keys are `kind stage` and `stage stage`.
    """
    yield "  ".join([f"{'event':20}", *(f"{stage:>9}" for stage in STAGES)])
    for kind in KINDS:
        cells = [pairs.get(f"{kind} {stage}", 0) for stage in STAGES]
        yield "  ".join([f"{kind:20}", *(f"{cell or '.':>9}" for cell in cells)])
    told = [f"{key.replace(' ', ' → ')} {count}" for key, count in sorted(transitions.items())]
    yield f"transitions: {', '.join(told) or 'none'}"
