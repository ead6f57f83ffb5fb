"""Ports of a pod forwarded over the channels of a WebSocket, as client libraries do (kubectl tunnels SPDY).

Belongs here: the channel protocol v4 for ports. May not be here: how a port is reached. The port number
`n` in the order of the request has channel 2n for data and 2n+1 for errors; each begins with the port in
two bytes, little-endian. Follows pkg/kubelet/cri/streaming/portforward/websocket.go.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from aiohttp import WSMsgType, web

from minikubelet.nodeapi.idling import Idle
from minikubelet.nodeapi.portforward import Dial
from minikubelet.nodeapi.remotecommand import beating, while_connected
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.ports.streamport import Dialled

PROTOCOL: Final = "v4.channel.k8s.io"
MOST_PORTS: Final = 100
"""Channels are one byte."""
_PORT: Final = struct.Struct("<H")
_CHUNK: Final = 32 * 1024


def read_ports(texts: Sequence[str]) -> list[int]:
    """The ports of a request, each text one or several by commas; ValueError with a sentence."""
    ports = []
    for text in (part.strip() for each in texts for part in each.split(",")):
        if not (
            text.isascii() and text.isdecimal() and len(text) < len("100000") and 0 < int(text) < 1 << 16
        ):
            raise ValueError(f"port must be a number between 1 and 65535, not {text[:40]!r}")
        ports.append(int(text))
    if not ports or len(ports) > MOST_PORTS:
        raise ValueError(f"between 1 and {MOST_PORTS} ports can be forwarded")
    return ports


async def serve_socket_forwarding(
    socket: web.WebSocketResponse, ports: Sequence[int], dial: Dial, idle: Idle | None = None
) -> None:
    """Serve one client until all its ports have closed, or it goes."""
    forwarding = _Forwarding(socket, ports, dial, idle or Idle(0))
    take, run = asyncio.create_task(forwarding.take()), asyncio.create_task(forwarding.run())
    await while_connected(take, run, idle)


class _Forwarding:
    """One connection per port, made at once."""

    def __init__(self, socket: web.WebSocketResponse, ports: Sequence[int], dial: Dial, idle: Idle) -> None:
        self._idle = idle
        self._socket = socket
        self._ports = ports
        self._dial = dial
        loop = asyncio.get_running_loop()
        self._dialled: list[asyncio.Future[Dialled | None]] = [loop.create_future() for _ in ports]

    async def take(self) -> None:
        """Pass data of the client on until it goes."""
        async with beating(self._socket.ping):
            while (message := await self._socket.receive()).type is WSMsgType.BINARY:
                if not message.data:
                    continue
                number, error = divmod(message.data[0], 2)
                if error or number >= len(self._ports):
                    continue
                dialled = await asyncio.shield(self._dialled[number])
                if dialled is not None:
                    self._idle.used()
                    with suppress(OSError):
                        dialled.writer.write(message.data[1:])
                        await dialled.writer.drain()

    async def run(self) -> None:
        """Connect all ports and pass on what they say."""
        for number, port in enumerate(self._ports):
            for channel in (2 * number, 2 * number + 1):
                await self._socket.send_bytes(bytes([channel]) + _PORT.pack(port))
        async with asyncio.TaskGroup() as group:
            for number, port in enumerate(self._ports):
                group.create_task(self._forward(number, port))
        await self._socket.close()

    async def _forward(self, number: int, port: int) -> None:
        with suppress(ConnectionError):
            try:
                dialled = await self._dial(port)
            except RuntimeFault as fault:
                self._dialled[number].set_result(None)
                await self._socket.send_bytes(bytes([2 * number + 1]) + fault.message.encode())
                return
            self._dialled[number].set_result(dialled)
            try:
                while data := await dialled.reader.read(_CHUNK):
                    self._idle.used()
                    await self._socket.send_bytes(bytes([2 * number]) + data)
            finally:
                dialled.writer.close()
