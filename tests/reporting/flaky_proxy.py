"""A proxy before an API server that refuses, stalls, fails and tears answers, until it is told to be calm."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from minikubelet.stubapi.stubserver import StubServer

FAULTS = ("429", "500", "html", "slow", "cut", "garbage", "lost")


class FlakyProxy:
    """Passes requests on; every second one meets a fault, a watch sooner or later."""

    def __init__(self, server: StubServer, seed: int) -> None:
        self._server = server
        self._rng = random.Random(seed)
        self.calm = False
        self.met: Counter[str] = Counter()
        self.url = ""
        self._session: aiohttp.ClientSession | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What the server says, or a fault."""
        fault = "" if self.calm or self._rng.random() < 0.5 else self._rng.choice(FAULTS)
        self.met[fault] += 1
        match fault:
            case "429":
                return web.json_response(
                    {"kind": "Status", "code": 429}, status=429, headers={"Retry-After": "0"}
                )
            case "500":
                return web.json_response({"kind": "Status", "code": 500}, status=500)
            case "html":
                return web.Response(text="<html>Bad gateway</html>", status=502)
            case "slow":
                await asyncio.sleep(self._rng.random() / 5)
            case _:
                pass
        body = await request.read()
        headers = {
            key: request.headers[key] for key in ("Authorization", "Content-Type") if key in request.headers
        }
        assert self._session is not None
        url = self._server.url + str(request.rel_url)
        async with self._session.request(request.method, url, data=body, headers=headers) as found:
            if fault == "lost":  # the server has acted, and nobody learns of it
                self._tear(request)
                return web.Response()
            return await self._passed(request, found, fault)

    async def _passed(
        self, request: web.Request, found: aiohttp.ClientResponse, fault: str
    ) -> web.StreamResponse:
        answer = web.StreamResponse(status=found.status, headers={"Content-Type": "application/json"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        watch = "watch" in request.query
        async for chunk in found.content.iter_any():
            if fault == "cut" or (watch and not self.calm and self._rng.random() < 0.3):
                await answer.write(chunk[: len(chunk) // 2])
                self._tear(request)
                return answer
            if fault == "garbage" and watch:
                await answer.write(b'{"type":"ADDED","object":\n')
            await answer.write(chunk)
        await answer.write_eof()
        return answer

    def _tear(self, request: web.Request) -> None:
        if request.transport is not None:
            request.transport.abort()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen for as long as the block runs."""
        trust = ssl.create_default_context(cafile=str(self._server.ca_file))
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
        await runner.setup()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as self._session:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield
            finally:
                await runner.cleanup()
