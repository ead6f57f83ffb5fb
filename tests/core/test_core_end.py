"""Bringing a pod down: order, grace periods, deadlines, finished pods, deletion at the API."""

from typing import Any

import pytest

from minikubelet.core.commands import CleanUpPod, DeleteApiPod, PublishStatus, Reason, StopContainer
from minikubelet.core.state import Stage
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.observed import ContainerPhase
from minikubelet.model.pod import ContainerPort, Pod
from tests.core.core_world import (
    SECOND,
    SLOT,
    World,
    container,
    names,
    running_world,
    sidecar,
    static_pod,
)


def api_world(*, grace: int | None = None, **spec: Any) -> World:
    world = World(Source.API, api=True)
    world.offer(static_pod(termination_grace_period_seconds=grace, **spec), Source.API)
    world.run_until_idle()
    return world


def test_main_containers_end_together_then_sidecars_in_reverse() -> None:
    world = running_world(static_pod("web", "log", init=[sidecar("proxy"), sidecar("dns")]))
    assert names(world.withdraw(static_pod())) == ["StopContainer", "StopContainer"]
    commands = world.run_until_idle()
    assert [name for name, _ in world.stopped()] == ["web", "log", "dns", "proxy"]
    assert names(commands)[-2:] == ["RemoveSandbox", "CleanUpPod"]
    assert world.reducer.slots == {}
    assert world.runtime.pods == {}


def test_sidecars_that_never_started_are_no_hindrance() -> None:
    world = World()
    pod = static_pod(init=[container("one"), sidecar("proxy")])
    world.offer(pod)
    world.step()
    world.withdraw(pod)
    world.run_until_idle()
    assert world.reducer.slots == {}
    assert world.runtime.pods == {}


@pytest.mark.parametrize("answered", range(3))
def test_a_pod_removed_while_it_starts_leaves_nothing(answered: int) -> None:
    world = World()
    pod = static_pod("web", "log")
    world.offer(pod)
    for _ in range(answered):
        world.step()
    under_way = list(world.queue)
    decided = world.withdraw(pod)
    assert "RemoveSandbox" not in names(decided)
    assert (decided == []) or under_way == [] or "StopContainer" in names(decided)
    world.run_until_idle()
    assert world.reducer.slots == {}
    assert world.runtime.pods == {}


@pytest.mark.parametrize(("grace", "given"), [(None, 30), (7, 7), (0, 0), (-1, 0)])
def test_the_grace_period_is_the_pods(grace: int | None, given: int) -> None:
    pod = static_pod(termination_grace_period_seconds=grace)
    world = running_world(pod)
    world.withdraw(pod)
    assert world.stopped() == [("web", given)]


def test_a_removed_pod_is_stopped_once_whatever_is_seen_meanwhile() -> None:
    world = running_world()
    world.withdraw(static_pod())
    for _ in range(3):
        world.now += SECOND
        assert names(world.observe()) == []
    world.run_until_idle()
    assert world.stopped() == [("web", 30)]


def test_a_container_that_ends_by_itself_while_it_is_stopped() -> None:
    world = running_world()
    world.withdraw(static_pod())
    assert names(world.exit("web", 0)) == []
    world.run_until_idle()
    assert world.reducer.slots == {}


def test_a_deleted_api_pod_leaves_the_api_after_its_containers_and_its_last_status() -> None:
    world = api_world()
    world.delete(static_pod(), 30)
    assert world.all(DeleteApiPod) == []
    commands = world.run_until_idle()
    released = [type(c).__name__ for c in commands if isinstance(c, CleanUpPod | DeleteApiPod)]
    assert released == ["CleanUpPod", "DeleteApiPod"]
    assert isinstance(commands[-1], DeleteApiPod)
    assert world.status().phase == "Failed"
    assert world.status().conditions[0].status == "False"
    world.withdraw(static_pod(), Source.API)
    assert world.reducer.slots == {}


def test_a_deletion_is_carried_out_within_the_grace_that_it_gives() -> None:
    world = api_world(grace=60)
    world.delete(static_pod(), 5)
    assert world.stopped() == [("web", 5)]


def test_a_deletion_may_be_hastened_and_never_put_off() -> None:
    world = api_world(grace=60)
    world.delete(static_pod(), 60)
    world.now += 10 * SECOND
    assert names(world.delete(static_pod(), 60)) == []
    assert names(world.delete(static_pod(), 90)) == []
    assert names(world.delete(static_pod(), 5)) == ["StopContainer"]
    assert world.all(StopContainer)[-1].reason is Reason.GRACE_SHORTENED
    assert names(world.delete(static_pod(), 5)) == []
    world.now += 2 * SECOND
    assert names(world.delete(static_pod(), 0)) == ["StopContainer"]
    assert world.stopped() == [("web", 60), ("web", 5), ("web", 0)]
    world.run_until_idle()
    assert world.generation().stage is Stage.CLEANED


def test_the_clock_set_back_hastens_and_repeats_nothing() -> None:
    world = api_world(grace=60)
    world.delete(static_pod(), 60)
    world.now -= 3600 * SECOND
    assert names(world.delete(static_pod(), 60)) == []
    assert names(world.observe()) == []


