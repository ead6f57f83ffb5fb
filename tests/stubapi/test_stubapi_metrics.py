"""What `kubectl top` reads: metrics of nodes and pods, from what the nodes say."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from minikubelet.stubapi.stubcerts import Identity, ensure_identity
from minikubelet.stubapi.stubnodelinks import NodeLink
from tests.stubapi.stubapi_world import PODS, World, pod, run

METRICS = "/apis/metrics.k8s.io/v1beta1"
AT = "2026-01-02T03:04:05.678901Z"


def usage(cpu: int | None, memory: int) -> dict[str, Any]:
    rate = {} if cpu is None else {"usageNanoCores": cpu}
    return {"cpu": {"time": AT, "usageCoreNanoSeconds": 9, **rate}, "memory": {"workingSetBytes": memory}}


def summary(pods: dict[str, int | None], node: int | None = 250_000_000) -> dict[str, Any]:
    shown = [
        {
            "podRef": {"name": name, "namespace": "default", "uid": "of-the-node"},
            "containers": [{"name": "main", **usage(cpu, 3 << 20)}],
            **usage(cpu, 3 << 20),
        }
        for name, cpu in pods.items()
    ]
    return {"node": {"nodeName": "n1", **usage(node, 5 << 30)}, "pods": shown}


@asynccontextmanager
async def a_node(world: World, folder: Path, answers: list[Any]) -> AsyncIterator[None]:
    """A node that answers one after the other, and then the last one again."""

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer t"
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return found if isinstance(found, web.Response) else web.json_response(found)

    identity: Identity = ensure_identity(folder, "127.0.0.1", datetime.now(UTC))
    app = web.Application()
    app.router.add_get("/stats/summary", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=identity.server_context()).start()
        port = runner.addresses[0][1]

        def trust() -> ssl.SSLContext:
            return ssl.create_default_context(cafile=str(identity.ca_file))

        world.server.nodes.add("n1", NodeLink("127.0.0.1", port, "t", trust))
        await world.good("POST", "/api/v1/nodes", {"metadata": {"name": "n1", "labels": {"zone": "a"}}})
        await world.good("POST", "/api/v1/nodes", {"metadata": {"name": "silent"}})
        yield
    finally:
        await runner.cleanup()


def test_usage_of_nodes_and_pods_is_told_in_upstreams_form(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        async with a_node(world, tmp_path / "n", [summary({"web": 1_500_000, "new": None})]):
            await world.good(
                "POST", PODS, {**pod(nodeName="n1"), "metadata": {"name": "web", "labels": {"app": "w"}}}
            )
            await world.good("POST", PODS, pod("new", nodeName="n1"))
            await world.good("POST", PODS, pod("pending"))
            nodes = await world.good("GET", f"{METRICS}/nodes")
            assert (nodes["kind"], len(nodes["items"])) == ("NodeMetricsList", 1)
            node = nodes["items"][0]
            assert node["metadata"]["labels"] == {"zone": "a"}
            assert node["usage"] == {"cpu": "250000000n", "memory": "5242880Ki"}
            assert (node["timestamp"], node["window"]) == ("2026-01-02T03:04:05Z", "10s")
            pods = (await world.good("GET", f"{METRICS}/namespaces/default/pods"))["items"]
            assert [each["metadata"]["name"] for each in pods] == ["web"]
            assert pods[0]["containers"] == [
                {"name": "main", "usage": {"cpu": "1500000n", "memory": "3072Ki"}}
            ]
            one = await world.good("GET", f"{METRICS}/namespaces/default/pods/web")
            assert one["containers"] == pods[0]["containers"]
            for selector, count in (("app=w", 1), ("app=x", 0)):
                found = await world.good("GET", f"{METRICS}/pods", labelSelector=selector)
                assert len(found["items"]) == count
            for path in ("namespaces/default/pods/new", "namespaces/default/pods/absent", "nodes/silent"):
                assert (await world.refused("GET", f"{METRICS}/{path}"))[0] == 404
            assert (await world.refused("DELETE", f"{METRICS}/nodes/n1"))[0] == 405

    run(tmp_path / "s", check)


def test_a_node_that_has_just_begun_to_look_is_asked_again(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        async with a_node(world, tmp_path / "n", [summary({}, None), summary({}, 7)]):
            node = await world.good("GET", f"{METRICS}/nodes/n1")
            assert node["usage"]["cpu"] == "7n"

    run(tmp_path / "s", check)


def test_a_node_that_fails_hides_no_other(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        for wrong in (web.Response(status=500), web.Response(text="no JSON")):
            async with a_node(world, tmp_path / "n", [wrong]):
                assert (await world.good("GET", f"{METRICS}/nodes"))["items"] == []
            await world.good("DELETE", "/api/v1/nodes/n1")
            await world.good("DELETE", "/api/v1/nodes/silent")

    run(tmp_path / "s", check)
