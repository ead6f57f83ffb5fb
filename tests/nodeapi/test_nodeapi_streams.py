"""The channel protocols of exec, attach and port-forward: WebSocket and SPDY, odd clients and slow ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from minikubelet.nodeapi import remotecommand
from minikubelet.nodeapi.remotecommand import SizeReader
from minikubelet.nodeapi.spdyconnection import SpdyConnection
from minikubelet.nodeapi.spdysession import SpdySession
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.ports.streamport import OutputStream, StreamOptions, TerminalSize
from tests.nodeapi.served_world import FakeProcess, Served, served
from tests.nodeapi.spdy_peer import SpdyPeer, spdy_peer
from tests.running import eventually, run

OUT, ERR = OutputStream.STDOUT, OutputStream.STDERR
EXEC = "/exec/default/web/main?command=do&command=it"
MEGABYTE = 1 << 20


class Channels:
    """The client's end of a WebSocket: what came on each channel."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.got: dict[int, bytes] = {}

    async def take(self) -> bool:
        message = await self.socket.receive()
        if message.type is not aiohttp.WSMsgType.BINARY:
            return False
        self.got[message.data[0]] = self.got.get(message.data[0], b"") + message.data[1:]
        return True

    async def status(self) -> dict[str, Any]:
        """Everything to the end; the status on the error channel."""
        while await self.take():
            pass
        return dict(msgspec.json.decode(self.got[3]))


def connect(
    node: Served, session: aiohttp.ClientSession, query: str, protocol: str = "v5.channel.k8s.io"
) -> Any:
    return session.ws_connect(f"{node.url}{EXEC}{query}", protocols=[protocol], max_msg_size=0)


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
def test_a_websocket_has_channels(state_dir: Path, protocol: str) -> None:
    async def main() -> None:
        process = FakeProcess([(OUT, b"a"), (ERR, b"b"), (OUT, b"c")], code=3)
        async with (
            served(state_dir, process) as node,
            node.session() as session,
            connect(node, session, "&output=1&error=1", protocol) as socket,
        ):
            assert socket.protocol == protocol
            channels = Channels(socket)
            status = await channels.status()
            assert (channels.got[1], channels.got[2]) == (b"ac", b"b")
            assert status["reason"] == "NonZeroExitCode"
            assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
            asked = (node.container, ("do", "it"), StreamOptions(stdout=True, stderr=True))
            assert node.streams.calls == [asked]

    run(main())


def test_input_is_given_and_closed_and_sizes_are_told(state_dir: Path) -> None:
    async def main() -> None:
        process = FakeProcess([(OUT, b"prompt")])
        process.waits_for_input = True
        async with (
            served(state_dir, process) as node,
            node.session() as session,
            connect(node, session, "&stdin=true&stdout=true&tty=true") as socket,
        ):
            await socket.send_bytes(b'\x04{"Width":80,"Height":24}')
            await socket.send_bytes(b"\x04garbage")
            await socket.send_bytes(b"\x63of a channel that there is none")
            await socket.send_bytes(b"")
            await socket.send_bytes(b"\x00one ")
            await socket.send_bytes(b"\x00two")
            await eventually(lambda: process.sizes, "the size")
            await socket.send_bytes(b"\xff\x00")
            assert (await Channels(socket).status())["status"] == "Success"
        assert process.taken == b"one two"
        assert process.sizes == [TerminalSize(80, 24)]

    run(main())


def test_a_client_that_leaves_ends_its_command(state_dir: Path) -> None:
    async def main() -> None:
        process = FakeProcess([(OUT, b"x")])
        process.waits_for_input = True
        async with served(state_dir, process) as node:
            async with node.session() as session, connect(node, session, "&input=1&output=1") as socket:
                await Channels(socket).take()
            await eventually(process.left.is_set, "the end of the command")
            process.left.clear()
            process.chunks.append((OUT, b"x"))
            async with spdy_peer(node, f"{EXEC}&input=1&output=1", "v4.channel.k8s.io") as peer:
                for kind in ("error", "stdin", "stdout"):
                    last = await peer.open(streamType=kind)
                while last not in peer.data:
                    assert await peer.take()
            await eventually(process.left.is_set, "the end of the command")

    run(main())


