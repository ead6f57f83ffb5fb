"""Waiting: after crashes, after failed pulls and failed calls of the engine, and when the clock jumps."""

import pytest

from minikubelet.core.backoff import next_crash_delay, retry_delay
from minikubelet.core.commands import SANDBOX_LANE, Reason, StartContainer, StartSandbox, WakeAt
from minikubelet.core.events import TimerFired
from minikubelet.model.ids import PodUid
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


def waits(world: World, name: str = "web", uid: str = "a", most: float = 1000) -> float:
    """Seconds from a crash until the container runs again."""
    world.exit(name, 1, uid)
    world.run_until_idle()
    begun = world.now
    while name not in world.runs(uid):
        assert world.now - begun <= most * SECOND
        world.advance(1)
    return (world.now - begun) / SECOND


def test_crash_back_off_doubles_from_ten_seconds_to_five_minutes() -> None:
    world = running_world()
    assert [waits(world) for _ in range(9)] == [0, 10, 20, 40, 80, 160, 300, 300, 300]


def test_back_off_is_forgotten_after_ten_minutes_of_running() -> None:
    world = running_world()
    assert [waits(world) for _ in range(4)] == [0, 10, 20, 40]
    world.advance(599)
    assert waits(world) == 80
    world.advance(600)
    assert [waits(world), waits(world)] == [0, 10]


def test_back_off_also_follows_an_exit_with_code_zero() -> None:
    world = running_world()
    world.exit("web", 0)
    world.run_until_idle()
    world.exit("web", 0)
    world.run_until_idle()
    assert world.runs() == []
    waiting = world.shown().state.waiting
    assert waiting is not None
    assert waiting.reason == "CrashLoopBackOff"


def test_each_container_has_a_back_off_of_its_own() -> None:
    world = running_world(static_pod("web", "log", init=[sidecar("proxy")]))
    assert [waits(world), waits(world)] == [0, 10]
    assert waits(world, "log") == 0
    assert [waits(world, "proxy"), waits(world, "proxy")] == [0, 10]


def test_back_off_goes_on_over_a_restart_of_the_agent() -> None:
    world = running_world()
    assert [waits(world), waits(world)] == [0, 10]
    world.exit("web", 1)
    world.advance(5)
    world.restart_agent()
    world.advance(14)
    assert world.runs() == []
    world.advance(1)
    assert world.runs() == ["web"]
    assert waits(world) == 40


def test_back_off_grows_also_when_the_answer_to_a_start_was_lost() -> None:
    world = running_world()
    world.exit("web", 1)
    world.runtime.answer(world.queue.pop(), world.now)
    world.restart_agent()
    assert [waits(world), waits(world)] == [10, 20]


def test_a_changed_definition_is_started_at_once_and_begins_its_back_off_anew() -> None:
    world = running_world()
    assert [waits(world) for _ in range(4)] == [0, 10, 20, 40]
    world.exit("web", 1)
    world.offer(static_pod(container("web", image="web:2")))
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert [waits(world), waits(world)] == [10, 20]


def test_back_off_is_no_status_while_the_container_starts() -> None:
    world = running_world()
    world.exit("web", 1)
    assert world.shown().state.terminated is not None
    world.run_until_idle()
    assert world.shown().state.running is not None


@pytest.mark.parametrize(
    ("reason", "then"),
    [
        ("ErrImagePull", "ImagePullBackOff"),
        ("ErrImageNeverPull", "ErrImageNeverPull"),
        ("InvalidImageName", "InvalidImageName"),
        ("CreateContainerConfigError", "CreateContainerConfigError"),
        ("CreateContainerError", "CreateContainerError"),
    ],
)
def test_a_start_that_fails_shows_its_reason(reason: str, then: str) -> None:
    world = World()
    world.runtime.fail("web", reason, message="not today")
    world.offer(static_pod())
    world.run_until_idle()
    waiting = world.shown().state.waiting
    assert waiting is not None
    assert (waiting.reason, waiting.message) == (reason, "not today")
    assert world.shown().restart_count == 0
    world.advance(1)
    waiting = world.shown().state.waiting
    if waiting is not None:
        assert waiting.reason == then
    world.advance(10)
    assert world.runs() == ["web"]
    assert world.all(StartContainer)[-1].reason is Reason.RETRY
    assert world.shown().state.running is not None


