"""Eviction: a pod that the node ends itself, with what its status says of it then.

Belongs here: beginning such an end. May not be here: which pod has to make room (`preemption`), or to relieve
the node (`pressure`).
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from minikubelet.core import lifecycle
from minikubelet.core.commands import Reason
from minikubelet.core.events import StorageMeasured
from minikubelet.core.nodefacts import Verdict
from minikubelet.core.preemption import is_critical
from minikubelet.core.state import Generation, Moment, Slot
from minikubelet.core.storage import exceeded

EVICTED: Final = "Evicted"
AT_ONCE: Final = 1
"""seconds that a pod has to end that the node cannot bear any longer"""

PREEMPTED = Verdict(
    "Preempting",
    "Preempted in order to admit critical pod",
    "Pod was preempted by Kubelet to accommodate a critical pod.",
)


def evict(
    gen: Generation, reason: Reason, verdict: Verdict, now: Moment, grace: int | None = None
) -> Generation:
    """The pod ends and is Failed with this verdict; without a grace period (seconds) it has its own."""
    ended = lifecycle.ending(gen, reason, now=now, remove=False, grace=grace)
    return replace(ended, evicted=verdict)


def outgrown(slot: Slot, event: StorageMeasured, now: Moment) -> Slot:
    """Evict a pod that has written more than it may; a critical one stays, as under upstream's kubelet."""
    gen = slot.find(event.uid)
    if gen is None or gen.pod is None or gen.ending is not None or is_critical(gen):
        return slot
    message = exceeded(gen.pod, event.volumes, event.containers, event.total)
    if message is None:
        return slot
    return slot.put(evict(gen, Reason.POD_EVICTED, Verdict(EVICTED, message), now, AT_ONCE))
