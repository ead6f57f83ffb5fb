"""An engine that answers what a test tells it to, over a real socket: what no real one can be made to do.

Counts requests, answers `version` and `info`, and hands everything else to the test's own handler.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeEngine:
    """What was asked, in order, as `METHOD path` without the API version."""

    def __init__(self, handler: Handler) -> None:
        self.asked: list[str] = []
        self.info: dict[str, object] = {"DockerRootDir": "/var/lib/engine"}
        self._handler = handler

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/v1.41")
        if path == "/version":
            return web.json_response({"ApiVersion": "1.41", "Version": "20.10.0", "Arch": "amd64"})
        if path == "/info":
            return web.json_response(self.info)
        self.asked.append(f"{request.method} {path}")
        return await self._handler(request)


def refusal(status: int, message: str) -> web.Response:
    """An answer as the engine words its refusals."""
    headers = {"Content-Type": "application/json"}
    return web.Response(body=msgspec.json.encode({"message": message}), status=status, headers=headers)


@asynccontextmanager
async def fake_engine(folder: Path, handler: Handler) -> AsyncIterator[tuple[FakeEngine, str]]:
    """The engine and its address."""
    engine = FakeEngine(handler)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", engine.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(folder / "d.sock")).start()
        yield engine, f"unix://{folder}/d.sock"
    finally:
        await runner.cleanup()
