"""Deletion: grace, preconditions, finalizers and namespaces, as upstream has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.stubapi.stubcommits import Act
from minikubelet.stubapi.stubdeletion import DeleteOptions, decide_delete
from minikubelet.stubapi.stubresources import PODS as POD_RESOURCE
from tests.stubapi.stubapi_world import PODS, World, pod, run

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def _clock() -> datetime:
    return NOW


def _options(**fields: Any) -> dict[str, Any]:
    return {"kind": "DeleteOptions", "apiVersion": "v1", **fields}


@pytest.mark.parametrize("annotations", [{}, {"kubernetes.io/config.mirror": "abc"}])
def test_a_pod_on_a_node_waits_for_its_kubelet(tmp_path: Path, annotations: dict[str, str]) -> None:
    async def check(world: World) -> None:
        body = pod(nodeName="n", terminationGracePeriodSeconds=20)
        body["metadata"]["annotations"] = annotations
        await world.good("POST", PODS, body)
        going = await world.good("DELETE", f"{PODS}/web")
        assert going["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:25Z"
        assert going["metadata"]["deletionGracePeriodSeconds"] == 20
        again = await world.good("DELETE", f"{PODS}/web", _options(gracePeriodSeconds=90))
        assert again == going
        shorter = await world.good("DELETE", f"{PODS}/web", _options(gracePeriodSeconds=5))
        assert shorter["metadata"]["deletionTimestamp"] == "2026-01-02T03:04:10Z"
        assert (await world.good("GET", f"{PODS}/web")) == shorter
        await world.good("DELETE", f"{PODS}/web?gracePeriodSeconds=0")
        assert (await world.refused("GET", f"{PODS}/web"))[0] == 404

    run(tmp_path, check, clock=_clock)


def test_a_pod_without_a_node_or_with_an_end_goes_at_once(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod())
        assert (await world.good("DELETE", f"{PODS}/web"))["kind"] == "Pod"
        assert (await world.refused("GET", f"{PODS}/web"))[0] == 404
        await world.good("POST", PODS, pod(nodeName="n"))
        done = {"status": {"phase": "Succeeded"}}
        merge = "application/merge-patch+json"
        await world.good("PATCH", f"{PODS}/web/status", done, content=merge)
        await world.good("DELETE", f"{PODS}/web")
        assert (await world.refused("GET", f"{PODS}/web"))[0] == 404

    run(tmp_path, check)


def test_preconditions_guard_a_delete(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        created = await world.good("POST", PODS, pod(nodeName="n"))
        for wrong in ({"uid": "other"}, {"resourceVersion": "1"}):
            body = _options(gracePeriodSeconds=0, preconditions=wrong)
            assert (await world.refused("DELETE", f"{PODS}/web", body))[:2] == (409, "Conflict")
        meta = created["metadata"]
        right = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        await world.good("DELETE", f"{PODS}/web", _options(gracePeriodSeconds=0, preconditions=right))
        assert (await world.refused("GET", f"{PODS}/web"))[0] == 404

    run(tmp_path, check)


def test_a_finalizer_holds_an_object_until_it_is_taken_away(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        path = "/api/v1/namespaces/default/configmaps"
        await world.good("POST", path, {"metadata": {"name": "c", "finalizers": ["example.com/hold"]}})
        going = await world.good("DELETE", f"{path}/c")
        assert going["metadata"]["deletionTimestamp"]
        merge = "application/merge-patch+json"
        await world.good("PATCH", f"{path}/c", {"metadata": {"finalizers": None}}, content=merge)
        assert (await world.refused("GET", f"{path}/c"))[0] == 404

    run(tmp_path, check)


def test_a_namespace_goes_with_its_contents_once_its_pods_are_gone(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", "/api/v1/namespaces", {"metadata": {"name": "n1"}})
        inside = "/api/v1/namespaces/n1"
        await world.good("POST", f"{inside}/pods", pod(nodeName="n"))
        await world.good("POST", f"{inside}/configmaps", {"metadata": {"name": "c"}})
        going = await world.good("DELETE", inside)
        assert going["status"]["phase"] == "Terminating"
        assert (await world.good("GET", f"{inside}/configmaps"))["items"] == []
        assert (await world.refused("POST", f"{inside}/pods", pod("late")))[:2] == (403, "Forbidden")
        await world.good("DELETE", f"{inside}/pods/web", _options(gracePeriodSeconds=0))
        assert (await world.refused("GET", inside))[0] == 404
        assert (await world.refused("DELETE", "/api/v1/namespaces/kube-system"))[0] == 403

    run(tmp_path, check)


@given(st.lists(st.none() | st.integers(0, 100), min_size=1, max_size=8), st.integers(0, 100))
def test_the_grace_of_a_pod_never_grows_and_nought_ends_it(asked: list[int | None], own: int) -> None:
    meta: dict[str, Any] = {"name": "p", "uid": "u", "resourceVersion": "1"}
    obj: dict[str, Any] = {
        "metadata": meta,
        "spec": {"nodeName": "n", "terminationGracePeriodSeconds": own},
        "status": {"phase": "Running"},
    }
    grace = None
    for seconds in asked:
        decision = decide_delete(POD_RESOURCE, obj, DeleteOptions(grace_period_seconds=seconds), NOW)
        wanted = own if seconds is None and grace is None else seconds
        if wanted == 0:
            assert decision.act is Act.REMOVE
            return
        after = decision.obj["metadata"]["deletionGracePeriodSeconds"]
        assert after == (min(w for w in (grace, wanted) if w is not None))
        grace, obj = after, decision.obj
