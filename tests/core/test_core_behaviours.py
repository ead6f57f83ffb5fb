"""Numbered behaviours: a life is decided by those that it began with, and the next by its own."""

from typing import Any

import pytest
from msgspec.structs import replace

from minikubelet.core.behaviours import TODAY, Behaviour, Behaviours
from minikubelet.core.commands import (
    CreateMirror,
    DeleteMirror,
    PublishStatus,
    Reason,
    StartContainer,
    StartSandbox,
    StopContainer,
)
from minikubelet.core.events import AgentStarted, RuntimeListed
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.observed import ContainerPhase
from minikubelet.wire.records import CORE_VERSION, UnknownRecord, decode_event, encode_event
from tests.core.core_world import SECOND, World, container, sidecar, static_pod

THEN: Behaviours = ()
LATE = (Behaviour.FULL_GRACE_WHEN_LATE,)


def test_behaviours_are_numbered_from_one_without_a_gap() -> None:
    assert [int(one) for one in TODAY] == list(range(1, len(TODAY) + 1))
    assert int(CORE_VERSION) == max(TODAY) + 1


def test_an_agent_that_knew_no_behaviours_is_read_as_following_none() -> None:
    event = AgentStarted(node="n", boot="b", sources=(), has_api=False)
    assert b"behaviours" not in encode_event(event)
    assert decode_event(encode_event(replace(event, behaviours=TODAY))) == replace(event, behaviours=TODAY)


def test_a_life_of_a_later_version_is_not_decided_upon_as_if_it_were_of_this_one() -> None:
    event = AgentStarted(node="n", boot="b", sources=(), has_api=False, behaviours=(Behaviour(1),))
    later = encode_event(event).replace(b"[1]", b"[%d]" % (len(TODAY) + 1))
    with pytest.raises(UnknownRecord, match="behaviours"):
        decode_event(later)


def late_world(behaviours: Behaviours, *, after: float, **spec: Any) -> World:
    """A pod whose end is decided while its container starts; it comes up so many seconds later."""
    world = World(node={"behaviours": behaviours})
    pod = static_pod(**spec)
    world.offer(pod)
    world.step()  # the sandbox is there, the container's start is under way
    world.withdraw(pod)
    world.now += int(after * SECOND)
    world.step()
    return world


@pytest.mark.parametrize(
    ("behaviours", "own", "after", "given"),
    [
        (THEN, 30, 20, 10),
        (THEN, 30, 40, 0),
        (LATE, 30, 20, 30),
        (LATE, 30, 40, 30),
        (LATE, 0, 1, 2),
        (LATE, 1, 1, 2),
        (LATE, 2, 1, 2),
    ],
)
def test_a_container_that_comes_up_after_the_end_was_decided_has_its_full_grace(
    behaviours: Behaviours, own: int, after: float, given: int
) -> None:
    world = late_world(behaviours, after=after, termination_grace_period_seconds=own)
    assert world.stopped() == [("web", given)]
    for _ in range(3):
        world.now += SECOND
        world.observe()
    assert world.stopped() == [("web", given)]
    world.run_until_idle()
    assert world.reducer.slots == {}


def test_a_container_that_came_up_late_ends_sooner_when_its_pod_is_to() -> None:
    world = World(Source.API, api=True)
    pod = static_pod(termination_grace_period_seconds=30)
    world.offer(pod, Source.API)
    world.step()
    world.delete(pod, 30)
    world.now += 40 * SECOND
    world.step()
    for grace in (30, 5, 5, 0):
        world.now += SECOND
        world.delete(pod, grace)
    assert world.stopped() == [("web", 30), ("web", 5), ("web", 0)]


def test_a_container_that_ran_when_the_end_was_decided_has_what_is_left_under_both() -> None:
    for behaviours in (THEN, LATE):
        world = World(node={"behaviours": behaviours})
        pod = static_pod(init=[sidecar("proxy")])
        world.offer(pod)
        world.run_until_idle()
        world.withdraw(pod)
        world.now += 20 * SECOND
        world.step()
        assert world.stopped() == [("web", 30), ("proxy", 10)]


