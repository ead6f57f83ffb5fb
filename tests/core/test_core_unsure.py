"""A failed start may have had its effect: what may run is neither replaced nor taken down before a look."""

import pytest

from minikubelet.core.behaviours import TODAY, Behaviour, Behaviours
from minikubelet.core.events import ContainerStartFailed
from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase
from tests.core.core_world import SLOT, World, names, static_pod


def failed_start(reason: str, behaviours: Behaviours = TODAY) -> World:
    """The engine made the container and started it, and its answer was lost."""
    world = World(node={"behaviours": behaviours})
    world.offer(static_pod())
    world.step()
    world.queue.clear()
    sandbox = world.generation().sandbox
    assert sandbox is not None
    if reason == "RunContainerError":
        world.runtime.add_container(
            "a", "web", 0, ContainerPhase.RUNNING, now=world.now, sandbox_id=sandbox.id
        )
    world.feed(
        ContainerStartFailed(
            slot=SLOT, uid=PodUid("a"), container="web", attempt=0, reason=reason, message="no answer"
        )
    )
    return world


def test_a_container_that_may_run_is_stopped_once_it_was_seen() -> None:
    world = failed_start("RunContainerError")
    assert "RemoveSandbox" not in names(world.withdraw(static_pod()))
    assert "StopContainer" in names(world.observe())


def test_a_container_that_does_not_run_holds_nothing_up_once_that_was_seen() -> None:
    world = failed_start("CreateContainerError")
    assert "RemoveSandbox" not in names(world.withdraw(static_pod()))
    assert "RemoveSandbox" in names(world.observe())


@pytest.mark.parametrize("reason", ["ErrImagePull", "CreateContainerConfigError"])
def test_what_the_engine_was_never_asked_for_needs_no_look(reason: str) -> None:
    world = failed_start(reason)
    assert "RemoveSandbox" in names(world.withdraw(static_pod()))


@pytest.mark.parametrize(
    ("behaviours", "reason", "taken_down"),
    [
        (TODAY, "ErrImagePull", False),
        (TODAY[: Behaviour.UNSURE_UNTIL_SEEN - 1], "ErrImagePull", True),
        (TODAY, "RunContainerError", False),
    ],
)
def test_a_second_start_that_fails_is_no_look_at_the_first(
    behaviours: Behaviours, reason: str, taken_down: bool
) -> None:
    world = failed_start("RunContainerError", behaviours)
    world.runtime.fail("StartContainer", reason)
    world.advance(2)
    assert world.started() == ["web", "web"]
    assert ("RemoveSandbox" in names(world.withdraw(static_pod()))) is taken_down


def test_a_new_life_looks_at_everything_first() -> None:
    world = failed_start("CreateContainerError")
    world.restart_agent()
    assert not world.generation().containers["web"].unsure
