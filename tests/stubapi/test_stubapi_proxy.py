"""Logs and streams passed on to a node: which node, which container, and what comes back."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from minikubelet.stubapi.stubcerts import ensure_identity
from minikubelet.stubapi.stubnodelinks import NodeLink
from minikubelet.stubapi.stubproxy import choose_container
from minikubelet.stubapi.stubserver import utc_now
from minikubelet.stubapi.stubstatus import ApiError
from tests.running import eventually
from tests.stubapi.stubapi_world import PODS, World, pod, run

TOKEN = "the-node-s-token"


@asynccontextmanager
async def node(world: World, directory: Path) -> AsyncIterator[list[str]]:
    """A node's API that notes what it is asked, for `node1`."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(f"{request.method} {request.raw_path}")
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401)
        if "broken" in request.query_string:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"half of ")
            assert request.transport is not None
            request.transport.abort()
            return response
        if "refuse" in request.query_string:
            return web.json_response({"kind": "Status", "message": "no"}, status=400)
        if request.headers.get("Upgrade") != "websocket":
            return web.Response(text="some log\n")
        socket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(message.data * 2)
        asked.append("left")
        return socket

    identity = ensure_identity(directory, "127.0.0.1", utc_now())
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=identity.server_context()).start()
    port = int(runner.addresses[0][1])

    def context() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(identity.ca_file))

    world.server.nodes.add("node1", NodeLink("127.0.0.1", port, TOKEN, context))
    try:
        yield asked
    finally:
        await runner.cleanup()


def test_a_log_is_asked_of_the_pod_s_node(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod(nodeName="node1"))
        async with node(world, tmp_path / "node") as asked:
            url = f"{world.server.url}{PODS}/web/log"
            query = {
                "follow": "true",
                "tailLines": "3",
                "container": "main",
                "unheard": "of",
                "pretty": "true",
            }
            async with world.session.get(url, params=query) as got:
                assert (got.status, await got.text()) == (200, "some log\n")
            assert asked == ["GET /containerLogs/default/web/main?follow=true&tailLines=3"]
            async with world.session.get(url, params={"sinceTime": "refuse"}) as got:
                assert (got.status, await got.json()) == (400, {"kind": "Status", "message": "no"})
            assert (await world.refused("GET", f"{PODS}/web/log", container="../x"))[0] == 400
            assert (await world.refused("DELETE", f"{PODS}/web/log"))[0] == 405

    run(tmp_path / "stub", check)


def test_half_of_a_log_does_not_look_like_the_whole(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod(nodeName="node1"))
        async with node(world, tmp_path / "node"):
            with pytest.raises(aiohttp.ClientError):
                async with world.session.get(
                    f"{world.server.url}{PODS}/web/log", params={"sinceTime": "broken"}
                ) as got:
                    await got.read()

    run(tmp_path / "stub", check)


def test_an_upgrade_is_passed_through_both_ways(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod(nodeName="node1"))
        async with node(world, tmp_path / "node") as asked:
            url = (
                f"{world.server.url}{PODS}/web/exec?command=a%20b&command=%2Fc&stdin=true&stdout=1&tty=false"
            )
            async with world.session.ws_connect(url, protocols=["v4.channel.k8s.io"]) as socket:
                assert socket.protocol == "v4.channel.k8s.io"
                for size in (1, 70_000, 300_000):
                    await socket.send_bytes(b"x" * size)
                    assert await socket.receive_bytes() == b"x" * 2 * size
            await eventually(lambda: "left" in asked, "the node to see the client go")
            assert asked[0] == "GET /exec/default/web/main?input=1&output=1&command=a+b&command=%2Fc"
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await world.session.ws_connect(f"{world.server.url}{PODS}/web/exec?command=refuse")
            assert refused.value.status == 400

    run(tmp_path / "stub", check)


def test_a_node_out_of_reach_is_said(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod(nodeName="node1"))
        await world.good("POST", PODS, pod("nowhere"))
        async with node(world, tmp_path / "node"):
            pass
        for path in ("log", "exec?command=a&stdout=1", "portforward"):
            code, reason, message = await world.refused("GET", f"{PODS}/web/{path}")
            assert (code, reason) == (503, "ServiceUnavailable")
            assert "the node's API at 127.0.0.1:" in message
        world.server.nodes.remove("node1")
        assert (await world.refused("GET", f"{PODS}/web/log"))[:2] == (501, "NotImplemented")
        assert "no node yet" in (await world.refused("GET", f"{PODS}/nowhere/log"))[2]
        assert (await world.refused("GET", f"{PODS}/absent/exec"))[0] == 404

    run(tmp_path / "stub", check)


def containers(*names: str, first: tuple[str, ...] = (), default: str = "") -> dict[str, Any]:
    return {
        "metadata": {
            "name": "web",
            "annotations": {"kubectl.kubernetes.io/default-container": default} if default else None,
        },
        "spec": {
            "containers": [{"name": name} for name in names],
            "initContainers": [{"name": name} for name in first],
        },
    }


def test_the_container_that_is_meant() -> None:
    assert choose_container(containers("a"), "") == "a"
    assert choose_container(containers("a", first=("i",)), "i") == "i"
    assert choose_container(containers("a", "b", default="b"), "") == "b"
    for which, wanted, message in (
        (
            containers("a", "b", first=("i",)),
            "",
            r"choose one of: \[a b\] or one of the init containers: \[i\]",
        ),
        (containers("a", "b", default="c"), "", "a container name must be specified"),
        (containers("a"), "b", "container b is not valid for pod web"),
    ):
        with pytest.raises(ApiError, match=message):
            choose_container(which, wanted)


def test_a_link_shows_no_token() -> None:
    assert TOKEN not in repr(NodeLink("h", 1, TOKEN, ssl.create_default_context))
