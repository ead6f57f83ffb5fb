"""Exec and attach over SPDY: one stream each for input, outputs, the error and the terminal's size.

Belongs here: which streams a client opens, and the protocol's name. May not be here: SPDY itself, or the
joining (`remotecommand`). Follows pkg/kubelet/cri/streaming/remotecommand/httpstream.go.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from minikubelet.nodeapi.bytelink import ByteLink
from minikubelet.nodeapi.idling import Idle
from minikubelet.nodeapi.remotecommand import (
    Call,
    CommandChannels,
    SizeReader,
    serve_command,
    while_connected,
)
from minikubelet.nodeapi.spdyconnection import SpdyConnection, SpdyStream
from minikubelet.ports.apiport import JsonObject
from minikubelet.ports.streamport import OutputStream, StreamOptions, TerminalSize

PROTOCOLS: Final = ("v4.channel.k8s.io",)
STREAM_TYPE: Final = "streamtype"
_STREAMS_SECONDS: Final = 30.0


class SpdyChannels:
    """A client's streams by type; which are there depends on what it asked for."""

    def __init__(self, streams: dict[str, SpdyStream]) -> None:
        self._streams = streams
        self._sizes = SizeReader()

    async def read_stdin(self) -> bytes:
        """The next input."""
        stream = self._streams.get("stdin")
        return b"" if stream is None else await stream.read()

    async def read_size(self) -> TerminalSize | None:
        """The next size of the terminal."""
        stream = self._streams.get("resize")
        while stream is not None and (data := await stream.read()):
            if (size := self._sizes.feed(data)) is not None:
                return size
        return None

    async def write(self, stream: OutputStream, data: bytes) -> None:
        """Give output to a client that wants it."""
        found = self._streams.get(stream.value)
        if found is not None:
            await found.write(data)

    async def finish(self, status: JsonObject) -> None:
        """End the outputs, then tell how it went; input that still comes is dropped."""
        for name in ("stdin", "resize"):
            if name in self._streams:
                self._streams[name].ignore()
                await self._streams[name].finish()
        for name in ("stdout", "stderr"):
            if name in self._streams:
                await self._streams[name].finish()
        await self._streams["error"].write(msgspec.json.encode(status))
        await self._streams["error"].finish()


async def serve_spdy_command(
    link: ByteLink, options: StreamOptions, call: Call, idle: Idle | None = None
) -> None:
    """Serve one client on an upgraded connection."""
    connection = SpdyConnection(link)

    async def work() -> None:
        channels: CommandChannels | None = await _channels(connection, options)
        if channels is not None:
            await serve_command(channels, options, call, idle)
        await connection.say_goodbye()

    await while_connected(asyncio.create_task(connection.run()), asyncio.create_task(work()), idle)


async def _channels(connection: SpdyConnection, options: StreamOptions) -> SpdyChannels | None:
    """All streams that such a client opens; None when it does not."""
    expected = {"error"}
    expected |= {name for name in ("stdin", "stdout") if getattr(options, name)}
    if options.tty:
        expected.add("resize")
    elif options.stderr:
        expected.add("stderr")
    found: dict[str, SpdyStream] = {}
    try:
        async with asyncio.timeout(_STREAMS_SECONDS):
            while found.keys() != expected:
                stream = await connection.accept()
                if stream is None:
                    return None
                kind = stream.headers.get(STREAM_TYPE, "")
                if kind not in expected or kind in found:
                    await stream.give_up()
                else:
                    found[kind] = stream
    except TimeoutError:
        return None
    return SpdyChannels(found)
