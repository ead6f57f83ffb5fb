"""Shutdown of the machine: whose turn it is, what is said of the pods, and which of them come back."""

from __future__ import annotations

import pytest

from minikubelet.core.commands import Reason, StopContainer
from minikubelet.core.events import NodeShutdownCancelled, NodeShuttingDown
from minikubelet.model.ids import Source
from minikubelet.model.pod import Pod
from tests.core.core_world import World, static_pod

CRITICAL = 2_000_000_000


def world_of(*pods: tuple[Pod, Source]) -> World:
    """A node where these pods run."""
    world = World(Source.FILE, Source.API, api=True, node={"max_pods": 10})
    for pod, source in pods:
        world.offer(pod, source)
    world.run_until_idle()
    return world


def pod(name: str, priority: int = 0, grace: int = 30) -> Pod:
    return static_pod(uid=name, name=name, priority=priority, termination_grace_period_seconds=grace)


def stops(world: World, event: NodeShuttingDown) -> list[tuple[str, int, Reason]]:
    return [(c.uid, c.grace, c.reason) for c in world.feed(event) if isinstance(c, StopContainer)]


def test_each_priority_has_its_turn_and_no_more_grace_than_is_left() -> None:
    """The pod's own grace period counts where it is shorter."""
    world = world_of(
        (pod("long"), Source.API), (pod("short", grace=3), Source.API), (pod("vital", CRITICAL), Source.FILE)
    )
    why = Reason.NODE_SHUTDOWN
    assert stops(world, NodeShuttingDown(grace=20, below=CRITICAL)) == [
        ("long", 20, why),
        ("short", 3, why),
    ]
    assert world.runs("vital") == ["web"]
    assert stops(world, NodeShuttingDown(grace=10)) == [
        ("long", 10, Reason.GRACE_SHORTENED),
        ("vital", 10, why),
    ]


def test_ended_pods_are_failed_in_upstreams_words() -> None:
    world = world_of((pod("web"), Source.API))
    world.feed(NodeShuttingDown(grace=5))
    world.run_until_idle()
    status = world.status("web")
    assert (status.phase, status.reason) == ("Failed", "Terminated")
    assert status.message == "Pod was terminated in response to imminent node shutdown."
    told = status.conditions[-1]
    assert (told.type, told.status, told.reason) == ("DisruptionTarget", "True", "TerminationByKubelet")


@pytest.mark.parametrize("source", Source)
def test_pods_that_come_meanwhile_are_refused(source: Source) -> None:
    world = world_of()
    world.feed(NodeShuttingDown(grace=5))
    world.offer(pod("late"), source)
    status = world.status("late")
    assert (status.phase, status.reason) == ("Failed", "NodeShutdown")
    assert status.message == "Pod was rejected: Pod was rejected as the node is shutting down."
    assert world.reducer.node.going_down


def test_static_pods_come_back_when_the_machine_stays_up() -> None:
    """Ended, ending and refused ones; a pod of the API server stays Failed: its controller makes another."""
    world = world_of((pod("ended"), Source.FILE), (pod("guest"), Source.API))
    world.feed(NodeShuttingDown(grace=5))
    world.run_until_idle()
    world.offer(pod("late"), Source.FILE)
    world.feed(NodeShutdownCancelled())
    world.run_until_idle()
    assert not world.reducer.node.going_down
    assert (world.runs("ended"), world.runs("late"), world.runs("guest")) == (["web"], ["web"], [])
    assert world.status("guest").phase == "Failed"
    world.feed(NodeShuttingDown(grace=5))
    world.feed(NodeShutdownCancelled())
    world.run_until_idle()
    assert world.runs("ended") == ["web"]


def test_after_the_machine_is_up_again_static_pods_run_and_others_do_not() -> None:
    world = world_of((pod("web"), Source.FILE), (pod("guest"), Source.API))
    world.feed(NodeShuttingDown(grace=5))
    world.run_until_idle()
    world.restart_agent()
    world.run_until_idle()
    assert not world.reducer.node.going_down
    assert (world.runs("web"), world.status("web").phase) == (["web"], "Running")
    assert (world.runs("guest"), world.status("guest").phase) == ([], "Failed")


def test_a_pod_that_is_being_deleted_has_no_more_time_than_the_machine() -> None:
    world = world_of((pod("web"), Source.FILE))
    world.withdraw(pod("web"))
    assert stops(world, NodeShuttingDown(grace=4)) == [("web", 4, Reason.GRACE_SHORTENED)]
    world.run_until_idle()
    world.feed(NodeShutdownCancelled())
    assert "web" not in [gen.uid for slot in world.reducer.slots.values() for gen in slot.generations]


def test_a_static_pod_that_had_ended_by_itself_stays_as_it_is() -> None:
    world = world_of((static_pod(uid="job", name="job", restart_policy="Never"), Source.FILE))
    world.exit(code=0, uid="job")
    world.run_until_idle()
    world.feed(NodeShuttingDown(grace=5))
    world.feed(NodeShutdownCancelled())
    world.run_until_idle()
    assert (world.runs("job"), world.status("job").phase) == ([], "Succeeded")
