"""Bringing a pod up: sandbox, init containers one by one, sidecars in order and kept, main containers."""

import pytest

from minikubelet.core.commands import (
    RemoveContainer,
    RemoveSandbox,
    StartContainer,
    StartSandbox,
    StopContainer,
)
from minikubelet.core.events import SandboxStarted
from minikubelet.core.state import Stage
from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase
from tests.core.core_world import (
    SECOND,
    SLOT,
    World,
    container,
    names,
    of,
    running_world,
    sidecar,
    static_pod,
)


def test_a_pod_starts_with_its_sandbox_then_its_containers() -> None:
    world = World()
    assert names(world.offer(static_pod("web", "log"))) == ["StartSandbox"]
    assert names(world.run_until_idle()) == ["StartContainer", "StartContainer"]
    assert world.runs() == ["log", "web"]
    assert world.status().phase == "Running"


def test_init_containers_run_one_by_one_and_sidecars_are_kept() -> None:
    world = running_world(
        static_pod("web", "log", init=[container("one"), sidecar("proxy"), container("two"), sidecar("dns")])
    )
    assert world.started() == ["one"]
    world.exit("one", 0)
    world.run_until_idle()
    assert world.started() == ["one", "proxy", "two"]
    assert world.status().phase == "Pending"
    world.exit("two", 0)
    world.run_until_idle()
    assert world.started() == ["one", "proxy", "two", "dns", "web", "log"]
    assert world.runs() == ["dns", "log", "proxy", "web"]


def test_a_sidecar_that_ends_is_started_again_and_the_init_containers_are_not() -> None:
    world = running_world(static_pod(init=[container("one"), sidecar("proxy")], restart_policy="Never"))
    world.exit("one", 0)
    world.run_until_idle()
    world.exit("proxy", 0)
    world.run_until_idle()
    assert world.started() == ["one", "proxy", "web", "proxy"]


def test_a_sidecar_that_ends_before_the_mains_begin_is_waited_for() -> None:
    world = running_world(static_pod(init=[sidecar("proxy"), container("two")]))
    assert world.started() == ["proxy", "two"]
    world.runtime.end(PodUid("a"), "two", 0, world.now)
    world.exit("proxy", 1)
    assert world.started() == ["proxy", "two", "proxy"]
    world.run_until_idle()
    assert world.started() == ["proxy", "two", "proxy", "web"]


@pytest.mark.parametrize(("policy", "again"), [("Always", True), ("OnFailure", True), ("Never", False)])
def test_an_init_container_that_fails(policy: str, *, again: bool) -> None:
    world = running_world(static_pod(init=[container("one")], restart_policy=policy))
    world.exit("one", 3)
    world.run_until_idle()
    assert world.started() == (["one", "one"] if again else ["one"])
    assert world.status().phase == ("Pending" if again else "Failed")


def test_an_init_container_that_runs_is_waited_for_when_its_definition_changes() -> None:
    """What fails is started again as it is defined by then."""
    world = running_world(static_pod(init=[container("one")]))
    world.offer(static_pod(init=[container("one", image="one:2")]))
    world.run_until_idle()
    assert world.stopped() == []
    world.exit("one", 3)
    world.run_until_idle()
    world.exit("one", 0)
    world.run_until_idle()
    assert world.started() == ["one", "one", "web"]


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("", 0, True),
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_restart_policy_and_exit_code(policy: str, code: int, *, again: bool) -> None:
    world = running_world(static_pod(restart_policy=policy))
    world.exit("web", code)
    world.run_until_idle()
    assert (len(world.started()) == 2) is again
    assert (world.generation().stage is Stage.FINISHED) is not again


def test_a_pod_ends_only_when_its_last_container_has() -> None:
    world = running_world(static_pod("web", "job", restart_policy="Never"))
    world.exit("web", 0)
    world.run_until_idle()
    assert world.status().phase == "Running"
    world.exit("job", 0)
    world.run_until_idle()
    assert world.status().phase == "Succeeded"
    assert world.started() == ["web", "job"]


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_a_changed_definition_restarts_the_container_whatever_the_policy(policy: str) -> None:
    world = running_world(static_pod("web", "log", restart_policy=policy))
    world.runtime.exit_codes["web"] = 0
    world.offer(static_pod(container("web", image="web:2"), "log", restart_policy=policy))
    world.run_until_idle()
    assert world.started() == ["web", "log", "web"]
    start = world.all(StartContainer)[-1]
    assert (start.attempt, start.reason.value) == (1, "ContainerChanged")


def test_a_container_that_ended_under_never_is_not_started_for_a_changed_definition() -> None:
    world = running_world(static_pod("web", "log", restart_policy="Never"))
    world.exit("web", 1)
    world.offer(static_pod(container("web", image="web:2"), "log", restart_policy="Never"))
    world.run_until_idle()
    assert world.started() == ["web", "log"]


