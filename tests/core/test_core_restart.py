"""Looks and lives: stale, doubled and reordered looks change nothing; a restarted agent disturbs nothing."""

import pytest

from minikubelet.core.commands import StartContainer, StartSandbox
from minikubelet.core.events import (
    CommandFailed,
    ContainerStarted,
    ContainerStartFailed,
    PodCleanedUp,
    PodObserved,
    ResultEvent,
    SandboxRemoved,
    SandboxStopped,
)
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.observed import ContainerPhase
from tests.core.core_world import (
    SECOND,
    SLOT,
    World,
    container,
    names,
    running_world,
    runtime_commands,
    sidecar,
    static_pod,
)

UID = PodUid("a")


def test_a_look_that_began_before_the_start_was_answered_is_stale() -> None:
    world = World()
    world.offer(static_pod())
    world.step()
    before = world.seq
    empty = world.look()
    world.step()
    assert world.feed(PodObserved(slot=SLOT, pod=empty.pod, after=before)) == []
    assert world.shown().state.running is not None


def test_a_look_that_began_before_a_later_look_is_stale() -> None:
    world = running_world()
    world.now += SECOND
    old = world.look()
    world.judge()
    world.exit("web", 1)
    world.run_until_idle()
    assert world.feed(old) == []
    assert world.started() == ["web", "web"]


def test_two_looks_in_a_row_both_count() -> None:
    world = running_world(static_pod("web", "log"))
    first_after, second_after = world.seq, world.seq
    world.runtime.end(UID, "web", 1, world.now)
    assert names(world.observe(after=first_after)) == ["StartContainer"]
    world.runtime.end(UID, "log", 1, world.now)
    assert names(world.observe(after=second_after)) == ["StartContainer"]


def test_a_look_that_began_before_a_container_was_removed_is_stale() -> None:
    world = running_world()
    world.exit("web", 1)
    while "RemoveContainer" not in names([d.command for d in world.decisions]):
        world.step()
    old = world.look()
    world.run_until_idle()
    assert world.feed(old) == []


def test_a_look_that_began_before_a_sandbox_was_lost_is_stale() -> None:
    world = running_world()
    old = world.look()
    world.lose_sandbox()
    assert runtime_commands(world.feed(old)) == []
    world.run_until_idle()
    assert [c.attempt for c in world.all(StartSandbox)] == [0, 1]
    assert world.runs() == ["web"]
    assert world.feed(old) == []


def test_a_look_that_began_before_a_stray_sandbox_was_removed_is_stale() -> None:
    world = running_world()
    world.runtime.add_sandbox(UID, 0, world.now)
    old = world.look()
    world.feed(old)
    world.run_until_idle()
    assert world.feed(old) == []
    assert names([d.command for d in world.decisions]).count("RemoveSandbox") == 1


def test_a_container_that_starts_is_left_to_the_answer() -> None:
    world = World()
    world.offer(static_pod())
    world.step()
    event = world.runtime.answer(world.queue.pop(), world.now)
    assert names(world.observe()) == []
    assert "web" not in world.generation().containers
    world.feed(event)
    assert world.shown().state.running is not None


def test_a_sandbox_that_starts_is_left_to_the_answer() -> None:
    world = World()
    world.offer(static_pod())
    world.runtime.add_sandbox(UID, 0, world.now)
    assert names(world.observe()) == []
    assert world.generation().sandbox is None


@pytest.mark.parametrize("times", [2, 3])
def test_every_answer_may_come_more_than_once(times: int) -> None:
    once, often = World(), World()
    for world, copies in ((once, 1), (often, times)):
        pod = static_pod("web", init=[container("one"), sidecar("proxy")])
        world.offer(pod)
        run_with_copies(world, copies)
        world.exit("one", 0)
        run_with_copies(world, copies)
        world.exit("web", 1)
        run_with_copies(world, copies)
        world.lose_sandbox()
        run_with_copies(world, copies)
        world.withdraw(pod)
        run_with_copies(world, copies)
    assert [d.command for d in once.decisions] == [d.command for d in often.decisions]
    assert often.reducer.slots == {}


def run_with_copies(world: World, copies: int) -> None:
    while world.queue:
        event = world.step()
        for _ in range(copies - 1):
            assert world.feed(event) == []


def old_answers(world: World) -> list[ResultEvent]:
    record = world.generation().containers["web"]
    return [
        ContainerStarted(slot=SLOT, uid=UID, container="web", attempt=0, container_id="c0"),
        ContainerStartFailed(
            slot=SLOT, uid=UID, container="web", attempt=0, reason="ErrImagePull", message="no"
        ),
        CommandFailed(slot=SLOT, uid=UID, lane="web", command="StopContainer", reason="x", message="y"),
        SandboxStopped(slot=SLOT, uid=UID, sandbox_id=record.sandbox_id),
        SandboxRemoved(slot=SLOT, uid=UID, sandbox_id=record.sandbox_id),
        PodCleanedUp(slot=SLOT, uid=UID),
        PodCleanedUp(slot=SLOT, uid=PodUid("nobody")),
    ]


@pytest.mark.parametrize("which", range(7))
def test_an_answer_that_nobody_waits_for_says_nothing(which: int) -> None:
    world = running_world()
    world.exit("web", 1)
    before = world.generation()
    assert world.feed(old_answers(world)[which]) == []
    assert world.generation() == before


# ── lives of the agent ──


