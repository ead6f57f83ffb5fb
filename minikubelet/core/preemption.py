"""Preemption: which pods end so that a critical one finds room.

After upstream's preemption/preemption.go: the fewest Guaranteed pods, then the fewest Burstable, then the
fewest BestEffort, and among as many those that ask for the least. May not be here: who is admitted
(`admission`), or how a pod is ended (`eviction`). Amounts as in `Demand`; the pods themselves count one each.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from minikubelet.core.nodefacts import Amounts, Demand, Refusal
from minikubelet.core.qos import BEST_EFFORT, BURSTABLE, GUARANTEED
from minikubelet.core.state import Generation, Slot, Stage
from minikubelet.model.ids import Source

SYSTEM_CRITICAL: Final = 2_000_000_000
"""the priority of system-cluster-critical, from which on a pod is critical"""


def is_critical(gen: Generation) -> bool:
    """Whether a pod is never evicted, and others make room for it: a static one, or by its priority."""
    return gen.source is Source.FILE or priority(gen) >= SYSTEM_CRITICAL


def priority(gen: Generation) -> int:
    """The pod's priority; without one it is 0."""
    return gen.pod.spec.priority or 0 if gen.pod else 0


def waits_for_room(slot: Slot) -> bool:
    """Whether a critical pod of the slot is to run and has no room yet."""
    return any(gen.lacking and gen.ending is None for gen in slot.generations)


def victims(waiting: Generation, slots: Iterable[Slot]) -> tuple[Generation, ...] | None:
    """The pods to end for one that waits, none where enough of them end already; None: all do not suffice."""
    every = tuple(gen for slot in slots for gen in slot.generations if gen.admitted is not None)
    # As for `taken_by`, what no source holds any more takes nothing while it ends, so it gives nothing back.
    ending = tuple(gen for gen in every if gen.stage is Stage.ENDING and gen.offered)
    candidates = tuple(gen for gen in every if gen.stage is Stage.ACTIVE and _yields(gen, waiting))
    lacking = _less(waiting.lacking, ending)
    if _less(lacking, candidates):
        return None
    kinds = {
        qos: tuple(g for g in candidates if g.qos == qos) for qos in (BEST_EFFORT, BURSTABLE, GUARANTEED)
    }
    guaranteed = _nearest(kinds[GUARANTEED], _less(lacking, (*kinds[BEST_EFFORT], *kinds[BURSTABLE])))
    burstable = _nearest(kinds[BURSTABLE], _less(lacking, (*kinds[BEST_EFFORT], *guaranteed)))
    best_effort = _nearest(kinds[BEST_EFFORT], _less(lacking, (*burstable, *guaranteed)))
    return (*best_effort, *burstable, *guaranteed)


def no_victims(waiting: Generation, slots: Iterable[Slot]) -> Refusal:
    """What is said of a critical pod for which no room can be made."""
    every = tuple(gen for slot in slots for gen in slot.generations if gen.admitted is not None)
    left = _less(waiting.lacking, tuple(g for g in every if g.stage is Stage.ACTIVE and _yields(g, waiting)))
    listed = "".join(f"(res: {name}, q: {amount}), " for name, amount in left or waiting.lacking)
    return Refusal(
        "UnexpectedAdmissionError",
        "Unexpected error while attempting to recover from admission failure: preemption: error finding a "
        f"set of pods to preempt: no set of running pods found to reclaim resources: [{listed}]",
    )


def _yields(gen: Generation, waiting: Generation) -> bool:
    """Whether a pod gives way: to a critical one if it is none, else to one of a higher priority."""
    return not is_critical(gen) or priority(waiting) > priority(gen)


def _amount(gen: Generation, name: str) -> int:
    demand = gen.admitted or Demand()
    table = {"pods": 1, "cpu": demand.cpu, "memory": demand.memory, "ephemeral-storage": demand.storage}
    return table.get(name, 0)


def _less(lacking: Amounts, gens: tuple[Generation, ...]) -> Amounts:
    """What is lacking still without these pods."""
    left = ((name, amount - sum(_amount(gen, name) for gen in gens)) for name, amount in lacking)
    return tuple([(name, amount) for name, amount in left if amount > 0])


def _nearest(gens: tuple[Generation, ...], lacking: Amounts) -> tuple[Generation, ...]:
    """Pods until nothing is lacking, each time the one that gives most of it, among such the smallest."""
    chosen: list[Generation] = []
    while lacking:
        left = [gen for gen in gens if all(gen is not one for one in chosen)]
        best = min(
            left, key=lambda gen: (_distance(gen, lacking), _amount(gen, "memory"), _amount(gen, "cpu"))
        )
        chosen.append(best)
        lacking = _less(lacking, (best,))
    return tuple(chosen)


def _distance(gen: Generation, lacking: Amounts) -> Fraction:
    """How much stays lacking without this pod: the squares of the shares, each resource weighing the same."""
    shares = (Fraction(max(0, amount - _amount(gen, name)), amount) for name, amount in lacking)
    return sum((share**2 for share in shares), Fraction(0))
