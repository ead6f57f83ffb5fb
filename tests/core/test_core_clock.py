"""A clock that is set back: what waits does not wait for longer than it was to."""

import pytest

from minikubelet.core.behaviours import TODAY, Behaviour, Behaviours
from minikubelet.core.events import TimerFired
from tests.core.core_world import SECOND, SLOT, World, static_pod

BEFORE = TODAY[: Behaviour.WAITS_BEGAN_BEFORE - 1]


def crashed_twice(behaviours: Behaviours) -> World:
    """Its container waits for 10 s."""
    world = World(node={"behaviours": behaviours})
    world.offer(static_pod())
    world.run_until_idle()
    for _ in range(2):
        world.exit("web", 1)
        world.run_until_idle()
    assert world.runs() == []
    return world


def woken_after(world: World, back: int) -> list[str]:
    """What runs where the clock is set back by so many seconds and the pod's timer fires."""
    world.now -= back * SECOND
    world.feed(TimerFired(slot=SLOT))
    world.run_until_idle()
    return world.runs()


@pytest.mark.parametrize(("behaviours", "runs"), [(TODAY, ["web"]), (BEFORE, [])])
@pytest.mark.parametrize("back", [2, 120, 285])
def test_a_crashed_container_is_not_held_back(behaviours: Behaviours, runs: list[str], back: int) -> None:
    assert woken_after(crashed_twice(behaviours), back) == runs


@pytest.mark.parametrize("behaviours", [TODAY, BEFORE])
def test_a_clock_that_is_set_back_a_little_shortens_no_wait(behaviours: Behaviours) -> None:
    assert woken_after(crashed_twice(behaviours), 1) == []


@pytest.mark.parametrize(("behaviours", "runs"), [(TODAY, ["web"]), (BEFORE, [])])
@pytest.mark.parametrize("lane", ["StartSandbox", "StartContainer"])
def test_a_failed_call_is_tried_again(behaviours: Behaviours, runs: list[str], lane: str) -> None:
    world = World(node={"behaviours": behaviours})
    world.runtime.fail(lane, "CreateContainerError")
    world.offer(static_pod())
    world.run_until_idle()
    assert woken_after(world, 50) == runs
