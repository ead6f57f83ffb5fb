"""Streams on which nothing moves are ended after `streamingConnectionIdleTimeout`, others are not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from minikubelet.model.settings import KubeletSettings
from minikubelet.nodeapi.idling import Idle
from minikubelet.ports.streamport import OutputStream
from minikubelet.wire.settingsfile import read_settings
from tests.nodeapi.served_world import FakeProcess, served
from tests.nodeapi.spdy_peer import spdy_peer
from tests.running import run

SHORT = KubeletSettings(streaming_connection_idle_timeout=1.5)


def test_use_puts_the_end_off() -> None:
    async def main() -> None:
        idle = Idle(3600)
        waiting = asyncio.create_task(idle.too_long())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        idle._used -= 3601
        await idle.too_long()
        idle.used()
        again = asyncio.create_task(idle.too_long())
        await asyncio.sleep(0)
        assert not again.done()
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)

    run(main())


def silent() -> FakeProcess:
    process = FakeProcess([(OutputStream.STDOUT, b"a")])
    process.waits_for_input = True
    return process


@pytest.mark.parametrize("reach", ["exec", "attach"])
def test_a_silent_command_over_a_websocket_is_left(state_dir: Path, reach: str) -> None:
    """What it ran in the container ends with it, as when the client goes."""

    async def main() -> None:
        process = silent()
        async with served(state_dir, process, kubelet=SHORT) as node, node.session() as session:
            url = f"{node.url}/{reach}/default/web/main?command=x&output=1&input=1"
            async with session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
                while (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                    pass
            await process.left.wait()

    run(main())


def test_a_silent_command_over_spdy_is_left(state_dir: Path) -> None:
    async def main() -> None:
        process = silent()
        path = "/exec/default/web/main?command=x&output=1&input=1"
        async with (
            served(state_dir, process, kubelet=SHORT) as node,
            spdy_peer(node, path, "v4.channel.k8s.io") as peer,
        ):
            for kind in ("error", "stdin", "stdout"):
                await peer.open(streamtype=kind)
            await peer.until_closed()
            await process.left.wait()

    run(main())


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"])
def test_a_silent_forwarding_is_left(state_dir: Path, protocol: str) -> None:
    async def main() -> None:
        async with served(state_dir, kubelet=SHORT) as node, node.session() as session:
            url = f"{node.url}/portForward/default/web?port=80"
            async with session.ws_connect(url, protocols=[protocol]) as socket:
                while (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                    pass

    run(main())


@pytest.mark.parametrize(("written", "seconds"), [("1h", 3600.0), ("0s", 14400.0), ("", 14400.0)])
def test_the_time_is_upstreams_by_default(written: str, seconds: float) -> None:
    text = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
    text += f"streamingConnectionIdleTimeout: {written}\n" if written else ""
    assert read_settings(text.encode()).settings.kubelet.streaming_connection_idle_timeout == seconds
