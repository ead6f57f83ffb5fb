"""The API source: pods and mirrors from list and watch, and relists that heal."""

import asyncio
import copy
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.ports.apiport import (
    Api,
    Bookmark,
    Changed,
    ChangeType,
    Disconnected,
    JsonObject,
    Listed,
    WatchItem,
)
from minikubelet.ports.sourceport import (
    MirrorOffered,
    MirrorRetracted,
    PodOffered,
    PodRetracted,
    SourceFact,
    SourceListed,
)
from minikubelet.sources.apisource import ApiSource
from minikubelet.wire.podmarks import CONFIG_MIRROR
from tests.running import run
from tests.sources.sources_world import KeepingSink


def pod(name: str, uid: str, *, version: str = "1", image: str = "i", **metadata: Any) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid,
            "resourceVersion": version,
            "managedFields": [{"time": version}],
            **metadata,
        },
        "spec": {"containers": [{"name": "main", "image": image, "futureField": 1}]},
        "status": {"phase": "Pending", "futureField": version},
    }


def mirror(name: str, uid: str, hash_: str, **metadata: Any) -> JsonObject:
    return pod(name, uid, annotations={CONFIG_MIRROR: hash_}, **metadata)


class Scripted:
    """Gives out what it is told to, as an Api's list_watch does."""

    def __init__(self, items: list[WatchItem]) -> None:
        self.items = items
        self.asked: list[tuple[str, Mapping[str, str] | None]] = []

    async def list_watch(
        self, path: str, *, params: Mapping[str, str] | None = None
    ) -> AsyncGenerator[WatchItem, None]:
        self.asked.append((path, params))
        for item in self.items:
            yield item


def facts_of(*items: WatchItem) -> list[SourceFact]:
    """What a source makes of these items."""
    api = Scripted(list(items))
    sink = KeepingSink()
    run(ApiSource(cast("Api", api), "node-1").run(sink))
    assert api.asked == [("/api/v1/pods", {"fieldSelector": "spec.nodeName=node-1"})]
    return sink.facts


def listed(*items: JsonObject) -> Listed:
    return Listed(items, "1")


def test_a_list_is_offered_and_then_said_to_be_all() -> None:
    facts = facts_of(listed(pod("a", "u1"), mirror("m", "u2", "hash")))
    assert [type(fact) for fact in facts] == [PodOffered, MirrorOffered, SourceListed]
    assert facts[1] == MirrorOffered(namespace="default", name="m", uid=PodUid("u2"), hash="hash")
    assert facts[2] == SourceListed(source=Source.API, present=(PodUid("u1"),))


def test_nothing_is_said_to_be_all_before_a_list() -> None:
    assert facts_of(Disconnected("down", 1.0), Disconnected("down", 2.0)) == []


def test_changes_of_the_status_alone_are_no_news() -> None:
    facts = facts_of(listed(pod("a", "u1")), Changed(ChangeType.MODIFIED, pod("a", "u1", version="2")))
    assert len(facts) == 2


def test_a_condition_that_a_readiness_gate_names_is_news_and_others_are_not() -> None:
    gated = pod("a", "u1")
    gated["spec"]["readinessGates"] = [{"conditionType": "x/lb"}, {"conditionType": "x/dns"}]
    opened, noted = copy.deepcopy(gated), copy.deepcopy(gated)
    unready = {"type": "Ready", "status": "False"}
    noted["status"]["conditions"] = [unready]
    opened["status"]["conditions"] = [unready, {"type": "x/dns", "status": "True"}]
    changes = [Changed(ChangeType.MODIFIED, each) for each in (noted, opened, opened)]
    facts = [fact for fact in facts_of(listed(gated), *changes) if isinstance(fact, PodOffered)]
    assert [fact.gates for fact in facts] == [(), (("x/dns", "True"),)]


def test_every_status_is_told_to_who_wants_it() -> None:
    seen: list[Any] = []
    items: list[WatchItem] = [
        listed(pod("a", "u1")),
        Changed(ChangeType.MODIFIED, pod("a", "u1", version="2")),
    ]

    def note(slot: SlotKey, uid: PodUid, item: JsonObject, *, listed: bool = False) -> None:
        seen.append((slot, uid, item["status"]["futureField"], listed))

    run(ApiSource(cast("Api", Scripted(items)), "n", status_seen=note).run(KeepingSink()))
    assert seen == [("default/a", "u1", "1", True), ("default/a", "u1", "2", False)]


def test_a_graceful_deletion_is_an_offer_with_a_deadline() -> None:
    deleted = pod(
        "a", "u1", version="2", deletionTimestamp="2024-05-01T10:00:00Z", deletionGracePeriodSeconds=30
    )
    offered = facts_of(listed(pod("a", "u1")), Changed(ChangeType.MODIFIED, deleted))[-1]
    assert isinstance(offered, PodOffered)
    assert (offered.deletion_at, offered.deletion_grace) == (1_714_557_600_000_000, 30)


def test_deleted_objects_are_retracted() -> None:
    facts = facts_of(
        listed(pod("a", "u1"), mirror("m", "u2", "h")),
        Changed(ChangeType.DELETED, pod("a", "u1")),
        Changed(ChangeType.DELETED, mirror("m", "u2", "h")),
        Changed(ChangeType.DELETED, mirror("m", "u2", "h")),
    )
    assert [type(fact) for fact in facts[3:]] == [PodRetracted, MirrorRetracted]


def test_a_mirror_that_lost_its_annotation_is_not_taken_for_a_pod_to_run() -> None:
    facts = facts_of(
        listed(mirror("m", "u1", "h")), Changed(ChangeType.MODIFIED, pod("m", "u1", version="2"))
    )
    assert facts[-1] == MirrorOffered(namespace="default", name="m", uid=PodUid("u1"), hash="")


def test_a_relist_retracts_what_vanished_meanwhile_after_what_came() -> None:
    facts = facts_of(
        listed(pod("a", "u1"), pod("b", "u2")),
        Disconnected("down", 1.0),
        listed(pod("a", "u3"), pod("b", "u2")),
    )
    came, went, told = facts[3:]
    assert isinstance(came, PodOffered)
    assert isinstance(went, PodRetracted)
    assert (came.uid, went.uid) == ("u3", "u1")
    assert told == SourceListed(source=Source.API, present=(PodUid("u3"), PodUid("u2")))


def test_a_pod_that_cannot_be_read_is_present_and_never_retracted_by_that() -> None:
    broken = pod("a", "u1", version="2")
    broken["spec"] = {"containers": "none"}
    facts = facts_of(listed(broken), Bookmark("2"))
    assert facts == [SourceListed(source=Source.API, present=(PodUid("u1"),))]
    facts = facts_of(listed(pod("a", "u1")), Changed(ChangeType.MODIFIED, broken), listed(broken))
    assert [type(fact) for fact in facts] == [PodOffered, SourceListed, SourceListed]


def test_a_pod_that_has_ended_is_not_to_be_started() -> None:
    ended = pod("a", "u1")
    ended["status"] = {"phase": "Succeeded"}
    (offered, _) = facts_of(listed(ended))
    assert isinstance(offered, PodOffered)
    assert offered.finished


def test_a_sink_may_make_the_source_wait() -> None:
    class Slow(KeepingSink):
        def put(self, *facts: SourceFact) -> Any:
            super().put(*facts)
            return asyncio.sleep(0)

    sink = Slow()
    run(ApiSource(cast("Api", Scripted([listed(pod("a", "u1"))])), "n").run(sink))
    assert len(sink.facts) == 2