def test_a_restarted_agent_leaves_healthy_containers_alone() -> None:
    world = running_world(static_pod("web", "log", init=[container("one"), sidecar("proxy")]))
    world.exit("one", 0)
    world.run_until_idle()
    before = (world.started(), world.runtime.pods[UID])
    world.restart_agent()
    world.run_until_idle()
    assert (world.started(), world.runtime.pods[UID]) == before


def test_an_agent_that_forgot_everything_leaves_healthy_containers_alone() -> None:
    old = running_world(static_pod("web", "log", init=[container("one"), sidecar("proxy")]))
    old.exit("one", 0)
    old.run_until_idle()
    new = World(started=False)
    new.runtime = old.runtime
    new.offers = old.offers
    new.restart_agent()
    assert new.queue == []
    assert new.status().phase == "Running"


@pytest.mark.parametrize("lost", [True, False], ids=["unanswered", "not begun"])
@pytest.mark.parametrize("at", range(9))
def test_an_agent_killed_at_any_point_starts_nothing_twice(at: int, *, lost: bool) -> None:
    world = World()
    pod = static_pod("web", "log", init=[sidecar("proxy")], restart_policy="Always")
    world.offer(pod)
    for _ in range(at):
        if world.queue:
            world.step()
    if lost:
        for command in world.queue:
            world.runtime.answer(command, world.now)
    world.restart_agent()
    world.run_until_idle()
    shown = world.runtime.pods[UID]
    assert len(shown.sandboxes) == 1
    assert sorted(c.name for c in shown.containers) == ["log", "proxy", "web"]
    assert world.runs() == ["log", "proxy", "web"]
    made = {(c.name, c.attempt) for c in shown.containers}
    assert made == {("web", 0), ("log", 0), ("proxy", 0)}


@pytest.mark.parametrize("at", range(8))
def test_an_agent_killed_while_a_pod_ends_finishes_the_end(at: int) -> None:
    world = running_world(static_pod(init=[sidecar("proxy")]))
    world.withdraw(static_pod())
    for _ in range(at):
        if world.queue:
            world.step()
    world.restart_agent()
    world.run_until_idle()
    assert world.runtime.pods == {}
    assert world.reducer.slots == {}


@pytest.mark.parametrize("at", range(10))
def test_an_agent_killed_during_an_edit_carries_it_out(at: int) -> None:
    world = running_world(static_pod(uid="a"))
    world.offer(static_pod(uid="b"))
    world.withdraw(static_pod(uid="a"))
    for _ in range(at):
        if world.queue:
            world.step()
    world.restart_agent()
    world.run_until_idle()
    assert list(world.runtime.pods) == ["b"]
    assert world.runs("b") == ["web"]


def test_restart_counts_go_on_over_a_restart() -> None:
    world = running_world()
    for _ in range(3):
        world.exit("web", 1)
        world.advance(300)
    world.restart_agent()
    world.exit("web", 1)
    world.advance(300)
    assert world.shown().restart_count == 4


def test_a_container_that_ended_while_the_agent_was_away_is_restarted() -> None:
    world = running_world()
    world.runtime.end(UID, "web", 3, world.now)
    world.restart_agent()
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert world.last_end().exit_code == 3


def test_a_pod_that_vanished_while_the_agent_was_away_is_started_anew() -> None:
    world = running_world()
    world.runtime.vanish("a")
    world.restart_agent()
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert world.shown().restart_count == 1


def test_an_exit_without_a_code_counts_as_a_failure() -> None:
    world = running_world(static_pod(restart_policy="OnFailure"))
    world.exit("web", 0, exit_code=None)
    world.run_until_idle()
    assert world.last_end().exit_code == 137


def test_an_ended_container_that_is_seen_running_after_all_runs() -> None:
    world = running_world(static_pod("web", "log", restart_policy="Never"))
    shown = world.runtime.pods[UID]
    world.runtime.vanish("a", "web")
    world.observe()
    assert world.shown().state.terminated is not None
    world.runtime.pods[UID] = shown
    world.observe()
    assert world.shown().state.running is not None
    assert world.shown().restart_count == 0


def test_pods_of_the_api_wait_for_the_api_after_a_restart() -> None:
    world = World(Source.API, api=True)
    world.offer(static_pod(), Source.API)
    world.run_until_idle()
    world.start_agent()
    world.exit("web", 1)
    assert world.queue == []
    for offer in list(world.offers.values()):
        world.feed(offer)
    world.run_until_idle()
    assert world.runs() == ["web"]


def test_a_container_of_unknown_phase_that_is_not_the_known_one_is_removed() -> None:
    world = running_world()
    world.runtime.add_container("a", "web", 5, ContainerPhase.UNKNOWN, now=world.now, sandbox_id="s1")
    assert names(world.observe()) == ["RemoveContainer"]
    world.run_until_idle()
    assert world.started() == ["web"]


def test_attempts_are_never_used_twice_for_instances_that_ran() -> None:
    world = running_world()
    for _ in range(5):
        world.exit("web", 1)
        world.advance(400)
        world.restart_agent()
    attempts = [c.attempt for c in world.all(StartContainer)]
    assert attempts == sorted(set(attempts))


def test_a_look_at_an_earlier_life_of_a_pod_says_nothing_of_the_next() -> None:
    world = running_world()
    old = world.look()
    world.withdraw(static_pod())
    world.offer(static_pod())
    while world.generation().ending is not None:
        world.step()
    assert world.feed(old) == []
    assert world.generation().containers == {}
    world.run_until_idle()
    assert world.started() == ["web", "web"]
    assert world.runs() == ["web"]
