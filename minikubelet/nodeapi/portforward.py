"""Ports of a pod forwarded to one client: pairs of SPDY streams, each a connection of its own.

Belongs here: pairing streams, and copying. May not be here: how a port is reached (`ports.streamport`).
Follows pkg/kubelet/cri/streaming/portforward: an error stream and a data stream share a `requestID`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from minikubelet.nodeapi.bytelink import ByteLink
from minikubelet.nodeapi.idling import Idle
from minikubelet.nodeapi.remotecommand import while_connected
from minikubelet.nodeapi.spdyconnection import SpdyConnection, SpdyStream
from minikubelet.nodeapi.spdyevents import ResetStatus
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.ports.streamport import Dialled

PROTOCOL: Final = "portforward.k8s.io"
TUNNEL: Final = f"SPDY/3.1+{PROTOCOL}"
"""The WebSocket protocol whose messages carry the SPDY session."""
_CHUNK: Final = 32 * 1024
_MOST_UNPAIRED: Final = 256
_PORTS: Final = 1 << 16

Dial = Callable[[int], Awaitable[Dialled]]


async def serve_forwarding(link: ByteLink, dial: Dial, idle: Idle | None = None) -> None:
    """Serve one client until it goes."""
    connection = SpdyConnection(link)

    async def work() -> None:
        await _Forwarder(dial, idle or Idle(0)).accept_from(connection)

    await while_connected(asyncio.create_task(connection.run()), asyncio.create_task(work()), idle)


class _Forwarder:
    """Pairs the streams of one client and runs each pair."""

    def __init__(self, dial: Dial, idle: Idle) -> None:
        self._dial = dial
        self._idle = idle
        self._halves: dict[str, SpdyStream] = {}

    async def accept_from(self, connection: SpdyConnection) -> None:
        async with asyncio.TaskGroup() as group:
            while (stream := await connection.accept()) is not None:
                pair = await self._pair(stream)
                if pair is not None:
                    group.create_task(self._forward(*pair))

    async def _pair(self, stream: SpdyStream) -> tuple[SpdyStream, SpdyStream] | None:
        """Error and data stream, once both are there."""
        kind, request = stream.headers.get("streamtype", ""), stream.headers.get("requestid", "")
        other = self._halves.get(request)
        known = kind in ("error", "data") and request and _port(stream)
        if not known or (other is not None and other.headers["streamtype"] == kind):
            await stream.give_up(ResetStatus.PROTOCOL_ERROR)
            return None
        if other is not None:
            del self._halves[request]
            return (stream, other) if kind == "error" else (other, stream)
        if len(self._halves) >= _MOST_UNPAIRED:
            await stream.give_up(ResetStatus.REFUSED_STREAM)
            return None
        self._halves[request] = stream
        return None

    async def _forward(self, error: SpdyStream, data: SpdyStream) -> None:
        error.ignore()
        with suppress(ConnectionError):
            try:
                dialled = await self._dial(_port(data))
            except RuntimeFault as fault:
                await error.write(fault.message.encode())
            else:
                await _copy(data, dialled, self._idle)
            data.ignore()
            await data.finish()
            await error.finish()


def _port(stream: SpdyStream) -> int:
    text = stream.headers.get("port", "")
    port = int(text) if text.isascii() and text.isdecimal() and len(text) < len("100000") else 0
    return port if port < _PORTS else 0


async def _copy(data: SpdyStream, dialled: Dialled, idle: Idle) -> None:
    """Both directions until the pod's end closes, or the client gives the stream up."""
    up = asyncio.create_task(_up(data, dialled.writer, idle))
    down = asyncio.create_task(_down(data, dialled.reader, idle))
    lost = asyncio.create_task(data.lost.wait())
    try:
        await asyncio.wait({down, lost}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (up, down, lost):
            task.cancel()
        await asyncio.gather(up, down, lost, return_exceptions=True)
        dialled.writer.close()


async def _up(data: SpdyStream, writer: asyncio.StreamWriter, idle: Idle) -> None:
    with suppress(OSError):
        while piece := await data.read():
            idle.used()
            writer.write(piece)
            await writer.drain()
        if not data.lost.is_set() and writer.can_write_eof():
            writer.write_eof()


async def _down(data: SpdyStream, reader: asyncio.StreamReader, idle: Idle) -> None:
    with suppress(OSError):
        while piece := await reader.read(_CHUNK):
            idle.used()
            await data.write(piece)
