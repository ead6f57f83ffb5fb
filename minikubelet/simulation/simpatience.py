"""How long may pass until all is as wanted, by what there is to wait for.

Belongs here: back-offs, grace periods and hanging calls, counted from outside the agent. May not be here:
what has to be so then (`simliveness`).
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from minikubelet.simulation.simscenario import Kind
from minikubelet.simulation.simworld import World

LONGEST: Final = 900.0
"""virtual seconds after which nothing is waited for: two back-offs of five minutes and some"""
SOON: Final = 60.0
"""virtual seconds for what waits for nothing: lists of what runs come every ten"""


def patience(world: World) -> float:
    """Virtual seconds in which everything has to be as wanted, by what there is to wait for as faults end.

    Back-offs of each container after its ends and after pulls that failed, a call that hangs, an end with its
    grace period: the longest of each, one after the other. A deadline comes later by what the clock was set
    back; where that was for longer than anybody waits, it is not waited for (`simliveness`).
    """
    ends = Counter((one.uid, one.name) for one in world.engine.instances() if not one.running)
    pulls = world.draws.failed_pulls
    waits = [
        sum(
            _back_off(ends[wanted.uid, each.name]) + _back_off(pulls[each.image])
            for each in (*wanted.pod.spec.init_containers, *wanted.pod.spec.containers)
        )
        for wanted in world.book.pods.values()
    ]
    grace = max((wanted.most_grace for wanted in world.book.pods.values()), default=0)
    hang = world.scenario.runtime.hang if world.scenario.runtime.hangs else 0.0
    jumps = [action.number for action in world.scenario.actions if action.kind is Kind.CLOCK_JUMP]
    late = any(each.pod.spec.active_deadline_seconds is not None for each in world.book.pods.values())
    back = -sum(jump for jump in jumps if -LONGEST < jump < 0) if late else 0
    return min(LONGEST, SOON + max(waits, default=0.0) + grace + hang + back)


def _back_off(times: int) -> float:
    """Ten seconds after the first time, doubled up to five minutes."""
    return min(300.0, 10.0 * 2 ** min(times - 1, 5)) if times else 0.0
