"""A stub API server in a thread, with a counting door for an agent that can be shut: an outage.

Belongs here: counting by kind of call, and cutting off. Watchers go past the door; an outage does not blind
them.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

from minikubelet.stubapi.stubresources import find_target
from minikubelet.stubapi.stubserver import StubServer

_KEPT = ("Authorization", "Content-Type", "Accept-Encoding")
PATIENCE = 60.0


class CountedStub:
    """Use it as a context manager. `kubeconfig` leads through the door, `direct` past it."""

    def __init__(self, base: Path) -> None:
        self.kubeconfig, self.direct = base / "door.conf", base / "direct.conf"
        self.calls: Counter[str] = Counter()
        self._base = base
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server = StubServer(base / "stub")
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._open: set[asyncio.BaseTransport] = set()
        self._site: web.TCPSite | None = None
        self._port = 0
        self._shut = False

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server; its thread ends with the loop."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def take(self) -> Counter[str]:
        """The calls since the last time this was asked."""
        taken, self.calls = self.calls, Counter()
        return taken

    def cut(self) -> None:
        """Refuse connections and end those that are there."""
        self._do(self._cut())

    def mend(self) -> None:
        """Let connections in again."""
        self._do(self._listen())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _start(self) -> None:
        await self._server.start()
        self._server.write_kubeconfig(self.direct)
        trust = ssl.create_default_context(cafile=str(self._server.ca_file))
        connector = aiohttp.TCPConnector(ssl=trust, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await self._listen()
        text = self.direct.read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if "certificate-authority-data" not in line]
        door = "\n".join(lines).replace(self._server.url, f"http://127.0.0.1:{self._port}")
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(door + "\n", encoding="utf-8")

    async def _stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()
        await self._server.stop()

    async def _listen(self) -> None:
        if self._runner is None:
            return
        self._shut = False
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def _cut(self) -> None:
        self._shut = True
        if self._site is not None:
            await self._site.stop()
        for transport in list(self._open):
            if isinstance(transport, asyncio.Transport):
                transport.abort()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        if transport is None or self._session is None:
            return web.Response(status=503)
        if self._shut:  # on a connection that lay idle when the door was shut
            transport.abort()
            return web.Response(status=503)
        self.calls[kind_of(request)] += 1
        self._open.add(transport)
        headers = {key: request.headers[key] for key in _KEPT if key in request.headers}
        url = self._server.url + str(request.rel_url)
        body = await request.read()
        try:
            async with self._session.request(request.method, url, data=body, headers=headers) as found:
                kept = {
                    key: found.headers[key]
                    for key in ("Content-Type", "Content-Encoding")
                    if key in found.headers
                }
                answer = web.StreamResponse(status=found.status, headers=kept)
                answer.enable_chunked_encoding()
                await answer.prepare(request)
                async for chunk in found.content.iter_any():
                    await answer.write(chunk)
                await answer.write_eof()
                return answer
        finally:
            self._open.discard(transport)


def kind_of(request: web.Request) -> str:
    """`PATCH pods/status`, `POST events`, `WATCH pods` …"""
    target = find_target(request.path)
    if target is None:
        return f"{request.method} other"
    what = target.resource.plural + (f"/{target.subresource}" if target.subresource else "")
    if request.method != "GET":
        return f"{request.method} {what}"
    return f"{'GET' if target.name else 'WATCH' if 'watch' in request.query else 'LIST'} {what}"
