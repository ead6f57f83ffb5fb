"""Mirror pods: one for the newest static pod, back when deleted, gone only after the containers."""

from minikubelet.core.commands import CreateMirror, DeleteMirror, Reason
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.pod import ObjectMeta, Pod
from tests.core.core_world import SECOND, World, static_pod

A, B = static_pod(uid="a"), static_pod(uid="b")


def mirrored_world(pod: Pod = A) -> World:
    """A static pod runs and its mirror is there."""
    world = World(Source.FILE, Source.API, api=True)
    world.offer(pod)
    world.run_until_idle()
    world.mirror("m1", pod.metadata.uid)
    return world


def created(world: World) -> list[str]:
    return [command.hash for command in world.all(CreateMirror)]


def deleted(world: World) -> list[tuple[str, Reason]]:
    return [(command.mirror_uid, command.reason) for command in world.all(DeleteMirror)]


def test_a_mirror_is_created_once_and_delays_nothing() -> None:
    world = World(Source.FILE, Source.API, api=True)
    commands = world.offer(A)
    assert [type(c).__name__ for c in commands] == ["StartSandbox", "PublishStatus", "CreateMirror"]
    world.run_until_idle()
    world.observe()
    assert created(world) == ["a"]
    world.mirror("m1", "a")
    assert world.mirror("m1", "a") == []
    assert created(world) == ["a"]
    assert deleted(world) == []


def test_there_is_none_before_the_api_server_was_listed() -> None:
    world = World(Source.FILE, Source.API, api=True, started=False)
    world.start_agent()
    world.sync(Source.FILE)
    world.offer(A)
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert created(world) == []
    world.sync(Source.API)
    assert created(world) == ["a"]


def test_there_is_none_without_an_api_server() -> None:
    world = World(Source.FILE)
    world.offer(A)
    world.run_until_idle()
    assert created(world) == []


def test_a_pod_of_the_api_has_none() -> None:
    world = World(Source.FILE, Source.API, api=True)
    world.offer(A, Source.API)
    world.run_until_idle()
    assert created(world) == []


def test_a_mirror_deleted_by_somebody_comes_back_after_a_pause() -> None:
    world = mirrored_world()
    before = world.runtime.pods[PodUid("a")]
    world.mirror("m1", "a", deleting=True)
    assert deleted(world) == [("m1", Reason.MIRROR_OUTDATED)]
    assert world.mirror("m1", "a", deleting=True) == []
    world.mirror_gone("m1")
    assert created(world) == ["a"]
    world.advance(0.2)
    assert created(world) == ["a"]
    world.advance(0.1)
    assert created(world) == ["a", "a"]
    assert world.runtime.pods[PodUid("a")] == before


def test_a_mirror_that_is_gone_without_a_word_comes_back_after_a_pause() -> None:
    world = mirrored_world()
    world.mirror_gone("m1")
    world.advance(0.29)
    assert created(world) == ["a"]
    world.advance(0.01)
    assert created(world) == ["a", "a"]


def test_the_pause_ends_also_when_the_clock_is_set_back() -> None:
    world = mirrored_world()
    world.mirror_gone("m1")
    world.now -= 3600 * SECOND
    world.observe()
    assert created(world) == ["a", "a"]


def test_a_mirror_that_came_and_went_unseen_is_made_again_once_the_api_server_is_listed() -> None:
    """Found by simulation: created, then lost with the API server's state before the watch showed it."""
    world = World(Source.FILE, Source.API, api=True)
    world.offer(A)
    world.run_until_idle()
    world.sync(Source.FILE)
    assert created(world) == ["a"]
    world.sync(Source.API)
    assert created(world) == ["a", "a"]
    world.mirror("m1", "a")
    world.sync(Source.API)
    assert created(world) == ["a", "a"]


def test_a_mirror_that_nobody_could_make_is_asked_for_again_with_its_definition() -> None:
    """Found by simulation: a disk that was full had lost the definition, and a broken file gave none."""
    world = World(Source.FILE, Source.API, api=True)
    world.offer(A)
    world.run_until_idle()
    world.offers.clear()
    world.start_agent()
    world.judge("web.yaml")
    world.sync_sources()
    before = len(created(world))
    assert before == 2
    world.offer(A)
    assert len(created(world)) == before + 1


