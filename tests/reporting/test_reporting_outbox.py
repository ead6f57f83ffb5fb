"""The outbox: statuses, mirrors and releases reach the API server, through conflicts and outages."""

import asyncio
from typing import Any

from structlog.testing import capture_logs

from minikubelet.core.commands import CreateMirror, DeleteApiPod, DeleteMirror, PublishStatus, Reason
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.status import PodStatus
from tests.reporting.reporting_world import (
    SLOT,
    OutboxWorld,
    a_status,
    an_outbox,
    pod_at,
    refusal,
    static_pod,
)
from tests.running import eventually, run


def publish(uid: str, status: PodStatus, slot: SlotKey = SLOT, *, mirror: str = "") -> PublishStatus:
    return PublishStatus(
        slot=slot, reason=Reason.STATUS_CHANGED, uid=PodUid(uid), status=status, mirror_hash=mirror
    )


def publish_static(uid: str, status: PodStatus) -> PublishStatus:
    return publish(uid, status, mirror=uid)


def create(uid: str) -> CreateMirror:
    return CreateMirror(slot=SLOT, reason=Reason.MIRROR_MISSING, uid=PodUid(uid), hash=uid)


def delete_mirror(uid: str) -> DeleteMirror:
    return DeleteMirror(slot=SLOT, reason=Reason.MIRROR_OUTDATED, mirror_uid=PodUid(uid))


def release(uid: str, slot: SlotKey = SLOT) -> DeleteApiPod:
    return DeleteApiPod(slot=slot, reason=Reason.POD_DELETED, uid=PodUid(uid))


async def with_mirror(world: OutboxWorld, hash_: str = "h1") -> PodUid:
    """A static pod, running and mirrored; answers the mirror's uid."""
    uid = world.holds(static_pod(hash_))
    world.outbox.put(create(uid))
    world.outbox.put(publish_static(uid, a_status("Running")))
    await world.told()
    return PodUid(world.api.pod()["metadata"]["uid"])


def test_a_status_replaces_what_is_the_nodes_and_leaves_what_others_set() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            status: dict[str, Any] = {
                "conditions": [{"type": "Gate", "status": "True"}, {"type": "Ready", "status": "True"}],
                "podIP": "10.0.0.9",
                "podIPs": [{"ip": "10.0.0.9"}],
                "message": "old",
            }
            world.api.put(pod_at(SLOT), metadata={"uid": "u1"}, status=status)
            world.outbox.put(publish("u1", a_status("Pending")))
            await world.told()
            assert world.api.status() == {
                "phase": "Pending",
                "qosClass": "BestEffort",
                "conditions": [{"type": "Gate", "status": "True"}, {"type": "Ready", "status": "False"}],
            }

    run(main())


def test_only_the_newest_status_is_told() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.api.put(pod_at(SLOT), metadata={"uid": "u1"})
            for number in range(100):
                world.outbox.put(publish("u1", a_status(f"Phase{number}")))
            await world.told()
            assert world.api.status()["phase"] == "Phase99"
            assert len(world.api.calls) == 1

    run(main())


def test_a_pod_made_anew_never_gets_the_status_of_the_one_before() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.api.put(pod_at(SLOT), metadata={"uid": "u2"})
            world.outbox.put(publish("u1", a_status("Failed")))
            world.outbox.put(release("u1"))
            await world.told()
            assert world.api.status() == {}
            assert world.outbox.stats().slots == 0

    run(main())


def test_the_final_status_goes_before_the_release() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.api.put(pod_at(SLOT), metadata={"uid": "u1"})
            world.outbox.put(release("u1"))
            world.outbox.put(publish("u1", a_status("Succeeded")))
            await world.told()
            assert [verb for verb, _ in world.api.calls] == ["PATCH", "DELETE"]
            assert world.api.objects == {}
            assert world.outbox.stats().slots == 0

    run(main())


