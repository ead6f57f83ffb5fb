"""Exec and attach over a WebSocket: the first byte of each message names its channel.

Belongs here: the channel protocols v4 and v5. May not be here: the joining (`remotecommand`). Follows
k8s.io/streaming's wsstream: 0 to 4 are stdin, stdout, stderr, error, resize; in v5, 255 closes a channel.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiohttp import WSMsgType, web

from minikubelet.nodeapi.idling import Idle
from minikubelet.nodeapi.remotecommand import Call, beating, read_size, serve_command, while_connected
from minikubelet.ports.apiport import JsonObject
from minikubelet.ports.streamport import OutputStream, StreamOptions, TerminalSize

PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN: Final = 0
_OUTPUTS: Final = {OutputStream.STDOUT: b"\x01", OutputStream.STDERR: b"\x02"}
_ERROR: Final = b"\x03"
_RESIZE: Final = 4
_CLOSE: Final = 255
_MOST_WAITING: Final = 8
"""Messages of input that wait for the command; a client that sends more is held back."""


class SocketChannels:
    """A client's channels; `run` reads them until the client goes."""

    def __init__(self, socket: web.WebSocketResponse, options: StreamOptions) -> None:
        self._socket = socket
        self._options = options
        self._stdin: asyncio.Queue[bytes] = asyncio.Queue(_MOST_WAITING)
        self._stdin_ended = False
        self._size: TerminalSize | None = None
        self._resized = asyncio.Event()
        self._gone = False
        self._over = False

    async def run(self) -> None:
        """Take messages; the end of the connection ends input and sizes."""
        async with beating(self._socket.ping):
            while (message := await self._socket.receive()).type in (WSMsgType.BINARY, WSMsgType.TEXT):
                data = message.data if isinstance(message.data, bytes) else message.data.encode()
                await self._take(data[:1], data[1:])
        self._gone = True
        self._resized.set()

    async def _take(self, channel: bytes, data: bytes) -> None:
        if channel == bytes([_STDIN]):
            if data and not self._over:
                await self._stdin.put(data)
        elif channel == bytes([_RESIZE]):
            self._size = read_size(data) or self._size
            self._resized.set()
        elif channel == bytes([_CLOSE]) and data == bytes([_STDIN]) and not self._over:
            await self._stdin.put(b"")

    async def read_stdin(self) -> bytes:
        """The next input; a client that cannot close a channel gives no end of it."""
        if self._stdin_ended:
            return b""
        data = await self._stdin.get()
        self._stdin_ended = not data
        return data

    async def read_size(self) -> TerminalSize | None:
        """The newest size of the terminal that has not been told yet."""
        while self._size is None:
            if self._gone:
                return None
            self._resized.clear()
            await self._resized.wait()
        size, self._size = self._size, None
        return size

    async def write(self, stream: OutputStream, data: bytes) -> None:
        """Give output to a client that wants it."""
        wanted = self._options.stdout if stream is OutputStream.STDOUT else self._options.stderr
        if wanted:
            await self._socket.send_bytes(_OUTPUTS[stream] + data)

    async def finish(self, status: JsonObject) -> None:
        """Tell how it went; input that still comes is dropped."""
        self._over = True
        while not self._stdin.empty():
            self._stdin.get_nowait()
        await self._socket.send_bytes(_ERROR + msgspec.json.encode(status))


async def serve_socket_command(
    socket: web.WebSocketResponse, options: StreamOptions, call: Call, idle: Idle | None = None
) -> None:
    """Serve one client on an open WebSocket."""
    channels = SocketChannels(socket, options)

    async def work() -> None:
        # An empty message says that the connection stands; clients wait for it.
        await socket.send_bytes(_OUTPUTS[OutputStream.STDOUT] if options.stdout else _ERROR)
        await serve_command(channels, options, call, idle)
        await socket.close()

    await while_connected(asyncio.create_task(channels.run()), asyncio.create_task(work()), idle)