def test_image_back_off_doubles_like_that_of_crashes_and_names_the_image() -> None:
    world = World()
    world.runtime.fail("web", "ErrImagePull", times=8, message="gone")
    world.offer(static_pod())
    world.run_until_idle()
    begun = []
    for _ in range(1200):
        before = len(world.started())
        world.advance(1)
        if len(world.started()) > before:
            begun.append((world.now - 1_700_000_000 * SECOND) // SECOND)
    assert begun == [10, 30, 70, 150, 310, 610, 910]
    waiting = world.shown().state.waiting
    assert waiting is not None
    assert waiting.message == 'Back-off pulling image "web:1": ErrImagePull: gone'


def test_an_instance_that_could_not_run_counts_as_a_crash() -> None:
    world = World()
    world.runtime.fail("web", "RunContainerError", times=2, message="no such file", instance=True)
    world.offer(static_pod())
    world.run_until_idle()
    assert [c.attempt for c in world.all(StartContainer)] == [0, 1]
    waiting = world.shown().state.waiting
    assert waiting is not None
    assert waiting.reason == "RunContainerError"
    assert world.last_end().reason == "StartError"
    world.advance(1)
    waiting = world.shown().state.waiting
    assert waiting is not None
    assert waiting.reason == "CrashLoopBackOff"
    assert waiting.message == "back-off 10s restarting failed container=web pod=web-node_kube-system(a)"
    world.advance(9)
    assert world.runs() == ["web"]
    assert world.shown().restart_count == 2


def test_back_off_is_spelt_as_go_spells_durations() -> None:
    world = running_world()
    for _ in range(4):
        waits(world)
    world.exit("web", 1)
    waiting = world.shown().state.waiting
    assert waiting is not None
    assert waiting.message.startswith("back-off 1m20s restarting")


def test_a_sandbox_that_fails_is_tried_again_after_growing_waits() -> None:
    world = World()
    world.runtime.fail("StartSandbox", times=3)
    world.offer(static_pod())
    world.run_until_idle()
    assert len(world.all(StartSandbox)) == 1
    for seconds, tries in ((1, 2), (1, 2), (1, 3), (3, 3), (1, 4)):
        world.advance(seconds)
        assert len(world.all(StartSandbox)) == tries
    assert world.all(StartSandbox)[1].reason is Reason.RETRY
    assert world.runs() == ["web"]
    assert SANDBOX_LANE not in world.generation().retries


@pytest.mark.parametrize("kind", ["StopContainer", "RemoveSandbox", "CleanUpPod"])
def test_an_end_that_fails_is_tried_again(kind: str) -> None:
    world = running_world()
    world.runtime.fail(kind, times=2)
    world.withdraw(static_pod())
    world.run_until_idle()
    assert world.reducer.slots != {}
    world.advance(3)
    assert world.reducer.slots == {}
    assert world.runtime.pods == {}


def test_a_stop_of_a_finished_pods_sandbox_that_fails_is_tried_again() -> None:
    world = running_world(static_pod(restart_policy="Never"))
    world.runtime.fail("StopSandbox")
    world.exit("web", 0)
    world.run_until_idle()
    assert names([d.command for d in world.decisions]).count("StopSandbox") == 1
    world.advance(1)
    assert world.runtime.pods[PodUid("a")].sandboxes[0].ready is False


def test_a_removal_of_an_old_instance_that_fails_is_tried_again() -> None:
    world = running_world()
    world.runtime.fail("RemoveContainer")
    world.exit("web", 1)
    world.run_until_idle()
    assert len(world.runtime.pods[PodUid("a")].containers) == 2
    world.advance(1)
    assert len(world.runtime.pods[PodUid("a")].containers) == 1


def test_the_arithmetic_of_waits() -> None:
    assert [retry_delay(n) // SECOND for n in (1, 2, 3, 7, 99)] == [1, 2, 4, 60, 60]
    assert [retry_delay(n, "ErrImagePull") // SECOND for n in (1, 2, 6, 99)] == [10, 20, 300, 300]
    assert next_crash_delay(200 * SECOND) == 300 * SECOND


def test_a_clock_set_back_far_does_not_hold_a_container_back() -> None:
    world = running_world()
    assert [waits(world), waits(world)] == [0, 10]
    world.exit("web", 1)
    world.run_until_idle()
    world.now -= 86_400 * SECOND
    world.feed(TimerFired(slot=SLOT))
    world.run_until_idle()
    assert world.runs() == ["web"]


def test_a_clock_set_forward_lets_a_container_start() -> None:
    world = running_world()
    assert [waits(world), waits(world)] == [0, 10]
    world.exit("web", 1)
    world.run_until_idle()
    world.now += 86_400 * SECOND
    world.observe()
    world.run_until_idle()
    assert world.runs() == ["web"]


def test_a_timer_that_is_overdue_is_not_waited_for() -> None:
    world = running_world(static_pod("web", "log"))
    assert [waits(world), waits(world)] == [0, 10]
    world.exit("web", 1)
    overdue = world.timers[SLOT]
    world.now += 86_400 * SECOND
    world.runtime.fail("log", "ErrImagePull")
    world.exit("log", 1)
    world.run_until_idle()
    assert world.timers[SLOT] > world.now > overdue


def test_a_retry_is_not_held_back_by_a_clock_set_back_far() -> None:
    world = World()
    world.runtime.fail("StartSandbox")
    world.offer(static_pod())
    world.run_until_idle()
    world.now -= 86_400 * SECOND
    world.feed(TimerFired(slot=SLOT))
    world.run_until_idle()
    assert world.runs() == ["web"]


def test_a_timer_that_fires_early_is_armed_again() -> None:
    world = running_world()
    assert [waits(world), waits(world)] == [0, 10]
    world.exit("web", 1)
    world.run_until_idle()
    due = world.timers[SLOT]
    assert [c.at for c in world.feed(TimerFired(slot=SLOT)) if isinstance(c, WakeAt)] == [due]


def test_an_end_that_the_engine_puts_into_the_future_is_now() -> None:
    world = running_world()
    assert [waits(world), waits(world)] == [0, 10]
    world.exit("web", 1, finished_at=world.now + 3600 * SECOND)
    world.advance(20)
    assert world.runs() == ["web"]


def test_a_clock_set_back_leaves_failing_starts_their_waits() -> None:
    world = running_world()
    world.exit("web", 1)
    world.now -= 86_400 * SECOND
    world.runtime.fail("web", "CreateContainerError", times=3)
    world.run_until_idle()
    assert len(world.started()) == 2
    world.advance(10)
    assert world.runs() == ["web"]
    assert len(world.started()) == 5
