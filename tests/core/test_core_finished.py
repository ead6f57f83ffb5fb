"""API pods that have ended elsewhere: evicted, or run by a life of the agent of which nothing is left."""

from __future__ import annotations

from msgspec.structs import replace

from minikubelet.core.commands import CleanUpPod, DeleteApiPod, PublishStatus, Reason, StopContainer
from minikubelet.core.events import PodSet
from minikubelet.core.merge import Update, classify
from minikubelet.core.state import Slot, Stage
from minikubelet.model.ids import PodUid, Source
from tests.core.core_world import SLOT, World, runtime_commands, static_pod

JOB = static_pod(uid="a", restart_policy="Never")


def fresh_world() -> World:
    """An agent with an API server that knows nothing of the pod."""
    return World(Source.API, api=True)


def running() -> World:
    """The pod runs."""
    world = fresh_world()
    world.offer(JOB, Source.API)
    world.run_until_idle()
    return world


def test_a_pod_that_has_ended_is_not_run_again_by_an_agent_that_does_not_know_it() -> None:
    """A node made anew under its old name finds the ended jobs of its past at the API server."""
    world = fresh_world()
    commands = world.offer(JOB, Source.API, finished=True)
    assert runtime_commands(commands) == []
    assert world.generation().stage is Stage.FINISHED


def test_the_status_of_a_pod_that_has_ended_elsewhere_stays_as_it_is() -> None:
    world = fresh_world()
    world.offer(JOB, Source.API, finished=True)
    world.advance(60)
    assert world.all(PublishStatus) == []


def test_a_pod_that_has_ended_elsewhere_is_released_when_it_is_deleted() -> None:
    world = fresh_world()
    world.offer(JOB, Source.API, finished=True)
    world.delete(JOB)
    world.run_until_idle()
    assert len(world.all(CleanUpPod)) == 1
    assert len(world.all(DeleteApiPod)) == 1


def test_a_running_pod_that_somebody_has_failed_is_stopped_and_stays_so() -> None:
    """Evicted by a controller, for example; as upstream does with a phase that is an end."""
    world = running()
    world.offer(JOB, Source.API, finished=True)
    world.run_until_idle()
    assert [stop.reason for stop in world.all(StopContainer)] == [Reason.POD_FINISHED]
    assert world.runs() == []
    assert world.status().phase == "Failed"
    world.restart_agent()
    world.run_until_idle()
    assert world.runs() == []


def test_the_echo_of_an_end_that_this_node_has_told_changes_nothing() -> None:
    world = running()
    world.exit(code=0)
    world.run_until_idle()
    assert world.status().phase == "Succeeded"
    before = world.generation()
    assert world.offer(JOB, Source.API, finished=True) == []
    assert world.generation() == before


def test_an_end_elsewhere_is_an_update_once() -> None:
    ended = PodSet(source=Source.API, slot=SLOT, uid=PodUid("a"), pod=JOB, finished=True)
    assert classify(Slot(SLOT), ended) is Update.ADD
    world = running()
    hashes = tuple(world.generation().hashes.items())
    seen = replace(ended, hashes=hashes)
    assert classify(world.reducer.slots[SLOT], seen) is Update.UPDATE
    world.feed(seen)
    assert classify(world.reducer.slots[SLOT], seen) is Update.RECONCILE
