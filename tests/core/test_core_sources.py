"""What sources say: edits of static pods, removals, orphans, broken manifests, merging."""

import pytest

from minikubelet.core.commands import CleanUpPod, Reason, StopContainer
from minikubelet.core.events import PodSet, PodWithdrawn, SourceSynced
from minikubelet.core.merge import Update, classify
from minikubelet.core.state import Slot
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.observed import ContainerPhase
from minikubelet.model.pod import Pod
from tests.core.core_world import SECOND, SLOT, World, names, running_world, static_pod

A, B, C = static_pod(uid="a"), static_pod(uid="b"), static_pod(uid="c")


def edit(world: World, old: Pod, new: Pod) -> None:
    """What the file source tells of an edit: the new pod, then that the old one is gone."""
    world.offer(new)
    world.withdraw(old)


def leave_running(world: World, uid: str = "a", name: str = "web") -> None:
    """A pod runs that this agent remembers nothing of."""
    sandbox = world.runtime.add_sandbox(PodUid(uid), 0, world.now)
    world.runtime.add_container(uid, name, 0, ContainerPhase.RUNNING, now=world.now, sandbox_id=sandbox.id)


# ── edits ──


def test_an_edited_static_pod_starts_once_the_old_one_has_ended() -> None:
    world = running_world(A)
    edit(world, A, B)
    assert world.runs("a") == ["web"]
    assert world.runs("b") == []
    assert world.status("b").phase == "Pending"
    world.run_until_idle()
    assert world.all(StopContainer)[0].reason is Reason.POD_REPLACED
    assert world.runs("b") == ["web"]
    assert list(world.runtime.pods) == ["b"]
    assert [g.uid for g in world.reducer.slots[SLOT].generations] == ["b"]


@pytest.mark.parametrize("answered", range(8))
def test_an_edit_back_at_any_moment_ends_with_the_first_pod_begun_anew(answered: int) -> None:
    world = running_world(A)
    edit(world, A, B)
    for _ in range(min(answered, len(world.queue))):
        world.step()
    edit(world, B, A)
    world.run_until_idle()
    assert list(world.runtime.pods) == ["a"]
    assert world.runs() == ["web"]
    assert [g.uid for g in world.reducer.slots[SLOT].generations] == ["a"]
    assert world.shown().restart_count == 0


def test_a_pod_that_comes_back_keeps_its_definition_on_disk() -> None:
    world = running_world(A)
    edit(world, A, B)
    edit(world, B, A)
    world.run_until_idle()
    assert [(c.uid, c.keep_definition) for c in world.all(CleanUpPod)] == [("b", False), ("a", True)]


def test_an_edit_before_the_first_pod_has_started() -> None:
    world = World()
    world.offer(A)
    edit(world, A, B)
    edit(world, B, C)
    world.run_until_idle()
    assert list(world.runtime.pods) == ["c"]
    assert world.runs("c") == ["web"]


def test_of_many_edits_only_the_last_starts() -> None:
    world = running_world(A)
    before = A
    for uid in "bcdef":
        edit(world, before, static_pod(uid=uid))
        before = static_pod(uid=uid)
    world.run_until_idle()
    assert list(world.runtime.pods) == ["f"]
    assert world.started() == ["web", "web"]


def test_a_removed_pod_that_comes_back_while_it_ends() -> None:
    world = running_world(A)
    world.withdraw(A)
    world.offer(A)
    world.run_until_idle()
    assert world.started() == ["web", "web"]
    assert world.runs() == ["web"]


def test_a_removed_pod_that_came_back_and_is_removed_again() -> None:
    world = running_world(A)
    world.withdraw(A)
    world.offer(A)
    world.withdraw(A)
    world.run_until_idle()
    assert world.reducer.slots == {}


def test_a_pod_that_is_seen_again_unchanged_changes_nothing() -> None:
    world = running_world(A)
    assert world.offer(A) == []
    assert world.sync(Source.FILE) == []