def test_a_mirror_is_made_and_told_the_status_of_its_static_pod() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            uid = await with_mirror(world)
            mirror = world.api.pod()
            assert world.mirror_hash() == "h1"
            assert mirror["status"]["phase"] == "Running"
            assert mirror["metadata"]["ownerReferences"] == [
                {"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "node-uid", "controller": True}
            ]
            assert uid != "h1"

    run(main())


def test_a_mirror_deleted_by_somebody_comes_back_with_its_status() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            before = await with_mirror(world)
            del world.api.objects[pod_at(SLOT)]
            world.outbox.mirror_gone(SLOT, before)
            world.outbox.put(create("h1"))
            await world.told()
            assert world.api.pod()["metadata"]["uid"] != before
            assert world.api.status()["phase"] == "Running"

    run(main())


def test_a_changed_manifest_replaces_the_mirror_and_each_gets_its_own_status() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            before = await with_mirror(world)
            world.holds(static_pod("h2"))
            world.outbox.put(publish_static("h2", a_status("Pending")))
            world.outbox.put(publish_static("h1", a_status("Running", ready="True")))
            await world.told()
            assert world.api.status()["conditions"] == [{"type": "Ready", "status": "True"}]
            world.outbox.put(create("h2"))
            world.outbox.put(delete_mirror(before))
            await world.told()
            assert world.mirror_hash() == "h2"
            assert world.api.status()["phase"] == "Pending"

    run(main())


def test_an_outdated_mirror_in_the_way_is_replaced() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            stale = await with_mirror(world)
            world.outbox.mirror_gone(SLOT, stale)
            uid = world.holds(static_pod("h2"))
            world.outbox.put(create(uid))
            await world.told()
            assert world.mirror_hash() == "h2"

    run(main())


def test_a_mirror_found_after_a_restart_is_told_the_status() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.api.put(pod_at(SLOT), metadata={"uid": "m1"})
            uid = world.holds(static_pod("h1"))
            world.outbox.put(publish_static(uid, a_status("Running")))
            await world.told()
            assert world.api.calls == []
            world.outbox.mirror_seen(SLOT, PodUid("m1"), "h1")
            await world.told()
            assert world.api.status()["phase"] == "Running"

    run(main())


def test_a_static_pods_status_is_kept_for_its_mirror_while_its_definition_is_lost() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.outbox.put(publish_static("h1", a_status("Running")))
            await world.told()
            assert world.api.calls == []
            world.api.put(pod_at(SLOT), metadata={"uid": "m1"})
            world.outbox.mirror_seen(SLOT, PodUid("m1"), "h1")
            await world.told()
            assert world.api.status()["phase"] == "Running"

    run(main())


def test_a_mirror_that_was_made_although_the_answer_got_lost_is_taken() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.api.lost_answers = 1
            await with_mirror(world)
            assert world.mirror_hash() == "h1"
            assert world.api.status()["phase"] == "Running"

    run(main())


def test_a_name_taken_by_a_pod_that_is_no_mirror_is_left_alone_and_warned_of_once() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.api.put(pod_at(SLOT), metadata={"uid": "theirs"})
            uid = world.holds(static_pod("h1"))
            with capture_logs() as logs:
                world.outbox.put(create(uid))
                await eventually(lambda: len(world.api.calls) >= 6, "three tries")
            assert world.api.pod()["metadata"]["uid"] == "theirs"
            assert len(logs) == 1
            assert "no mirror" in logs[0]["problem"]
            del world.api.objects[pod_at(SLOT)]
            await world.told()
            assert world.mirror_hash() == "h1"

    run(main())


def test_a_mirror_of_a_pod_that_is_gone_is_not_made() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.outbox.put(create("h1"))
            await world.told()
            assert world.api.objects == {}

    run(main())


def test_all_is_told_after_an_outage_without_a_storm_of_calls() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            slots = [SlotKey(f"default/p{number}") for number in range(50)]
            for slot in slots:
                world.api.put(pod_at(slot), metadata={"uid": slot})
            world.api.down = True
            with capture_logs() as logs:
                for slot in slots:
                    world.outbox.put(publish(slot, a_status("Pending"), slot))
                await eventually(lambda: len(world.api.calls) >= 10, "some tries")
                assert world.outbox.stats().pending == 50
                for slot in slots:
                    world.outbox.put(publish(slot, a_status("Running"), slot))
                world.api.down = False
                world.outbox.upstream_reachable()
                await world.told()
            assert {world.api.status(slot)["phase"] for slot in slots} == {"Running"}
            assert [entry["log_level"] for entry in logs].count("warning") == 1

    run(main())


def test_refusals_that_may_pass_are_tried_again() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.api.put(pod_at(SLOT), metadata={"uid": "u1"})
            world.api.faults = [
                refusal(429, "TooManyRequests", retry_after=0.01),
                refusal(500, "InternalError"),
                refusal(403, "Forbidden"),
                refusal(409, "Conflict"),
            ]
            world.outbox.put(publish("u1", a_status("Running")))
            await world.told()
            assert world.api.status()["phase"] == "Running"

    run(main())


def test_one_refused_slot_holds_up_no_other() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            other = SlotKey("default/other")
            world.api.put(pod_at(SLOT), metadata={"uid": "u1"})
            world.api.put(pod_at(other), metadata={"uid": "u2"})
            world.api.faults = [refusal(429, "TooManyRequests", retry_after=3600.0)]
            world.outbox.put(publish("u1", a_status("Running")))
            await eventually(lambda: world.outbox.stats().failing, "the refusal")
            world.outbox.put(publish("u2", a_status("Running"), other))
            await eventually(lambda: world.api.status(other), "the other slot")
            assert (await world.outbox.drain(0), world.outbox.stats().pending) == (False, 1)

    run(main())


def test_what_can_never_be_accepted_is_given_up_until_it_changes() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.api.put(pod_at(SLOT), metadata={"uid": "u1"})
            world.api.faults = [refusal(422, "Invalid")]
            world.outbox.put(publish("u1", a_status("Odd")))
            await world.told()
            assert world.api.status() == {}
            world.outbox.put(publish("u1", a_status("Running")))
            await world.told()
            assert world.api.status()["phase"] == "Running"

    run(main())


def test_a_status_that_somebody_changed_is_told_again() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            world.api.put(pod_at(SLOT), metadata={"uid": "u1"})
            world.outbox.put(publish("u1", a_status("Running", ready="True")))
            await world.told()
            told = len(world.api.calls)
            world.outbox.status_seen(SLOT, PodUid("u1"), world.api.pod())
            old = {"metadata": {"resourceVersion": "1"}, "status": {}}
            world.outbox.status_seen(SLOT, PodUid("u1"), old)
            await world.told()
            assert len(world.api.calls) == told
            world.api.status()["conditions"][0]["status"] = "False"
            world.api.pod()["metadata"]["resourceVersion"] = "1000"
            world.outbox.status_seen(SLOT, PodUid("u1"), world.api.pod())
            await world.told()
            assert world.api.status()["conditions"][0]["status"] == "True"

    run(main())


def test_a_server_whose_state_was_restored_counts_on_from_an_older_version() -> None:
    """Found by simulation: what somebody changed then was taken for older than what had been told."""

    async def main() -> None:
        async with an_outbox() as world:
            world.api.put(pod_at(SLOT), metadata={"uid": "u1"})
            world.outbox.put(publish("u1", a_status("Running", ready="True")))
            await world.told()
            meta = world.api.pod()["metadata"]
            meta["resourceVersion"] = "0"
            world.outbox.status_seen(SLOT, PodUid("u1"), world.api.pod(), listed=True)
            meta["resourceVersion"] = "1"
            world.api.status()["conditions"][0]["status"] = "False"
            world.outbox.status_seen(SLOT, PodUid("u1"), world.api.pod())
            await world.told()
            assert world.api.status()["conditions"][0]["status"] == "True"

    run(main())


def test_pods_that_are_gone_are_forgotten() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            for number in range(600):
                slot = SlotKey(f"default/p{number}")
                world.api.put(pod_at(slot), metadata={"uid": f"u{number}"})
                world.outbox.put(publish(f"u{number}", a_status("Running"), slot))
                await asyncio.sleep(0)
            await world.told()
            assert world.outbox.stats().slots < 400

    run(main())