def test_a_container_without_a_known_hash_is_left_alone() -> None:
    world = World()
    world.offer(static_pod(), hashes={})
    world.run_until_idle()
    world.offer(static_pod(container("web", image="web:2")))
    world.run_until_idle()
    assert world.started() == ["web"]


@pytest.mark.parametrize("kill", [True, False])
def test_a_lost_sandbox_is_made_anew_with_all_in_it(*, kill: bool) -> None:
    world = running_world(static_pod("web", "log", init=[container("one")]))
    world.exit("one", 0)
    world.run_until_idle()
    world.lose_sandbox(kill=kill)
    world.run_until_idle()
    assert world.started() == ["one", "web", "log", "one"]
    world.exit("one", 0)
    world.run_until_idle()
    assert world.started() == ["one", "web", "log", "one", "web", "log"]
    assert world.runs() == ["log", "web"]
    assert [c.attempt for c in world.all(StartSandbox)] == [0, 1]
    assert len(world.runtime.pods[PodUid("a")].sandboxes) == 1
    assert world.status().pod_ip != ""


def test_under_on_failure_only_what_did_not_succeed_runs_again_in_a_new_sandbox() -> None:
    world = running_world(static_pod("web", "job", restart_policy="OnFailure"))
    world.exit("job", 0)
    world.lose_sandbox()
    world.run_until_idle()
    assert world.started() == ["web", "job", "web"]


@pytest.mark.parametrize("gone", [True, False])
def test_under_never_a_lost_sandbox_ends_the_pod(*, gone: bool) -> None:
    world = running_world(static_pod(restart_policy="Never"))
    if gone:
        world.runtime.vanish("a")
        world.observe()
    else:
        world.lose_sandbox(kill=False)
    world.run_until_idle()
    assert len(world.all(StartSandbox)) == 1
    assert world.status().phase == "Failed"


def test_under_never_a_sandbox_that_is_lost_after_init_and_before_the_mains_ends_the_pod() -> None:
    world = World()
    world.offer(static_pod(init=[container("one")], restart_policy="Never"))
    world.run_until_idle()
    world.runtime.end(PodUid("a"), "one", 0, world.now)
    world.lose_sandbox()
    world.run_until_idle()
    assert len(world.all(StartSandbox)) == 1
    assert world.status().phase == "Failed"


def test_under_never_a_sandbox_that_is_lost_before_anything_ran_is_made_anew() -> None:
    world = World()
    world.offer(static_pod(restart_policy="Never"))
    world.step()
    world.queue.clear()
    world.restart_agent()
    world.queue.clear()
    world.lose_sandbox()
    world.restart_agent()
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert [c.attempt for c in world.all(StartSandbox)] == [0, 1]


def test_a_sandbox_that_vanished_without_a_trace_is_made_anew() -> None:
    world = running_world()
    world.runtime.vanish("a")
    world.observe()
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert world.last_end().reason == "ContainerStatusUnknown"


def test_a_sandbox_lost_while_a_container_is_started_waits_for_the_answer() -> None:
    world = World()
    world.offer(static_pod())
    world.step()
    start = world.queue.pop()
    assert isinstance(start, StartContainer)
    assert names(world.lose_sandbox()) == []
    world.runtime.fail("web", "RunContainerError", instance=True)
    world.feed(world.runtime.answer(start, world.now))
    world.run_until_idle()
    assert [c.attempt for c in world.all(StartSandbox)] == [0, 1]
    world.advance(20)
    assert world.runs() == ["web"]


def test_a_container_started_in_a_sandbox_that_was_lost_meanwhile_is_stopped_first() -> None:
    world = World()
    world.offer(static_pod())
    world.step()
    event = world.runtime.answer(world.queue.pop(), world.now)
    world.lose_sandbox(kill=False)
    assert names(world.feed(event)) == ["StopContainer"]
    world.run_until_idle()
    assert world.all(StopContainer)[0].reason.value == "SandboxGone"
    assert world.runs() == ["web"]


def test_two_sandboxes_of_one_pod_are_healed_to_one() -> None:
    world = running_world()
    world.runtime.add_sandbox(PodUid("a"), 0, world.now)
    world.observe()
    world.run_until_idle()
    assert len(world.runtime.pods[PodUid("a")].sandboxes) == 1
    assert world.started() == ["web"]
    assert [c.reason.value for c in world.all(RemoveSandbox)] == ["SandboxSuperfluous"]


