"""The judge of what a change costs: one edit of a manifest at rest, and the calls that it leads to.

Belongs here: the edit, and the bounds by kind of call. May not be here: whether the outcome is right
(`simliveness` says when it is).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from minikubelet.model.pod import Pod
from minikubelet.simulation import simpods
from minikubelet.simulation.simliveness import unsettled
from minikubelet.simulation.simpatience import patience
from minikubelet.simulation.simworld import World

_SOON = 1.0


async def one_change(world: World, calls: Callable[[World], Mapping[str, int]]) -> None:
    """Edit one manifest, wait until all is as wanted again, and judge the calls in between."""
    name = next((each for each in sorted(world.folder.files) if _target(each) in world.shapes), None)
    if name is None:
        return
    before = calls(world)
    world.folder.replace(name, _edited(world, name))
    begun, allowed = asyncio.get_running_loop().time(), patience(world)
    await asyncio.sleep(_SOON)
    while (left := list(unsettled(world))) and not world.violations:
        if asyncio.get_running_loop().time() - begun > allowed:
            world.fail("liveness", f"{allowed:.0f} s after one more edit: {'; '.join(left[:4])}")
            return
        await asyncio.sleep(_SOON)
    after = calls(world)
    most = _most(world, _target(name))
    for kind, count in after.items():
        more = count - before.get(kind, 0)
        if more > most.get(kind, 0) and not world.violations:
            world.fail(
                "calls", f"one edit of {name} led to {more} calls of {kind}, at most {most.get(kind, 0)}"
            )


def _target(name: str) -> str:
    return name.removesuffix(".yaml")


def _edited(world: World, name: str) -> bytes:
    """The same pod in another version."""
    now = world.folder.files[name].content
    target = _target(name)
    versions = (simpods.manifest(target, world.shapes[target], number) for number in range(simpods.VERSIONS))
    return next(content for content in versions if content != now)


def _most(world: World, target: str) -> dict[str, int]:
    """The pod before and the one after have as many containers: each is stopped, made and started once.

    Statuses are told as they come: the definition, the sandbox, every start, result of a probe and end.
    """
    slot = f"{simpods.NAMESPACE}/{target}-"
    tries = max(_tries(each.pod) for each in world.book.pods.values() if each.slot.startswith(slot))
    return {
        "sandbox": 1,
        "create": tries,
        "start": tries,
        "stop": tries,
        "drop": 2,
        "remove": tries,
        "api create": 1,
        "api delete": 1,
        "api status": 4 + 6 * tries,
        "decisions": 12 + 12 * tries,
    }


def _tries(pod: Pod) -> int:
    """How often its containers are started: once more where an ill answer or a failed hook ends one."""
    return sum(
        3 if each.liveness_probe or each.startup_probe or each.lifecycle else 1
        for each in (*pod.spec.init_containers, *pod.spec.containers)
    )