def test_a_fault_is_told_as_a_status(state_dir: Path) -> None:
    async def main() -> None:
        fault = RuntimeFault("ExecFailed", "no such thing")
        async with (
            served(state_dir, fault) as node,
            node.session() as session,
            connect(node, session, "&output=1") as socket,
        ):
            status = await Channels(socket).status()
            assert (status["reason"], status["message"]) == (
                "InternalError",
                "Internal error occurred: no such thing",
            )

    run(main())


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (f"{EXEC}", "at least 1 of stdin, stdout, stderr"),
        ("/exec/default/web/main?output=1", "at least 1 command"),
        (f"{EXEC}&output=1", "has to upgrade"),
        ("/exec/default/web/other?command=a&output=1", 'container \\"other\\" is not in pod'),
        ("/exec/default/none/main?command=a&output=1", "is not on this node"),
        ("/attach/default/web/wrong-uid/main?output=1", "is not on this node"),
        ("/portForward/default/none", "is not on this node"),
        ("/run/default/web/main?cmd=", "names no command"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_upgrade(state_dir: Path, path: str, message: str) -> None:
    async def main() -> None:
        async with served(state_dir) as node:
            code, body = await node.ask("POST", path)
            assert code in {400, 404}
            assert message in body
            assert node.streams.calls == []

    run(main())


def test_unknown_protocols_are_refused(state_dir: Path) -> None:
    async def main() -> None:
        async with served(state_dir) as node, node.session() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await connect(node, session, "&output=1", "v1.unheard.of")
            assert refused.value.status == 400
            for protocol, upgrade in (("v9.channel.k8s.io", "SPDY/3.1"), ("v4.channel.k8s.io", "h2c")):
                async with spdy_peer(node, f"{EXEC}&output=1", protocol, upgrade=upgrade) as peer:
                    assert peer.status == 400

    run(main())


async def _commanding(peer: SpdyPeer, *kinds: str) -> dict[str, int]:
    assert peer.status == 101
    assert "X-Stream-Protocol-Version: v4.channel.k8s.io" in peer.headers
    return {kind: await peer.open(streamType=kind) for kind in ("error", *kinds)}


def test_spdy_has_a_stream_for_each_channel(state_dir: Path) -> None:
    async def main() -> None:
        process = FakeProcess([(OUT, b"a"), (ERR, b"b")], code=4)
        process.waits_for_input = True
        async with (
            served(state_dir, process) as node,
            spdy_peer(node, f"{EXEC}&input=1&output=1&error=1", "v9.x", "v4.channel.k8s.io") as peer,
        ):
            extra = await peer.open(streamType="resize")
            streams = await _commanding(peer, "stdin", "stdout", "stderr")
            await peer.send(streams["stdin"], b"hello", fin=True)
            await peer.until_ended(*streams.values())
            assert peer.reset == {extra}
            assert (peer.data[streams["stdout"]], peer.data[streams["stderr"]]) == (b"a", b"b")
            status = msgspec.json.decode(peer.data[streams["error"]])
            assert status["details"]["causes"][0]["message"] == "4"
            assert process.taken == b"hello"

    run(main())


def test_spdy_carries_the_terminal_s_sizes(state_dir: Path) -> None:
    async def main() -> None:
        process = FakeProcess()
        process.waits_for_input = True
        async with (
            served(state_dir, process) as node,
            spdy_peer(node, f"{EXEC}&input=1&output=1&tty=1", "v4.channel.k8s.io") as peer,
        ):
            streams = await _commanding(peer, "stdin", "stdout", "resize")
            await peer.send(streams["resize"], b'{"Width":80,"Height":24}\n{"Wid')
            await eventually(lambda: process.sizes, "the first size")
            await peer.send(streams["resize"], b'th":81,"Height":25}\n')
            await eventually(lambda: len(process.sizes) > 1, "the second size")
            await peer.send(streams["stdin"], b"", fin=True)
            await peer.until_ended(streams["error"])
        assert process.sizes == [TerminalSize(80, 24), TerminalSize(81, 25)]

    run(main())


def test_sizes_are_read_from_any_pieces() -> None:
    reader = SizeReader()
    assert reader.feed(b'{"Width":1,') is None
    assert reader.feed(b'"Height":2}{"Width":3,"Height":4}{"Wi') == TerminalSize(3, 4)
    assert reader.feed(b'dth":0,"Height":4}') is None
    assert reader.feed(b"x" * 5000) is None
    assert reader.feed(b'}{"Width":5,"Height":6}') == TerminalSize(5, 6)


def test_garbage_after_the_upgrade_ends_the_connection(state_dir: Path) -> None:
    async def main() -> None:
        async with served(state_dir) as node:
            async with spdy_peer(node, f"{EXEC}&output=1", "v4.channel.k8s.io") as peer:
                peer._writer.write(b"\x80\x09\x00\x01" + b"GARBAGE" * 100)
                await peer.until_closed()
            assert (await node.ask("GET", "/healthz")) == (200, "ok")

    run(main())


LARGE = [(OUT, b"\0" * 65536)] * (64 * MEGABYTE // 65536)
BOUND = 24 * MEGABYTE
"""Beyond the kernel's buffers of both ends, which grow to some megabytes."""


def test_a_giant_stream_waits_for_a_slow_websocket(state_dir: Path) -> None:
    """Nothing is read from the command that the client does not take."""

    async def main() -> None:
        process = FakeProcess(LARGE)
        async with (
            served(state_dir, process) as node,
            node.session() as session,
            connect(node, session, "&output=1") as socket,
        ):
            channels = Channels(socket)
            taken = 0
            while await channels.take():
                taken += len(channels.got.pop(1, b""))
                assert process.produced - taken < BOUND
            assert taken == 64 * MEGABYTE

    run(main())


def test_a_giant_stream_waits_for_a_slow_spdy_client(state_dir: Path) -> None:
    async def main() -> None:
        process = FakeProcess(LARGE)
        async with (
            served(state_dir, process) as node,
            spdy_peer(node, f"{EXEC}&output=1", "v4.channel.k8s.io") as peer,
        ):
            streams = await _commanding(peer, "stdout")
            taken = 0
            while streams["error"] not in peer.ended:
                assert await peer.take()
                taken += len(peer.data.pop(streams["stdout"], b""))
                assert process.produced - taken < BOUND
            assert taken == 64 * MEGABYTE

    run(main())


@pytest.mark.parametrize("kind", ["spdy", "websocket"])
def test_input_that_is_taken_slowly_holds_the_client_back(state_dir: Path, kind: str) -> None:
    async def main() -> None:
        process = FakeProcess()
        process.waits_for_input, process.turns_per_write = True, 30
        piece, total = b"x" * 65536, 64 * MEGABYTE

        async def flood(send: Callable[[bytes], Awaitable[None]]) -> None:
            for number in range(total // len(piece)):
                await send(piece)
                assert (number + 1) * len(piece) - process.taken_bytes < BOUND

        async with served(state_dir, process) as node, node.session() as session:
            if kind == "websocket":
                async with connect(node, session, "&input=1&output=1") as socket:
                    await flood(lambda data: socket.send_bytes(b"\0" + data))
                    await socket.send_bytes(b"\xff\0")
                    await Channels(socket).status()
            else:
                async with spdy_peer(node, f"{EXEC}&input=1&output=1", "v4.channel.k8s.io") as peer:
                    streams = await _commanding(peer, "stdin", "stdout")
                    await flood(lambda data: peer.send(streams["stdin"], data))
                    await peer.send(streams["stdin"], b"", fin=True)
                    await peer.until_ended(streams["error"])
            assert process.taken_bytes == total

    run(main())


@pytest.mark.parametrize("kind", ["spdy", "websocket"])
def test_a_client_that_goes_while_it_is_held_back_is_found_out(
    state_dir: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads its connection, so that only signs of life tell that it is gone."""
    monkeypatch.setattr(remotecommand, "BEAT_SECONDS", 0.1)

    async def main() -> None:
        process = FakeProcess()
        process.waits_for_input, process.takes_input = True, False

        async def flood(send: Callable[[bytes], Awaitable[None]]) -> None:
            while True:
                await send(b"x" * 65536)

        async with served(state_dir, process) as node, node.session() as session:
            if kind == "websocket":
                socket = await connect(node, session, "&input=1&output=1")
                flooding = asyncio.create_task(flood(lambda data: socket.send_bytes(b"\0" + data)))
                await eventually(process.stuck.is_set, "the command to get stuck")
                socket._response.connection.transport.abort()
                await asyncio.gather(flooding, return_exceptions=True)
                socket._response.close()
            else:
                async with spdy_peer(node, f"{EXEC}&input=1&output=1", "v4.channel.k8s.io") as peer:
                    streams = await _commanding(peer, "stdin", "stdout")
                    flooding = asyncio.create_task(flood(lambda data: peer.send(streams["stdin"], data)))
                    await eventually(process.stuck.is_set, "the command to get stuck")
                    peer._writer.transport.abort()
                    await asyncio.gather(flooding, return_exceptions=True)
            await eventually(process.left.is_set, "the end of the command")

    run(main())


def test_a_stream_with_a_slow_reader_holds_the_connection_back() -> None:
    """And goes on when it reads."""

    class Link:
        def __init__(self, data: bytes) -> None:
            self.left = data

        async def read(self) -> bytes:
            piece, self.left = self.left[:10_000], self.left[10_000:]
            return piece

        async def write(self, data: bytes) -> None:
            return

    async def main() -> None:
        client = SpdySession(client=True)
        number = client.open_stream({})
        client.send(number, b"x" * MEGABYTE, fin=True)
        link = Link(client.data_to_send())
        connection = SpdyConnection(link)
        running = asyncio.create_task(connection.run())
        stream = await connection.accept()
        assert stream is not None
        for _ in range(1000):
            await asyncio.sleep(0)
        assert len(link.left) > MEGABYTE // 2
        got = 0
        while data := await stream.read():
            got += len(data)
        assert got == MEGABYTE
        await running
        assert await connection.accept() is None

    run(main())
