"""The agent's local API: what a running agent tells the commands of the same user, over a UNIX socket.

Belongs here: three read-only answers and the socket's permissions. May not be here: how they are found
out; the agent hands in a `View`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec
from aiohttp import web


class View(Protocol):
    """What the agent shows of itself, as JSON-able values."""

    def pods(self) -> dict[str, Any]:
        """A v1 PodList of all pods that the agent knows, with their statuses."""

    def manifests(self) -> list[dict[str, Any]]:
        """The verdicts over the manifest files."""

    def status(self) -> dict[str, Any]:
        """How the agent is: node, runtime, sources, journal, API server."""


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve_local(socket: Path, view: View) -> AsyncIterator[None]:
    """Answer on the socket, 0600, for as long as the block runs; raises OSError."""
    app = web.Application()
    app.router.add_get("/pods", _answer(view.pods))
    app.router.add_get("/manifests", _answer(view.manifests))
    app.router.add_get("/status", _answer(view.status))
    app.router.add_get("/healthz", _answer(lambda: "ok"))
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    _unlink(socket)
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(socket)).start()
    finally:
        os.umask(before)
    try:
        yield
    finally:
        await runner.cleanup()
        _unlink(socket)


def _unlink(socket: Path) -> None:
    with suppress(FileNotFoundError):
        socket.unlink()


def _answer(read: Callable[[], object]) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(body=msgspec.json.encode(read()), content_type="application/json")

    return handle