def test_withdrawing_what_is_not_known_changes_nothing() -> None:
    world = World()
    assert world.withdraw(A) == []
    assert world.reducer.slots == {}


def test_pods_of_two_sources_in_one_place_wait_for_each_other() -> None:
    world = World(Source.FILE, Source.API, api=True)
    world.offer(A, Source.FILE)
    world.run_until_idle()
    world.offer(B, Source.API)
    assert world.runs("b") == []
    world.withdraw(A)
    world.run_until_idle()
    assert world.runs("b") == ["web"]


# ── merging ──


def test_a_fact_is_named_as_upstream_names_it() -> None:
    world = World(Source.API)
    slot = Slot(SLOT)
    fresh = PodSet(source=Source.API, slot=SLOT, uid=PodUid("a"), pod=A)
    assert classify(slot, fresh) is Update.ADD
    world.feed(fresh)
    slot = world.reducer.slots[SLOT]
    assert classify(slot, fresh) is Update.RECONCILE
    changed = PodSet(source=Source.API, slot=SLOT, uid=PodUid("a"), pod=static_pod("log"))
    assert classify(slot, changed) is Update.UPDATE
    deleted = PodSet(source=Source.API, slot=SLOT, uid=PodUid("a"), pod=A, deletion_at=1)
    assert classify(slot, deleted) is Update.DELETE
    gone = PodWithdrawn(source=Source.API, slot=SLOT, uid=PodUid("a"))
    assert classify(slot, gone) is Update.REMOVE


# ── orphans ──


def test_an_unknown_pod_is_left_alone_until_all_sources_have_spoken() -> None:
    world = World(Source.FILE, Source.API, api=True, started=False)
    leave_running(world)
    world.start_agent()
    assert world.sync(Source.FILE) == []
    assert names(world.sync(Source.API)) == ["StopContainer"]
    assert world.all(StopContainer)[0].reason is Reason.POD_UNKNOWN
    world.run_until_idle()
    assert world.runtime.pods == {}
    assert world.reducer.slots == {}


def test_an_unknown_pod_is_left_alone_while_a_manifest_is_broken() -> None:
    world = World(started=False)
    leave_running(world)
    world.start_agent()
    world.judge("web.yaml")
    assert world.sync(Source.FILE) == []
    assert names(world.judge()) == ["StopContainer"]


def test_a_pod_found_on_the_runtime_is_adopted_when_a_source_wants_it() -> None:
    world = World(started=False)
    leave_running(world)
    world.start_agent()
    world.offer(A, hashes={})
    world.sync_sources()
    assert world.queue == []
    assert world.runs() == ["web"]
    assert world.status().phase == "Running"


def test_an_unknown_pod_in_the_place_of_a_wanted_one_makes_room_at_once() -> None:
    world = World(Source.FILE, Source.API, api=True, started=False)
    leave_running(world, "old")
    world.start_agent()
    world.offer(A)
    world.sync(Source.FILE)
    assert world.all(StopContainer)[0].reason is Reason.POD_REPLACED
    world.run_until_idle()
    assert list(world.runtime.pods) == ["a"]
    assert world.runs() == ["web"]


def test_an_unknown_sandbox_in_the_place_of_a_wanted_pod_is_waited_for() -> None:
    world = World(started=False)
    world.runtime.add_sandbox(PodUid("old"), 0, world.now)
    world.start_agent()
    assert names(world.offer(A)) == ["RemoveSandbox"]
    world.run_until_idle()
    assert list(world.runtime.pods) == ["a"]


def test_an_unknown_pod_that_is_wanted_while_it_is_cleaned_up_begins_anew() -> None:
    world = World(started=False)
    leave_running(world)
    world.start_agent()
    world.sync_sources()
    world.offer(A)
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert world.started() == ["web"]


