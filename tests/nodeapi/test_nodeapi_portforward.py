"""Ports of pods through SPDY and through SPDY in a WebSocket."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from minikubelet.nodeapi.spdysession import SpdySession
from minikubelet.nodeapi.wsforward import read_ports
from tests.nodeapi.served_world import served
from tests.nodeapi.spdy_peer import SpdyPeer, spdy_peer
from tests.running import run


async def _forward(peer: SpdyPeer, port: int, request: int) -> tuple[int, int]:
    """Error and data stream of one connection, as kubectl opens them."""
    headers = {"port": str(port), "requestID": str(request)}
    error = await peer.open(streamType="error", **headers)
    await peer.send(error, b"", fin=True)
    return error, await peer.open(streamType="data", **headers)


def test_ports_are_forwarded_each_in_a_pair_of_streams(state_dir: Path) -> None:
    async def main() -> None:
        async with (
            served(state_dir) as node,
            spdy_peer(node, "/portForward/default/web", "portforward.k8s.io") as peer,
        ):
            pairs = [await _forward(peer, 80, number) for number in range(20)]
            for number, (_, data) in enumerate(pairs):
                await peer.send(data, b"hello %d " % number * 5000, fin=True)
            await peer.until_ended(*(stream for pair in pairs for stream in pair))
            for number, (error, data) in enumerate(pairs):
                assert peer.data[data] == b"hello %d " % number * 5000
                assert peer.data.get(error, b"") == b""
            error, data = await _forward(peer, 5000, 99)
            await peer.until_ended(error, data)
            assert peer.data[error] == b"port 5000 has no listener"

    run(main())


def test_odd_forwarding_streams_are_reset(state_dir: Path) -> None:
    async def main() -> None:
        async with (
            served(state_dir) as node,
            spdy_peer(node, "/portForward/default/web", "portforward.k8s.io") as peer,
        ):
            odd = [
                await peer.open(streamType="data", port="0", requestID="1"),
                await peer.open(streamType="data", port="99999", requestID="1"),
                await peer.open(streamType="data", port="-1", requestID="1"),
                await peer.open(streamType="data", port="80"),
                await peer.open(streamType="stdin", port="80", requestID="1"),
            ]
            await peer.open(streamType="data", port="80", requestID="2")
            odd.append(await peer.open(streamType="data", port="80", requestID="2"))
            await peer.until_ended(*odd)
            assert peer.reset == set(odd)

    run(main())


def test_a_port_is_forwarded_through_a_websocket_tunnel(state_dir: Path) -> None:
    async def main() -> None:
        async with (
            served(state_dir) as node,
            node.session() as session,
            session.ws_connect(
                f"{node.url}/portForward/default/web", protocols=["SPDY/3.1+portforward.k8s.io"]
            ) as socket,
        ):
            client = SpdySession(client=True)
            for kind in ("error", "data"):
                last = client.open_stream({"streamtype": kind, "port": "80", "requestid": "0"})
            client.send(last, b"hello", fin=True)
            sent = client.data_to_send()
            for start in range(0, len(sent), 7):
                await socket.send_bytes(sent[start : start + 7])
            got = b""
            while got != b"hello":
                for event in client.receive(await socket.receive_bytes()):
                    got += getattr(event, "data", b"")

    run(main())


def test_ports_are_forwarded_over_channels(state_dir: Path) -> None:
    """As client libraries do: two channels per port, each of which begins with the port."""

    async def main() -> None:
        async with (
            served(state_dir) as node,
            node.session() as session,
            session.ws_connect(
                f"{node.url}/portForward/default/web?port=80,81&port=5000", protocols=["v4.channel.k8s.io"]
            ) as socket,
        ):
            got: dict[int, bytes] = {}
            await socket.send_bytes(b"\x00first")
            await socket.send_bytes(b"\x02second")
            await socket.send_bytes(b"\x63nowhere")
            await socket.send_bytes(b"\x04to nobody")
            await socket.send_bytes(b"")
            while got.get(0) != b"P\0first" or got.get(2) != b"Q\0second" or len(got.get(5, b"")) < 4:
                data = await socket.receive_bytes()
                got[data[0]] = got.get(data[0], b"") + data[1:]
            assert (got[1], got[3]) == (b"P\0", b"Q\0")
            assert got[5] == b"\x88\x13port 5000 has no listener"

    run(main())


def test_a_port_that_closes_ends_its_forwarding(state_dir: Path) -> None:
    async def main() -> None:
        async with (
            served(state_dir) as node,
            node.session() as session,
            session.ws_connect(
                f"{node.url}/portForward/default/web?port=5000", protocols=["v4.channel.k8s.io"]
            ) as socket,
        ):
            while (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                pass
            assert socket.closed

    run(main())


@pytest.mark.parametrize("ports", ["", "0", "65536", "80,", "x", "-1", ",".join(["80"] * 101)])
def test_odd_ports_are_refused(ports: str) -> None:
    with pytest.raises(ValueError, match="port"):
        read_ports([ports])


def test_channels_without_ports_are_refused(state_dir: Path) -> None:
    async def main() -> None:
        async with served(state_dir) as node, node.session() as session:
            for query in ("", "?port=x"):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await session.ws_connect(
                        f"{node.url}/portForward/default/web{query}", protocols=["v4.channel.k8s.io"]
                    )
                assert refused.value.status == 400

    run(main())