def test_a_later_sidecar_has_what_is_left_of_the_grace_period() -> None:
    pod = static_pod(init=[sidecar("proxy")])
    world = running_world(pod)
    world.withdraw(pod)
    world.now += 20_500_000
    world.step()
    assert world.stopped() == [("web", 30), ("proxy", 10)]


def test_a_stop_for_a_changed_definition_is_hastened_by_a_deletion() -> None:
    world = api_world(grace=60)
    world.offer(static_pod(container("web", image="web:2"), termination_grace_period_seconds=60), Source.API)
    world.now += SECOND
    world.delete(static_pod(), 5)
    assert world.stopped() == [("web", 60), ("web", 5)]


def test_a_force_deleted_pod_ends_and_is_forgotten() -> None:
    world = api_world()
    world.withdraw(static_pod(), Source.API)
    assert world.stopped() == [("web", 30)]
    world.run_until_idle()
    assert world.all(DeleteApiPod) == []
    assert world.reducer.slots == {}


def test_a_force_deletion_after_a_graceful_one_changes_nothing() -> None:
    world = api_world()
    world.delete(static_pod(), 30)
    assert names(world.withdraw(static_pod(), Source.API)) == []
    world.run_until_idle()
    assert world.all(DeleteApiPod) == []
    assert world.reducer.slots == {}


def test_a_pod_recreated_under_its_name_waits_for_the_one_before() -> None:
    world = api_world()
    assert names(world.offer(static_pod(uid="b"), Source.API)) == ["StopContainer"]
    assert world.status("b").phase == "Pending"
    world.run_until_idle()
    assert world.runs("a") == []
    assert world.runs("b") == ["web"]
    assert world.all(DeleteApiPod) == []
    assert [g.uid for g in world.reducer.slots[SLOT].generations] == ["b"]


def test_a_pod_that_is_being_deleted_is_not_brought_back_by_an_older_view_of_it() -> None:
    world = api_world()
    world.delete(static_pod(), 30)
    world.offer(static_pod(), Source.API)
    world.offer(static_pod("web", "log"), Source.API)
    world.run_until_idle()
    assert world.generation().stage is Stage.CLEANED
    assert len(world.all(DeleteApiPod)) == 1


def test_a_pod_first_seen_while_it_is_being_deleted_is_only_let_go() -> None:
    world = World(Source.API, api=True)
    world.delete(static_pod(), 30)
    commands = world.run_until_idle()
    assert names([d.command for d in world.decisions]) == ["CleanUpPod", "DeleteApiPod"]
    assert isinstance(commands[-1], DeleteApiPod)


def test_a_let_go_pod_that_is_seen_again_is_not_let_go_twice() -> None:
    world = api_world()
    world.delete(static_pod(), 30)
    world.run_until_idle()
    assert world.delete(static_pod(), 10) == []


def test_after_a_restart_a_let_go_pod_is_told_and_let_go_again() -> None:
    world = api_world()
    world.delete(static_pod(), 30)
    world.run_until_idle()
    before = len(world.decisions)
    world.restart_agent()
    again = [d.command for d in world.decisions[before:]]
    assert [type(c) for c in again] == [PublishStatus, DeleteApiPod]
    assert world.statuses()[-1] == world.statuses()[-2]


def test_a_let_go_pod_whose_object_went_while_the_agent_was_away_is_forgotten() -> None:
    world = api_world()
    world.delete(static_pod(), 30)
    world.run_until_idle()
    world.offers.clear()
    world.restart_agent()
    assert world.reducer.slots == {}


def test_what_shows_up_of_a_cleaned_pod_is_taken_down_again() -> None:
    world = api_world()
    world.delete(static_pod(), 30)
    world.run_until_idle()
    world.runtime.add_sandbox(PodUid("a"), 5, world.now)
    assert names(world.observe(after=1)) == []
    assert names(world.observe()) == ["RemoveSandbox"]
    world.run_until_idle()
    assert world.generation().stage is Stage.CLEANED
    assert world.runtime.pods == {}
    assert names(world.observe()) == []


def test_what_shows_up_while_a_pod_is_cleaned_up_is_taken_down_too() -> None:
    world = running_world()
    world.withdraw(static_pod())
    while not isinstance(world.queue[0], CleanUpPod):
        world.step()
    cleanup = world.queue.pop()
    event = world.runtime.answer(cleanup, world.now)
    world.runtime.add_container("a", "web", 3, ContainerPhase.RUNNING, now=world.now)
    assert names(world.observe()) == ["StopContainer"]
    world.feed(event)
    assert SLOT in world.reducer.slots
    world.run_until_idle()
    assert world.reducer.slots == {}
    assert world.runtime.pods == {}


# ── ends of its own ──


def test_a_deadline_ends_a_pod_for_good() -> None:
    world = running_world(static_pod(active_deadline_seconds=60))
    world.advance(59)
    assert world.runs() == ["web"]
    world.advance(1)
    status = world.status()
    assert world.runs() == []
    assert (status.phase, status.reason) == ("Failed", "DeadlineExceeded")
    assert status.message == "Pod was active on the node longer than the specified deadline"
    assert world.all(StopContainer)[0].reason is Reason.DEADLINE_EXCEEDED
    world.advance(1000)
    assert world.generation().stage is Stage.FINISHED
    assert [s.phase for s in world.statuses()].count("Failed") >= 1