def test_a_shorter_grace_that_is_asked_for_later_holds_for_a_late_container_too() -> None:
    world = World(Source.API, api=True)
    world.offer(static_pod(), Source.API)
    world.step()
    world.delete(static_pod(), 30)
    world.now += 10 * SECOND
    world.step()
    assert world.stopped() == [("web", 30)]
    world.delete(static_pod(), 5)
    assert world.stopped() == [("web", 30), ("web", 5)]
    assert world.all(StopContainer)[-1].reason is Reason.GRACE_SHORTENED


def test_each_life_is_decided_by_its_own_behaviours() -> None:
    world = late_world(THEN, after=20)
    assert world.stopped() == [("web", 10)]
    world.node = {"behaviours": LATE}
    world.restart_agent()
    world.sync_sources()
    assert world.reducer.node.behaviours == LATE
    assert world.all(StopContainer)[-1].grace == 30
    world.node = {"behaviours": THEN}
    world.restart_agent()
    assert world.all(StopContainer)[-1].grace == 10


@pytest.mark.parametrize(("behaviours", "asked"), [(THEN, 1), ((Behaviour.MIRRORS_ASKED_AGAIN,), 2)])
def test_a_mirror_that_was_not_seen_to_come_is_asked_for_again(behaviours: Behaviours, asked: int) -> None:
    """Once the API server is listed anew."""
    world = World(Source.FILE, Source.API, api=True, node={"behaviours": behaviours})
    world.offer(static_pod())
    world.sync(Source.API)
    assert len(world.all(CreateMirror)) == asked


@pytest.mark.parametrize(("behaviours", "asked"), [(THEN, 1), ((Behaviour.MIRRORS_ASKED_AGAIN,), 2)])
def test_a_mirror_that_nobody_could_make_is_asked_for_again(behaviours: Behaviours, asked: int) -> None:
    """Once a source holds its pod anew."""
    world = World(Source.FILE, Source.API, api=True, node={"behaviours": behaviours})
    world.offer(static_pod())
    world.offers.clear()
    world.start_agent()
    before = len(world.all(CreateMirror))
    world.judge("web.yaml")
    world.sync_sources()
    world.offer(static_pod())
    assert len(world.all(CreateMirror)) == before + asked


@pytest.mark.parametrize(
    ("behaviours", "source", "named"),
    [
        (THEN, Source.FILE, False),
        ((Behaviour.STATUSES_NAME_THEIR_MIRROR,), Source.FILE, True),
        ((Behaviour.STATUSES_NAME_THEIR_MIRROR,), Source.API, False),
    ],
)
def test_the_status_of_a_static_pod_names_its_mirror(
    behaviours: Behaviours, source: Source, named: bool
) -> None:
    """Whoever tells it needs no definition for that, which may be lost."""
    world = World(source, api=True, node={"behaviours": behaviours})
    world.offer(static_pod(), source)
    assert {each.mirror_hash for each in world.all(PublishStatus)} == {
        str(static_pod().metadata.uid) if named else ""
    }


def losses(behaviours: Behaviours, *gaps: int) -> list[int]:
    """How many sandboxes there were after each of these waits (seconds), each lost as soon as it is there."""
    world = World(node={"behaviours": behaviours})
    world.offer(static_pod())
    world.run_until_idle()
    counts = []
    for gap in gaps:
        world.lose_sandbox()
        world.advance(gap)
        counts.append(len(world.all(StartSandbox)))
    return counts


def test_sandboxes_that_die_at_once_are_replaced_after_growing_waits() -> None:
    assert losses(TODAY, 0, 0, 1, 1, 1) == [2, 2, 3, 3, 4]
    assert losses(LATE, 0, 0, 0) == [2, 3, 4]


