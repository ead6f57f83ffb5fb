"""Pressure: of what the node is short, what is told of it, and whom it ends to have more.

After upstream's eviction/eviction_manager.go and helpers.go. May not be here: measuring, or how a pod is
ended (`eviction`). Units as in `signals`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from minikubelet.core.backoff import SECOND
from minikubelet.core.commands import Reason
from minikubelet.core.demand import demand_of
from minikubelet.core.eviction import AT_ONCE, EVICTED
from minikubelet.core.nodeevents import NodeMeasured
from minikubelet.core.nodefacts import NodeFacts, Refusal, Taint, Verdict
from minikubelet.core.nodematch import tolerates
from minikubelet.core.preemption import is_critical
from minikubelet.core.qos import BEST_EFFORT
from minikubelet.core.signals import WHOLE, Observation, PodUse, Pressure, Signal, Threshold
from minikubelet.core.state import Generation, Moment, Stage
from minikubelet.core.storage import bytes_of
from minikubelet.model.podquantity import canonical, spell_binary

MEMORY: Final = "MemoryPressure"
DISK: Final = "DiskPressure"
PID: Final = "PIDPressure"
CONDITIONS: Final = (MEMORY, DISK, PID)
_PATIENCE: Final = 30 * SECOND
"""so long an evicted pod is waited for before another one is"""
_MEMORY_TAINT: Final = Taint("node.kubernetes.io/memory-pressure", "NoSchedule")
_OF: Final = {
    Signal.MEMORY_AVAILABLE: (MEMORY, "memory"),
    Signal.NODEFS_AVAILABLE: (DISK, "ephemeral-storage"),
    Signal.NODEFS_INODES_FREE: (DISK, "inodes"),
    Signal.IMAGEFS_AVAILABLE: (DISK, "ephemeral-storage"),
    Signal.IMAGEFS_INODES_FREE: (DISK, "inodes"),
    Signal.PID_AVAILABLE: (PID, "pids"),
}


def measured(node: NodeFacts, observations: tuple[Observation, ...], at: int) -> Pressure:
    """What holds after a measurement."""
    before, rules = node.pressure, node.eviction
    found = {each.signal: each for each in observations}
    missed = [n for n, t in enumerate(rules.thresholds) if _missed(t, found, reclaim=n in before.met)]
    known = dict(before.since)
    since = tuple([(n, known.get(n, at)) for n in missed])
    met = tuple([n for n, first in since if at - first >= rules.thresholds[n].grace])
    now = {resource_condition(rules.thresholds[n]) for n in missed}
    seen = dict(before.seen)
    seen.update((condition, at) for condition in CONDITIONS if condition in now)
    told = [c for c in CONDITIONS if c in now or (c in seen and at - seen[c] < rules.transition)]
    return Pressure(since, met, tuple([(c, seen[c]) for c in told]), tuple(told))


def resource_condition(threshold: Threshold) -> str:
    """The condition that is told where a threshold is missed."""
    return _OF[threshold.signal][0]


def _missed(threshold: Threshold, found: dict[Signal, Observation], *, reclaim: bool) -> bool:
    """Whether there is too little; of what was too little before, some more has to be there again."""
    observed = found.get(threshold.signal)
    if observed is None:
        return False
    least = _least(threshold, observed)
    if reclaim:
        least += threshold.reclaim or observed.capacity * threshold.reclaim_share // WHOLE
    return observed.available < least


def _least(threshold: Threshold, observed: Observation) -> int:
    return threshold.amount or observed.capacity * threshold.share // WHOLE


def refused(gen: Generation, node: NodeFacts) -> Refusal | None:
    """Why a node under pressure does not take a pod, if so."""
    conditions = node.pressure.conditions
    if not conditions or is_critical(gen) or gen.pod is None:
        return None
    if conditions == (MEMORY,):
        tolerated = any(tolerates(each, _MEMORY_TAINT) for each in gen.pod.spec.tolerations)
        if gen.qos != BEST_EFFORT or tolerated:
            return None
    return Refusal(EVICTED, f"The node had condition: [{' '.join(conditions)}]. ")


class Eviction(NamedTuple):
    """A pod that is to end, with its verdict and its grace period in seconds."""

    gen: Generation
    verdict: Verdict
    grace: int


def can_be_evicted(gen: Generation) -> bool:
    """Whether a pod is among those that the node may end."""
    return gen.pod is not None and gen.ending is None and bool(gen.containers) and not is_critical(gen)


def leaves_soon(gen: Generation, now: Moment) -> bool:
    """Whether a pod that was evicted a short while ago still runs: its end may be relief enough."""
    ending = gen.ending
    evicted = gen.stage is Stage.ENDING and ending is not None and ending.reason is Reason.POD_EVICTED
    return evicted and ending is not None and now.at - ending.at < _PATIENCE


def starved(node: NodeFacts) -> Threshold | None:
    """The threshold that decides which pod ends: memory goes before all else."""
    met = [node.eviction.thresholds[n] for n in node.pressure.met]
    return min(met, key=lambda t: t.signal is not Signal.MEMORY_AVAILABLE, default=None)


def choose(node: NodeFacts, event: NodeMeasured, gens: Iterable[Generation]) -> Eviction | None:
    """The one pod that ends after this measurement, if any."""
    threshold = starved(node)
    candidates = [gen for gen in gens if can_be_evicted(gen)]
    if threshold is None or not candidates:
        return None
    uses = {use.uid: use for use in event.pods}
    gen = min(candidates, key=lambda gen: _rank(gen, uses.get(gen.uid), threshold.signal, event))
    message = _message(gen, uses.get(gen.uid), threshold, event)
    grace = AT_ONCE
    if threshold.grace:
        own = gen.pod.spec.termination_grace_period_seconds if gen.pod else None
        grace = min(node.eviction.most_grace, 30 if own is None else own)
    return Eviction(gen, Verdict(EVICTED, message, message), grace)


def _rank(
    gen: Generation, use: PodUse | None, signal: Signal, event: NodeMeasured
) -> tuple[bool, bool, int, int]:
    """Who ends first is least: unknown, using more than it asked for, of low priority, using most."""
    priority = (gen.pod.spec.priority or 0) if gen.pod else 0
    if use is None:
        return False, False, priority, 0
    if signal is Signal.PID_AVAILABLE:
        return True, False, priority, -use.pids
    used, asked = _used(use, signal, event), _asked(gen, signal)
    return True, used <= asked, priority, asked - used


def _used(use: PodUse, signal: Signal, event: NodeMeasured) -> int:
    """Where images are on a disk of their own, so is what containers wrote."""
    match signal:
        case Signal.MEMORY_AVAILABLE:
            return use.memory
        case Signal.NODEFS_AVAILABLE:
            return use.local if event.split else use.local + use.root
        case Signal.IMAGEFS_AVAILABLE:
            return use.root if event.split else use.local + use.root
        case _:
            return use.local_inodes


def _asked(gen: Generation, signal: Signal) -> int:
    demand = demand_of(gen.pod) if gen.pod else None
    resource = _OF[signal][1]
    if demand is None or resource == "inodes":
        return 0
    return demand.memory if resource == "memory" else demand.storage


def _message(gen: Generation, use: PodUse | None, threshold: Threshold, event: NodeMeasured) -> str:
    resource = _OF[threshold.signal][1]
    observed = next(each for each in event.signals if each.signal is threshold.signal)
    least, left = _least(threshold, observed), observed.available
    if resource in ("memory", "ephemeral-storage"):
        amounts = f"Threshold quantity: {spell_binary(least)}, available: {spell_binary(left)}. "
    else:
        amounts = f"Threshold quantity: {least}, available: {left}. "
    return f"The node was low on resource: {resource}. {amounts}" + "".join(_offenders(gen, use, resource))


def _offenders(gen: Generation, use: PodUse | None, resource: str) -> Iterable[str]:
    """The containers that use more than they asked for."""
    spec = gen.pod.spec if gen.pod else None
    every = {c.name: c for c in (*spec.containers, *spec.init_containers)} if spec else {}
    for each in use.containers if use and resource in ("memory", "ephemeral-storage") else ():
        container = every.get(each.name)
        used = each.memory if resource == "memory" else each.disk
        if container is None:
            continue
        asked = container.resources.requests.get(resource, "0")
        if used > bytes_of(asked):
            yield (
                f"Container {each.name} was using {spell_binary(used)}, request is {canonical(asked)}, "
                f"has larger consumption of {resource}. "
            )