def test_a_pod_past_its_deadline_is_failed_only_once_nothing_of_it_runs() -> None:
    world = running_world(static_pod(active_deadline_seconds=60))
    world.run_until_idle()
    world.now += 60 * SECOND
    world.observe()
    assert world.status().phase == "Running"
    world.run_until_idle()
    assert world.status().phase == "Failed"


def test_a_deadline_that_is_over_before_the_pod_began() -> None:
    world = World()
    world.runtime.fail("StartSandbox", times=99)
    world.offer(static_pod(active_deadline_seconds=10))
    world.advance(100)
    assert (world.status().phase, world.status().reason) == ("Failed", "DeadlineExceeded")
    world.withdraw(static_pod())
    assert (world.status().phase, world.status().reason) == ("Failed", "DeadlineExceeded")
    world.run_until_idle()
    assert world.reducer.slots == {}


def test_sidecars_of_a_finished_pod_are_stopped_and_its_dead_are_kept() -> None:
    world = running_world(static_pod("job", init=[sidecar("proxy")], restart_policy="OnFailure"))
    world.exit("job", 0)
    world.run_until_idle()
    assert world.stopped() == [("proxy", 30)]
    shown = world.runtime.pods[PodUid("a")]
    assert [s.ready for s in shown.sandboxes] == [False]
    assert len(shown.containers) == 2
    assert world.status().phase == "Succeeded"
    assert world.status().pod_ip == world.statuses()[-2].pod_ip != ""


def test_a_finished_pod_stays_finished_over_a_restart_and_goes_when_it_is_removed() -> None:
    pod = static_pod("job", restart_policy="Never")
    world = running_world(pod)
    world.exit("job", 0)
    world.run_until_idle()
    world.restart_agent()
    assert world.queue == []
    assert world.status().phase == "Succeeded"
    world.withdraw(pod)
    world.run_until_idle()
    assert world.runtime.pods == {}
    assert world.reducer.slots == {}
    assert world.started() == ["job"]


def test_a_finished_api_pod_that_is_deleted_keeps_its_verdict_and_is_let_go() -> None:
    world = api_world(active_deadline_seconds=60)
    world.advance(60)
    world.delete(static_pod(), 30)
    world.run_until_idle()
    assert world.all(DeleteApiPod)[0].reason is Reason.POD_DELETED
    assert (world.status().phase, world.status().reason) == ("Failed", "DeadlineExceeded")


def test_a_finished_pod_of_which_something_runs_after_all_is_stopped_again() -> None:
    world = running_world(static_pod("job", restart_policy="Never"))
    shown = world.runtime.pods[PodUid("a")]
    world.runtime.vanish("a")
    world.observe()
    world.run_until_idle()
    assert world.generation().stage is Stage.FINISHED
    world.runtime.pods[PodUid("a")] = shown
    assert names(world.observe()) == ["StopContainer"]
    world.run_until_idle()
    assert world.runs() == []
    assert world.status().phase == "Failed"
    assert world.started() == ["job"]


def test_a_pod_past_its_deadline_that_is_removed_meanwhile_goes() -> None:
    pod = static_pod(active_deadline_seconds=60)
    world = running_world(pod)
    world.now += 60 * SECOND
    world.observe()
    world.withdraw(pod)
    world.run_until_idle()
    assert world.reducer.slots == {}


# ── the successor ──


HOST_PORT = (ContainerPort(container_port=80, host_port=80),)


@pytest.mark.parametrize(
    "pod",
    [
        static_pod(container("web", ports=HOST_PORT)),
        static_pod(init=[container("proxy", restart_policy="Always", ports=HOST_PORT)]),
    ],
    ids=["main", "sidecar"],
)
def test_a_successor_waits_for_a_sandbox_that_holds_host_ports(pod: Pod) -> None:
    world = running_world(pod)
    world.offer(static_pod(uid="b"))
    while world.runs("a"):
        world.step()
    assert names([d.command for d in world.decisions]).count("StartSandbox") == 1
    world.run_until_idle()
    assert world.runs("b") == ["web"]


def test_a_successor_starts_as_soon_as_the_containers_are_gone() -> None:
    world = running_world(static_pod(container("web", ports=(ContainerPort(container_port=80),))))
    world.offer(static_pod(uid="b"))
    event = world.step()
    assert type(event).__name__ == "ContainerStopped"
    assert names([d.command for d in world.decisions])[-2:] == ["RemoveSandbox", "StartSandbox"]


def test_a_sandbox_that_vanishes_while_it_is_stopped() -> None:
    world = running_world(static_pod(restart_policy="Never"))
    world.exit("web", 0)
    event = world.runtime.answer(world.queue.pop(), world.now)
    world.runtime.vanish("a")
    world.observe()
    world.feed(event)
    assert world.generation().stage is Stage.FINISHED
    assert world.queue == []
