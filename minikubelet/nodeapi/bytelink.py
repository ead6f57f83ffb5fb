"""Bytes both ways over one request of the node API: a connection that was upgraded, or a WebSocket's.

Belongs here: taking over aiohttp's connection, and holding a fast peer back. May not be here: what the
bytes mean.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol, cast

from aiohttp import WSMsgType, hdrs, web

_LIMIT: Final = 64 * 1024
"""Half the bytes received and not yet read at which the peer is held back."""


class ByteLink(Protocol):
    """A stream in both directions. One reader; writers take turns."""

    async def read(self) -> bytes:
        """The next bytes, empty at the end."""

    async def write(self, data: bytes) -> None:
        """Send; waits while the peer takes nothing. Raises ConnectionError when it is gone."""


class UpgradedLink:
    """The raw connection under a request, after a 101 answer; `upgrade` makes it.

    aiohttp knows the upgrade to WebSocket only; it hands all further bytes to whatever is set as the parser
    of the connection, which is how its own WebSockets are fed.
    """

    def __init__(self, response: web.StreamResponse, transport: asyncio.BaseTransport | None) -> None:
        self.response = response
        self._reader = asyncio.StreamReader(limit=_LIMIT)
        if transport is not None:
            self._reader.set_transport(transport)  # the reader holds a fast peer back with it

    @classmethod
    async def upgrade(cls, request: web.Request, headers: dict[str, str]) -> UpgradedLink:
        """Answer 101 with these headers beside `Connection: Upgrade`, and take the connection over."""
        response = web.StreamResponse(status=101, headers={hdrs.CONNECTION: "Upgrade", **headers})
        link = cls(response, request.transport)
        request.protocol.set_parser(cast("Any", link))
        await response.prepare(request)
        response.force_close()
        return link

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called by aiohttp with what arrives."""
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        """Called by aiohttp when the connection is gone."""
        self._reader.feed_eof()

    async def read(self) -> bytes:
        """The next bytes, empty once the peer is gone."""
        return await self._reader.read(_LIMIT)

    async def write(self, data: bytes) -> None:
        """Send on the connection."""
        await self.response.write(data)


class SocketLink:
    """The binary messages of a WebSocket as one stream of bytes."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        """The next message that holds anything."""
        while True:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return b""
            if message.data:
                return bytes(message.data)

    async def write(self, data: bytes) -> None:
        """Send one message."""
        await self._socket.send_bytes(data)