def test_a_sandbox_that_lived_for_a_while_is_replaced_at_once() -> None:
    world = World()
    world.offer(static_pod())
    world.run_until_idle()
    for _ in range(5):
        world.advance(120)
        world.lose_sandbox()
        world.run_until_idle()
    assert len(world.all(StartSandbox)) == 6
    assert world.runs() == ["web"]


def edited_while_down(behaviours: Behaviours) -> World:
    """An earlier life had made a container and was starting it; the next one finds it, and another pod."""
    world = World(node={"behaviours": behaviours})
    world.offer(static_pod())
    world.step()
    sandbox = world.generation().sandbox
    assert sandbox is not None
    world.runtime.add_container("a", "web", 0, ContainerPhase.CREATED, now=world.now, sandbox_id=sandbox.id)
    world.start_agent()
    world.offer(static_pod(uid="b"))
    world.sync_sources()
    return world


def test_a_pod_waits_for_a_container_that_was_made_and_may_come_up_yet() -> None:
    world = edited_while_down(TODAY)
    assert [command.uid for command in world.all(StartSandbox)] == ["a"]
    world.run_until_idle()
    assert [command.uid for command in world.all(StartSandbox)] == ["a", "b"]
    assert world.runs("b") == ["web"]
    before = edited_while_down(TODAY[: Behaviour.CREATED_HOLDS_BACK - 1])
    assert [command.uid for command in before.all(StartSandbox)] == ["a", "b"]


def left_of_a_pod_that_went_while_it_ended(behaviours: Behaviours) -> list[str]:
    """The agent is killed as a pod comes to its end, and the pod's object goes before the next life."""
    steady = Behaviour.UNCLAIMED_WHILE_ENDING in behaviours
    world = World(Source.API, api=True, check=steady, node={"behaviours": behaviours})
    world.offer(static_pod(restart_policy="Never"), Source.API)
    world.run_until_idle()
    world.exit(code=0)
    world.offers.clear()
    world.runtime.break_sandbox(PodUid("a"), world.now, sandbox_id="")
    world.start_agent(observe=False)
    world.sync_sources()
    world.observe_all()
    world.feed(RuntimeListed(pods=1))
    world.run_until_idle()
    return [*world.reducer.slots, *world.runtime.pods]


def test_nothing_is_left_of_a_pod_that_nobody_holds_when_its_own_end_comes() -> None:
    assert left_of_a_pod_that_went_while_it_ended(TODAY) == []
    before = TODAY[: Behaviour.UNCLAIMED_WHILE_ENDING - 1]
    assert left_of_a_pod_that_went_while_it_ended(before) == ["kube-system/web-node", "a"]


def left_beside_a_broken_file(behaviours: Behaviours) -> list[str]:
    """One file is broken, another is removed: the mirror pods that are still there in the end."""
    world = World(Source.FILE, Source.API, api=True, node={"behaviours": behaviours})
    world.offer(pod := static_pod())
    world.run_until_idle()
    world.mirror("m", str(pod.metadata.uid))
    world.judge("other.yaml")
    world.withdraw(pod)
    world.run_until_idle()
    return [each.mirror_uid for each in world.all(DeleteMirror)]


def test_a_mirror_goes_with_its_file_whatever_other_file_is_broken() -> None:
    assert left_beside_a_broken_file(TODAY) == ["m"]
    assert left_beside_a_broken_file(TODAY[: Behaviour.MIRRORS_GO_WITH_THEIR_FILES - 1]) == []


def test_an_init_container_that_runs_was_ended_when_its_definition_changed() -> None:
    for behaviours, stopped in (
        (TODAY, []),
        (TODAY[: Behaviour.INIT_CONTAINERS_RUN_ON - 1], [("setup", 30)]),
    ):
        world = World(node={"behaviours": behaviours})
        world.offer(static_pod(init=(container("setup"),)))
        world.run_until_idle()
        world.offer(static_pod(init=(container("setup", image="app:2"),)))
        world.run_until_idle()
        assert world.stopped() == stopped


