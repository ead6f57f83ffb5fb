"""Eviction: a pod that the node ends itself, with what its status says of it then.

Belongs here: beginning such an end. May not be here: which pod it is (`preemption`) or why.
"""

from __future__ import annotations

from msgspec.structs import replace

from minikubelet.core import lifecycle
from minikubelet.core.commands import Reason
from minikubelet.core.nodefacts import Verdict
from minikubelet.core.state import Generation, Moment

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
