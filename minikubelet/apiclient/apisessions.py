"""The connections to an API server: kept while the credentials stay the same, left when they change.

Pools and sockets only; what goes over them is `apirequests`' business.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    import ssl

_POOL_LIMIT = 64


class Sessions:
    """One pool of connections for each TLS context, of which the newest is in use.

    A certificate that was renewed may be revoked, so its connections are not to be used on: streams on them
    end at once, and the rest is closed when every request on them has met its deadline (in seconds).
    """

    def __init__(self, *, connect_seconds: float, request_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._request_seconds = request_seconds
        self._context: ssl.SSLContext | bool = True
        self._session: aiohttp.ClientSession | None = None
        self._former: dict[asyncio.Task[None], aiohttp.ClientSession] = {}
        self._streams: set[aiohttp.ClientResponse] = set()

    def session(self, context: ssl.SSLContext | bool) -> aiohttp.ClientSession:
        """The pool for this context."""
        if self._session is not None and context is not self._context:
            self._leave(self._session)
            self._session = None
        if self._session is None:
            self._context = context
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_POOL_LIMIT, socket_factory=_kept_alive),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def opened(self, response: aiohttp.ClientResponse) -> None:
        """An answer will be read for minutes."""
        self._streams.add(response)

    def ended(self, response: aiohttp.ClientResponse) -> None:
        """It is not read any more."""
        self._streams.discard(response)

    async def aclose(self) -> None:
        """Close all connections."""
        former, self._former = self._former, {}
        for task in former:
            task.cancel()
        for session in [*former.values(), *([self._session] if self._session is not None else [])]:
            await session.close()
        await asyncio.gather(*former, return_exceptions=True)

    def _leave(self, session: aiohttp.ClientSession) -> None:
        for response in self._streams:
            response.content.set_exception(aiohttp.ClientConnectionError("the credentials were renewed"))
        self._streams.clear()
        task = asyncio.create_task(self._close_later(session), name="former-api-connections")
        self._former[task] = session

    async def _close_later(self, session: aiohttp.ClientSession) -> None:
        await asyncio.sleep(self._request_seconds)
        await session.close()
        self._former = {task: each for task, each in self._former.items() if each is not session}


def _kept_alive(address: Any) -> socket.socket:
    """Make a socket that notices within about a minute that its peer is gone, even when nothing is sent."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