def after_a_failed_stop(behaviours: Behaviours) -> World:
    """A job's definition is edited and edited back, and the stop that the first edit led to failed."""
    world = World(Source.API, api=True, node={"behaviours": behaviours})
    world.offer(job := static_pod(restart_policy="OnFailure"), Source.API)
    world.run_until_idle()
    world.runtime.fail("StopContainer", "KillContainerError")
    world.offer(static_pod(container(image="app:2"), restart_policy="OnFailure"), Source.API)
    world.offer(job, Source.API)
    world.step()
    return world


def test_a_container_whose_failed_stop_was_given_up_ends_as_any_other() -> None:
    for behaviours, starts in ((TODAY, 1), (TODAY[: Behaviour.FAILED_STOPS_ARE_GIVEN_UP - 1], 2)):
        world = after_a_failed_stop(behaviours)
        world.advance(20)
        world.exit(code=0)
        world.advance(20)
        assert len(world.all(StartContainer)) == starts


def test_one_that_ends_before_a_failed_stop_would_be_tried_again_may_have_been_stopped() -> None:
    world = after_a_failed_stop(TODAY)
    world.exit(code=0)
    world.run_until_idle()
    assert len(world.all(StartContainer)) == 2


@pytest.mark.parametrize(
    ("behaviours", "ready"), [(TODAY, False), (TODAY[: Behaviour.STATUSES_AGREE - 1], True)]
)
def test_an_init_container_that_waits_to_run_again_is_not_ready(
    behaviours: Behaviours, *, ready: bool
) -> None:
    world = World(node={"behaviours": behaviours})
    world.offer(static_pod(init=(container("setup"),)))
    world.run_until_idle()
    world.exit("setup", 0)
    world.run_until_idle()
    assert world.shown("setup").ready
    world.runtime.fail("StartContainer", "ErrImagePull")
    world.lose_sandbox()
    world.run_until_idle()
    assert (world.shown("setup").state.waiting is not None, world.shown("setup").ready) == (True, ready)


def test_what_never_ran_began_no_later_than_it_ended() -> None:
    for behaviours, later in ((TODAY, False), (TODAY[: Behaviour.STATUSES_AGREE - 1], True)):
        world = World(node={"behaviours": behaviours})
        world.offer(static_pod())
        world.run_until_idle()
        world.advance(100)
        world.exit(finished_at=world.generation().containers["web"].started_at - SECOND)
        end = world.shown().state.terminated
        assert end is not None
        assert (end.started_at > end.finished_at) is later


def test_a_pull_that_fails_after_other_calls_did_waits_as_the_first() -> None:
    for behaviours, waits in ((TODAY, [10, 20]), (TODAY[: Behaviour.PULLS_COUNT_APART - 1], [40, 80])):
        world = World(node={"behaviours": behaviours})
        world.offer(static_pod())
        found: list[int] = []
        for reason in ("CreateContainerError", "CreateContainerError", "ErrImagePull", "ErrImagePull"):
            world.runtime.fail("StartContainer", reason)
            world.advance(found[-1] if found else 0)
            found.append((world.generation().containers["web"].retry_at - world.now) // SECOND)
        assert found[2:] == waits


@pytest.mark.parametrize("before_it_comes", [True, False])
def test_a_look_of_an_earlier_life_shows_nothing_of_a_pod_that_comes_anew(*, before_it_comes: bool) -> None:
    for behaviours, starts in ((TODAY, 2), (TODAY[: Behaviour.LOOKS_ARE_OF_THIS_LIFE - 1], 1)):
        world = World(node={"behaviours": behaviours})
        pod = static_pod(restart_policy="Never")
        world.offer(pod)
        world.run_until_idle()
        world.exit()
        late = world.look()
        world.judge("other.yaml")  # which may hold a pod that nobody knows
        world.withdraw(pod)
        world.run_until_idle()
        for comes in (not before_it_comes, before_it_comes):
            if comes:
                world.offer(pod)
            else:
                world.feed(late)
                world.observe(pod)
        world.run_until_idle()
        assert len(world.all(StartContainer)) == starts
