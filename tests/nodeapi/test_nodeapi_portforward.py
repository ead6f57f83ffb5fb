"""Ports of pods through SPDY and through SPDY in a WebSocket."""

from __future__ import annotations

from pathlib import Path

from minikubelet.nodeapi.spdysession import SpdySession
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