def test_an_outdated_mirror_is_deleted_and_created_anew_at_once() -> None:
    world = mirrored_world()
    world.offer(B)
    assert deleted(world) == [("m1", Reason.MIRROR_OUTDATED)]
    world.withdraw(A)
    world.mirror("m1", "a")
    world.run_until_idle()
    assert len(deleted(world)) == 1
    world.mirror_gone("m1")
    assert created(world) == ["a", "b"]
    world.mirror("m2", "b")
    assert len(deleted(world)) == 1


def test_a_mirror_that_somebody_deletes_after_its_deletion_was_asked_for() -> None:
    world = mirrored_world()
    world.offer(B)
    world.mirror("m1", "a", deleting=True)
    assert len(deleted(world)) == 1
    world.mirror_gone("m1")
    world.advance(0.3)
    assert created(world) == ["a", "b"]


def test_an_edit_back_before_the_mirror_was_changed_keeps_the_mirror() -> None:
    world = mirrored_world()
    world.mirror_gone("m1")
    world.offer(B)
    world.offer(A)
    world.advance(10)
    world.mirror("m2", "a")
    assert deleted(world) == []


def test_a_mirror_left_from_before_makes_room_for_the_new_one() -> None:
    world = World(Source.FILE, Source.API, api=True)
    world.mirror("alien", "other")
    world.offer(A)
    assert deleted(world) == [("alien", Reason.MIRROR_ORPHANED)]
    world.mirror_gone("alien")
    assert created(world) == ["a"]


def test_a_mirror_that_was_created_while_ours_was_asked_for_is_taken() -> None:
    world = World(Source.FILE, Source.API, api=True)
    world.offer(A)
    world.mirror("twin", "a")
    world.run_until_idle()
    assert created(world) == ["a"]
    assert deleted(world) == []


def test_the_end_of_another_mirror_is_nothing() -> None:
    world = mirrored_world()
    assert world.mirror_gone("m0") == []
    assert created(world) == ["a"]


def test_a_removed_pods_mirror_goes_once_its_containers_are_gone() -> None:
    world = mirrored_world()
    world.withdraw(A)
    while world.queue:
        assert deleted(world) == []
        world.step()
    assert deleted(world) == [("m1", Reason.MIRROR_ORPHANED)]
    world.observe()
    assert len(deleted(world)) == 1
    world.mirror_gone("m1")
    assert world.reducer.slots == {}


def test_a_mirror_deleted_while_its_pod_ends_is_let_go_and_does_not_come_back() -> None:
    world = mirrored_world()
    world.withdraw(A)
    world.mirror("m1", "a", deleting=True)
    assert deleted(world) == [("m1", Reason.MIRROR_OUTDATED)]
    world.mirror_gone("m1")
    world.advance(10)
    assert created(world) == ["a"]
    assert world.reducer.slots == {}


def test_a_mirror_without_a_static_pod_waits_for_the_files() -> None:
    world = World(Source.FILE, Source.API, api=True, started=False)
    world.start_agent()
    world.sync(Source.API)
    world.mirror("old", "x")
    assert deleted(world) == []
    world.judge("web.yaml")
    world.sync(Source.FILE)
    assert deleted(world) == []
    world.judge()
    assert deleted(world) == [("old", Reason.MIRROR_ORPHANED)]


def test_after_a_restart_the_mirror_is_looked_at_anew() -> None:
    world = mirrored_world()
    world.start_agent()
    for offer in list(world.offers.values()):
        world.feed(offer)
    world.sync(Source.FILE)
    assert created(world) == ["a"]
    world.mirror("m1", "a")
    world.sync(Source.API)
    assert created(world) == ["a"]
    assert deleted(world) == []


def test_after_a_restart_a_mirror_that_went_meanwhile_is_created_at_once() -> None:
    world = mirrored_world()
    world.restart_agent()
    assert created(world) == ["a", "a"]


def test_a_finished_pod_keeps_its_mirror() -> None:
    pod = static_pod(uid="a", restart_policy="Never")
    world = mirrored_world(pod)
    world.exit("web", 0)
    world.run_until_idle()
    world.mirror_gone("m1")
    world.advance(1)
    assert created(world) == ["a", "a"]


def test_a_pod_without_a_hash_is_mirrored_as_well() -> None:
    pod = static_pod()
    bare = Pod(metadata=ObjectMeta(name="web-node", namespace="kube-system", uid="a"), spec=pod.spec)
    world = World(Source.FILE, Source.API, api=True)
    world.offer(bare)
    assert created(world) == [""]