def test_with_two_sandboxes_and_no_memory_the_newest_is_taken() -> None:
    world = World(started=False)
    world.start_agent()
    old = world.runtime.add_sandbox(PodUid("a"), 0, world.now)
    world.runtime.add_container("a", "web", 0, ContainerPhase.RUNNING, now=world.now, sandbox_id=old.id)
    new = world.runtime.add_sandbox(PodUid("a"), 1, world.now)
    world.observe()
    world.offer(static_pod())
    world.sync_sources()
    world.run_until_idle()
    shown = world.runtime.pods[PodUid("a")]
    assert [s.id for s in shown.sandboxes] == [new.id]
    assert world.runs() == ["web"]


def test_of_two_instances_of_a_container_the_known_one_stays() -> None:
    world = running_world()
    known = world.generation().containers["web"].id
    world.runtime.add_container("a", "web", 0, ContainerPhase.RUNNING, now=world.now + 1, sandbox_id="s1")
    world.observe()
    world.run_until_idle()
    assert [c.id for c in world.runtime.pods[PodUid("a")].containers] == [known]
    assert world.generation().containers["web"].id == known


def test_an_instance_of_a_later_attempt_is_adopted_and_the_earlier_one_removed() -> None:
    world = running_world()
    known = world.generation().containers["web"].id
    later = world.runtime.add_container("a", "web", 1, ContainerPhase.RUNNING, now=world.now, sandbox_id="s1")
    world.observe()
    world.run_until_idle()
    assert world.generation().containers["web"].id == later.id
    assert [c.container_id for c in world.all(RemoveContainer)] == [known]
    assert world.shown().restart_count == 1
    assert world.started() == ["web"]


def test_a_container_that_was_created_and_never_started_is_removed() -> None:
    world = World()
    world.offer(static_pod())
    world.step()
    world.queue.clear()
    left = world.runtime.add_container("a", "web", 0, ContainerPhase.CREATED, now=world.now, sandbox_id="s1")
    world.restart_agent()
    world.run_until_idle()
    assert [c.container_id for c in world.all(RemoveContainer)] == [left.id]
    assert world.runs() == ["web"]
    assert [c.attempt for c in world.all(StartContainer)] == [0, 0]


def test_a_container_that_vanished_is_started_anew_with_the_next_attempt() -> None:
    world = running_world(static_pod("web", "log"))
    world.runtime.vanish("a", "web")
    world.observe()
    world.run_until_idle()
    assert world.runs() == ["log", "web"]
    assert [c.attempt for c in of(StartContainer, world.all(StartContainer))] == [0, 0, 1]
    assert world.last_end().exit_code == 137


def test_a_container_of_unknown_phase_is_left_alone() -> None:
    world = running_world()
    world.runtime.blur("a", "web")
    assert names(world.observe()) == []
    assert world.shown().state.running is not None


def test_a_container_that_the_definition_does_not_name_is_stopped() -> None:
    world = running_world()
    world.runtime.add_container("a", "other", 0, ContainerPhase.RUNNING, now=world.now, sandbox_id="s1")
    assert names(world.observe()) == ["StopContainer"]
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert world.all(StopContainer)[0].reason.value == "ContainerSuperfluous"


def test_old_instances_are_removed_once_a_new_one_runs() -> None:
    world = running_world()
    for _ in range(3):
        world.exit("web", 1)
        world.advance(300)
    assert len(world.runtime.pods[PodUid("a")].containers) == 1
    assert world.shown().restart_count == 3


def test_a_sandbox_that_answers_after_another_was_adopted_makes_the_other_superfluous() -> None:
    world = World()
    world.offer(static_pod())
    world.queue.clear()
    seen = world.runtime.add_sandbox(PodUid("a"), 7, world.now)
    world.observe()
    mine = world.runtime.add_sandbox(PodUid("a"), 0, world.now)
    world.feed(SandboxStarted(slot=SLOT, uid=PodUid("a"), attempt=0, sandbox_id=mine.id))
    world.run_until_idle()
    assert [c.sandbox_id for c in world.all(RemoveSandbox)] == [seen.id]
    assert world.generation().sandbox_attempt == 7
    assert world.runs() == ["web"]


def test_addresses_that_change_are_told() -> None:
    world = running_world()
    before = world.status().pod_ip
    pod = world.runtime.pods[PodUid("a")]
    moved = pod.sandboxes[0].__class__(pod.sandboxes[0].id, 0, True, ("10.9.9.9",))
    world.runtime.pods[PodUid("a")] = pod.__class__(
        pod.uid, pod.namespace, pod.name, (moved,), pod.containers
    )
    world.observe()
    assert (before, world.status().pod_ip) == ("10.0.0.1", "10.9.9.9")


def test_nothing_is_decided_before_the_runtime_was_listed() -> None:
    world = World(started=False)
    world.start_agent(observe=False)
    world.sync_sources()
    assert world.offer(static_pod()) == []
    world.now += SECOND
    world.observe_all()
    assert world.all(StartSandbox) == []
