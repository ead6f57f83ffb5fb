"""Verdicts over the manifest folder matter to pods only where they change whether it is sound."""

import pytest

from minikubelet.core.behaviours import TODAY, Behaviour, Behaviours
from minikubelet.core.events import AgentStarted, AnyEvent, ManifestsJudged, PodSet, RuntimeListed
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Slot
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.pod import ObjectMeta, Pod
from tests.core.core_world import World, static_pod

SLOT = SlotKey("default/web")
BEFORE = tuple(each for each in TODAY if each is not Behaviour.FOLDER_SOUND_OR_NOT)


def judged(behaviours: Behaviours, *rejected: str) -> tuple[Slot, Slot]:
    """The slot of a pod before and after verdicts, in a folder in which `a` was broken already."""
    reducer = Reducer()
    pod = Pod(metadata=ObjectMeta(name="web", namespace="default", uid="u1"))
    events: tuple[AnyEvent, ...] = (
        AgentStarted(node="n", boot="b", sources=(Source.FILE,), has_api=False, behaviours=behaviours),
        RuntimeListed(),
        ManifestsJudged(rejected=(("a", "is broken"),)),
        PodSet(source=Source.FILE, slot=SLOT, uid=PodUid("u1"), pod=pod),
    )
    for seq, event in enumerate(events, 1):
        reducer.decide(seq, seq, event)
    before = reducer.slots[SLOT]
    reducer.decide(9, 9, ManifestsJudged(rejected=tuple((name, "is broken") for name in rejected)))
    return before, reducer.slots[SLOT]


@pytest.mark.parametrize("rejected", [("b",), ("a", "b")])
def test_other_broken_files_are_no_reason_to_plan_every_pod(rejected: tuple[str, ...]) -> None:
    before, after = judged(TODAY, *rejected)
    assert after is before


def test_a_folder_that_becomes_sound_is_one() -> None:
    before, after = judged(TODAY)
    assert after.planned_at > before.planned_at


def test_lives_that_were_decided_otherwise_still_are() -> None:
    before, after = judged(BEFORE, "b")
    assert after.planned_at > before.planned_at


@pytest.mark.parametrize("behaviours", [TODAY, TODAY[: Behaviour.SOUND_LISTS_ARE_REMEMBERED - 1]])
def test_a_pod_that_a_sound_folder_did_not_hold_is_gone_whatever_becomes_of_the_folder(
    behaviours: Behaviours,
) -> None:
    """The folder is read well before the runtime is listed, and a file is broken by then."""
    world = World(node={"behaviours": behaviours})
    world.offer(static_pod())
    world.run_until_idle()
    world.offers.clear()
    world.start_agent(observe=False)
    world.judge()
    world.sync_sources()
    world.judge("other.yaml")
    world.observe_all()
    world.feed(RuntimeListed(pods=1))
    world.run_until_idle()
    assert (world.runs() == []) is (behaviours == TODAY)


def test_a_pod_that_no_file_held_is_held_again_by_a_later_one() -> None:
    world = World()
    world.offer(pod := static_pod())
    world.run_until_idle()
    world.offers.clear()
    world.start_agent(observe=False)
    world.judge()
    world.sync_sources()
    world.offer(pod)
    world.observe_all()
    world.feed(RuntimeListed(pods=1))
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert not world.generation().unheld
    world.restart_agent()
    world.run_until_idle()
    assert world.runs() == ["web"]
