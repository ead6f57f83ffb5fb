"""DaemonSets: one pod for each node, kept, updated and counted as upstream does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from minikubelet.stubapi.stubdaemons import should_run, tolerations_of
from tests.running import eventually
from tests.stubapi.stubapi_world import PODS, World, run
from tests.stubapi.test_stubapi_kubectl import Kubectl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SETS = "/apis/apps/v1/namespaces/default/daemonsets"
MERGE = "application/merge-patch+json"


def _set(**spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "busybox:1.36"}]
    template = {"metadata": {"labels": {"app": "each"}}, "spec": {"containers": containers}}
    whole = {"selector": {"matchLabels": {"app": "each"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "each"}, "spec": whole}


def _image(image: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}


async def _node(world: World, name: str, **more: Any) -> None:
    await world.good("POST", "/api/v1/nodes", {"metadata": {"name": name, **more}})


async def _pods(world: World) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await world.good("GET", PODS))["items"]
    return items


async def _on(world: World) -> list[str]:
    return sorted(each["spec"]["nodeName"] for each in await _pods(world))


async def _on_come(world: World, *nodes: str) -> None:
    async def there() -> bool:
        return await _on(world) == list(nodes)

    await eventually(there, f"pods on {nodes}")


async def _status_comes(world: World, **wanted: int) -> None:
    async def there() -> bool:
        status = (await world.good("GET", f"{SETS}/each"))["status"]
        return all(status.get(key) == value for key, value in wanted.items())

    await eventually(there, f"a status with {wanted}")


async def _says(world: World, name: str, phase: str, *, ready: bool = False) -> None:
    since = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": since}] if ready else []
    body = {"status": {"phase": phase, "conditions": conditions}}
    await world.ask("PATCH", f"{PODS}/{name}/status", body, content=MERGE)


@asynccontextmanager
async def _kubelets(world: World, *broken: str) -> AsyncIterator[None]:
    """Pods become Ready, except those of an image that is broken, and those that are deleted go."""

    async def work() -> None:
        while True:
            for pod in await _pods(world):
                name, image = pod["metadata"]["name"], pod["spec"]["containers"][0]["image"]
                if pod["metadata"].get("deletionTimestamp"):
                    await world.ask("DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})
                elif pod["status"]["phase"] == "Pending" and image not in broken:
                    await _says(world, name, "Running", ready=True)
            await asyncio.sleep(0.02)

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def test_every_node_has_a_pod_and_a_deleted_or_failed_one_is_made_anew(tmp_path: Path) -> None:
    """Also on a node that comes later, and none is left on one that goes."""

    async def check(world: World) -> None:
        await _node(world, "n1")
        await _node(world, "n2")
        made = await world.good("POST", SETS, _set())
        await _on_come(world, "n1", "n2")
        first = (await _pods(world))[0]
        owner = first["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["uid"], owner["controller"]) == (
            "DaemonSet",
            made["metadata"]["uid"],
            True,
        )
        assert first["metadata"]["name"].startswith("each-")
        assert first["metadata"]["labels"]["controller-revision-hash"]
        async with _kubelets(world):
            await _status_comes(world, desiredNumberScheduled=2, numberReady=2, updatedNumberScheduled=2)
            await world.good("DELETE", f"{PODS}/{first['metadata']['name']}")
            await _node(world, "n3")
            await _status_comes(world, desiredNumberScheduled=3, numberAvailable=3, numberUnavailable=0)
            failed = (await _pods(world))[0]["metadata"]["name"]
            await _says(world, failed, "Failed")

            async def replaced() -> bool:
                return failed not in [each["metadata"]["name"] for each in await _pods(world)]

            await eventually(replaced, "the failed pod to be replaced")
            await _on_come(world, "n1", "n2", "n3")
        await world.good("DELETE", "/api/v1/nodes/n2")
        await _on_come(world, "n1", "n3")

    run(tmp_path, check)


def test_a_rolling_update_replaces_and_stops_where_the_new_template_fails(tmp_path: Path) -> None:
    """As many nodes as may be unavailable are tried, and the others go on with the old pods."""

    async def check(world: World) -> None:
        for name in ("n1", "n2", "n3"):
            await _node(world, name)
        await world.good("POST", SETS, _set())
        async with _kubelets(world, "broken"):
            await _status_comes(world, numberAvailable=3)
            changed = await world.good("PATCH", f"{SETS}/each", _image("busybox:1.37"), content=MERGE)
            assert changed["metadata"]["generation"] == 2
            await _status_comes(world, updatedNumberScheduled=3, numberAvailable=3, observedGeneration=2)
            assert {each["spec"]["containers"][0]["image"] for each in await _pods(world)} == {"busybox:1.37"}
            await world.good("PATCH", f"{SETS}/each", _image("broken"), content=MERGE)
            await _status_comes(world, updatedNumberScheduled=1, numberAvailable=2, numberUnavailable=1)
            await world.good("PATCH", f"{SETS}/each", _image("busybox:1.38"), content=MERGE)
            await _status_comes(world, updatedNumberScheduled=3, numberAvailable=3, observedGeneration=4)

    run(tmp_path, check)


def test_on_delete_waits_until_somebody_deletes(tmp_path: Path) -> None:
    """Only the pod that was deleted comes back from the new template."""

    async def check(world: World) -> None:
        await _node(world, "n1")
        await _node(world, "n2")
        await world.good("POST", SETS, _set(updateStrategy={"type": "OnDelete"}))
        async with _kubelets(world):
            await _status_comes(world, numberAvailable=2)
            await world.good("PATCH", f"{SETS}/each", _image("busybox:1.37"), content=MERGE)
            await _status_comes(world, observedGeneration=2, updatedNumberScheduled=0)
            name = (await _pods(world))[0]["metadata"]["name"]
            await world.good("DELETE", f"{PODS}/{name}")
            await _status_comes(world, updatedNumberScheduled=1, numberAvailable=2)

    run(tmp_path, check)


def test_a_server_that_starts_again_makes_no_second_pods_and_deleting_takes_them_along(
    tmp_path: Path,
) -> None:
    """What there is is found in the store; the pods belong to the set."""

    async def first(world: World) -> None:
        await _node(world, "n1")
        await world.good("POST", SETS, _set())
        await _on_come(world, "n1")

    async def second(world: World) -> None:
        await _node(world, "n2")
        await _on_come(world, "n1", "n2")
        await world.good("DELETE", f"{SETS}/each")
        async with _kubelets(world):
            await _on_come(world)

    run(tmp_path, first)
    run(tmp_path, second)


@pytest.mark.parametrize(
    ("taint", "runs"),
    [
        ({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}, True),
        ({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, True),
        ({"key": "mine", "value": "a", "effect": "NoSchedule"}, True),
        ({"key": "mine", "value": "b", "effect": "NoSchedule"}, False),
        ({"key": "mine", "value": "b", "effect": "PreferNoSchedule"}, True),
        ({"key": "node.kubernetes.io/network-unavailable", "effect": "NoSchedule"}, False),
    ],
)
def test_taints_keep_a_daemon_away_unless_it_bears_them(taint: dict[str, str], *, runs: bool) -> None:
    """Those of a node in trouble every daemon bears; others its template has to name."""
    spec = {"tolerations": [{"key": "mine", "value": "a", "effect": "NoSchedule"}]}
    assert should_run(spec, {"metadata": {}, "spec": {"taints": [taint]}}) is runs


def test_labels_choose_nodes_and_host_networks_need_no_network() -> None:
    """A node selector has to hold whole."""
    spec = {"nodeSelector": {"disk": "ssd"}}
    assert should_run(spec, {"metadata": {"labels": {"disk": "ssd", "x": "y"}}})
    assert not should_run(spec, {"metadata": {"labels": {"disk": "hdd"}}})
    keys = [each["key"] for each in tolerations_of({"hostNetwork": True})]
    assert "node.kubernetes.io/network-unavailable" in keys


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"selector": {"matchLabels": {"app": "other"}}}, "spec.template.metadata.labels"),
        ({"selector": None}, "spec.selector"),
        ({"updateStrategy": {"type": "Sudden"}}, "spec.updateStrategy.type"),
        ({"updateStrategy": {"rollingUpdate": {"maxSurge": 1}}}, "rollingUpdate.maxSurge"),
        ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": "0%"}}}, "rollingUpdate.maxUnavailable"),
        ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": "x"}}}, "rollingUpdate.maxUnavailable"),
        ({"template": {"spec": {"containers": []}}}, "spec.template.spec.containers"),
    ],
)
def test_a_set_that_could_not_work_is_invalid(tmp_path: Path, spec: dict[str, Any], field: str) -> None:
    """What this server's controller cannot do is refused, too."""

    async def check(world: World) -> None:
        code, reason, message = await world.refused("POST", SETS, _set(**spec))
        assert (code, reason) == (422, "Invalid")
        assert f"{field}: " in message

    run(tmp_path, check)


@pytest.mark.kubectl
def test_kubectl_shows_restarts_and_follows_a_set(tmp_path: Path) -> None:
    """`get ds`, `rollout restart` and `rollout status`, `describe`."""

    async def check(world: World) -> None:
        kubectl = Kubectl(world, tmp_path)
        await _node(world, "n1")
        async with _kubelets(world):
            await world.good("POST", SETS, _set())
            assert "successfully rolled out" in await kubectl.says("rollout", "status", "ds/each")
            header, row = await kubectl.rows("get", "ds")
            assert header[:6] == ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE"]
            assert row[:7] == ["each", "1", "1", "1", "1", "1", "<none>"]
            before = await _pods(world)
            await kubectl.says("rollout", "restart", "ds/each")
            assert "successfully rolled out" in await kubectl.says("rollout", "status", "ds/each")
            assert (await _pods(world))[0]["metadata"]["uid"] != before[0]["metadata"]["uid"]
            assert "Desired Number of Nodes Scheduled: 1" in await kubectl.says("describe", "ds", "each")
            await kubectl.says("delete", "ds", "each", "--cascade=foreground")
            assert await _pods(world) == []

    run(tmp_path / "state", check)