def test_dead_leftovers_of_an_unknown_pod_are_cleaned_up() -> None:
    world = World(started=False)
    world.runtime.add_container("a", "web", 0, ContainerPhase.EXITED, now=world.now)
    world.start_agent()
    world.sync_sources()
    world.run_until_idle()
    assert world.runtime.pods == {}
    assert world.reducer.slots == {}


def test_an_empty_look_at_an_unknown_pod_is_nothing() -> None:
    world = World()
    assert world.observe("nobody") == []
    assert world.reducer.slots == {}


# ── files that changed or broke while the agent was away ──


def test_a_file_removed_while_the_agent_was_away_ends_its_pod_once_files_are_known() -> None:
    world = running_world(A)
    world.offers.clear()
    world.start_agent()
    assert world.queue == []
    world.sync_sources()
    assert world.all(StopContainer)[0].reason is Reason.POD_REMOVED
    world.run_until_idle()
    assert world.reducer.slots == {}


def test_a_file_that_is_broken_after_a_restart_keeps_its_pod_running_and_restarting() -> None:
    world = running_world(A)
    world.offers.clear()
    world.start_agent()
    world.judge("web.yaml")
    world.sync_sources()
    assert world.queue == []
    world.exit("web", 1)
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert names(world.judge()) == ["StopContainer"]


def test_a_finished_pod_is_kept_as_well_while_a_manifest_is_broken() -> None:
    pod = static_pod(restart_policy="Never")
    world = running_world(pod)
    world.exit("web", 0)
    world.run_until_idle()
    world.offers.clear()
    world.start_agent()
    world.judge("web.yaml")
    world.sync_sources()
    assert world.queue == []
    world.judge()
    world.run_until_idle()
    assert world.reducer.slots == {}


def test_a_broken_manifest_does_not_keep_a_pod_of_the_api() -> None:
    world = World(Source.FILE, Source.API, api=True)
    world.offer(A, Source.API)
    world.run_until_idle()
    world.offers.clear()
    world.start_agent()
    world.judge("web.yaml")
    world.sync_sources()
    world.run_until_idle()
    assert world.reducer.slots == {}


def test_a_pod_of_a_source_that_is_not_configured_any_more_ends() -> None:
    world = running_world(A, Source.FILE, Source.API, api=True)
    world.offers.clear()
    world.sources = (Source.API,)
    world.start_agent()
    world.run_until_idle()
    assert world.reducer.slots == {}


def test_a_source_that_says_it_holds_a_pod_keeps_it() -> None:
    world = running_world(A)
    world.start_agent()
    world.sync_sources()
    assert world.queue == []
    assert world.generation().offered


def test_a_source_that_says_it_holds_an_ending_pod_has_it_begin_anew() -> None:
    world = running_world(A)
    world.withdraw(A)
    world.start_agent()
    world.feed(SourceSynced(source=Source.FILE, present=(PodUid("a"),)))
    world.run_until_idle()
    assert world.started() == ["web", "web"]
    assert world.runs() == ["web"]


def test_an_edit_made_while_the_agent_was_away_is_carried_out() -> None:
    world = running_world(A)
    world.offers.clear()
    world.start_agent()
    world.offer(B)
    world.sync_sources()
    world.run_until_idle()
    assert list(world.runtime.pods) == ["b"]


def test_a_source_that_speaks_twice_counts_once() -> None:
    world = World(Source.FILE, Source.API, api=True, started=False)
    leave_running(world)
    world.start_agent()
    world.sync(Source.FILE)
    world.sync(Source.FILE)
    assert world.queue == []
    assert world.reducer.node.synced == (Source.FILE,)


def test_nothing_is_kept_of_pods_that_are_gone() -> None:
    world = World()
    for number in range(50):
        pod = static_pod(uid=f"u{number}", name=f"web{number}-node")
        world.offer(pod)
        world.run_until_idle()
        world.now += SECOND
        world.withdraw(pod)
        world.run_until_idle()
    assert world.reducer.slots == {}
    assert world.runtime.pods == {}
