"""A stub API server over real TLS and a client for it, for the tests of this package."""

from __future__ import annotations

import asyncio
import io
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from minikubelet.stubapi.stubserver import StubServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

PODS = "/api/v1/namespaces/default/pods"
PATIENCE = 30.0
"""Seconds after which a condition that has not come is a failure; never a measure."""


def pod(name: str = "web", **spec: Any) -> dict[str, Any]:
    """A pod's manifest."""
    containers = [{"name": "main", "image": "busybox:1.36"}]
    return {"metadata": {"name": name}, "spec": {"containers": containers, **spec}}


class World:
    """A running server and an authenticated client."""

    def __init__(self, server: StubServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def ask(
        self, method: str, path: str, body: Any = None, *, content: str = "application/json", **query: str
    ) -> tuple[int, Any]:
        """The code and the decoded body of an answer."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        data = None if body is None else io.BytesIO(raw)
        headers = {"Content-Type": content}
        async with self.session.request(
            method, self.server.url + path, data=data, headers=headers, params=query
        ) as answer:
            return answer.status, msgspec.json.decode(await answer.read())

    async def good(self, method: str, path: str, body: Any = None, **more: str) -> Any:
        """The body of an answer that must be a success."""
        code, answer = await self.ask(method, path, body, **more)
        assert code < 300, answer
        return answer

    async def refused(self, method: str, path: str, body: Any = None, **more: str) -> tuple[int, str, str]:
        """Code, reason and message of an answer that must be a failure, in the form of a Status."""
        code, answer = await self.ask(method, path, body, **more)
        assert code >= 400, answer
        assert (answer["kind"], answer["apiVersion"], answer["status"]) == ("Status", "v1", "Failure")
        assert answer["code"] == code
        return code, answer["reason"], answer["message"]

    @asynccontextmanager
    async def watching(self, path: str, **query: str) -> AsyncIterator[Watch]:
        """An open watch."""
        params = {"watch": "true", **query}
        async with self.session.get(self.server.url + path, params=params) as answer:
            assert answer.status == 200
            yield Watch(answer.content)


class Watch:
    """The events of a watch, one by one."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    async def next(self) -> Any:
        """The next event, or None at the end of the watch."""
        async with asyncio.timeout(PATIENCE):
            line = await self._content.readline()
        return msgspec.json.decode(line) if line else None

    async def brief(self) -> tuple[str, str]:
        """Kind of event and object name of the next event."""
        event = await self.next()
        return event["type"], event["object"]["metadata"]["name"]


@asynccontextmanager
async def running(state: Path, **options: Any) -> AsyncIterator[World]:
    """A started server with a client; stopped at the end."""
    server = StubServer(state, **options)
    await server.start()
    try:
        trust = ssl.create_default_context(cafile=str(server.ca_file))
        headers = {"Authorization": f"Bearer {server.token}"}
        connector = aiohttp.TCPConnector(ssl=trust, limit=0)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            yield World(server, session)
    finally:
        async with asyncio.timeout(PATIENCE):
            await server.stop()


def run(state: Path, test: Callable[[World], Awaitable[None]], **options: Any) -> None:
    """Run a test against a server of its own."""

    async def main() -> None:
        async with asyncio.timeout(2 * PATIENCE), running(state, **options) as world:
            await test(world)

    asyncio.run(main())
