"""List and watch over TLS: what only a real connection shows."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web

from minikubelet.apiclient.apipaths import pods_path
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.apiclient.apiwatch import WatchOptions
from minikubelet.ports.apiport import Bookmark, Changed, ChangeType, Disconnected, Listed, WatchItem
from tests.apiclient.apiclient_world import pod, pod_list, serving, take
from tests.running import run

Watching: TypeAlias = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def event(kind: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


class WatchServer:
    """Lists from a queue of bodies, watches with a queue of scripts; after them watches are silent."""

    def __init__(self, lists: list[Any], watches: list[Watching]) -> None:
        self._lists = list(lists)
        self._watches = list(watches)
        self.versions: list[str | None] = []
        self.ended = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response(self._lists.pop(0))
        self.versions.append(request.query.get("resourceVersion"))
        response = web.StreamResponse(headers={"Content-Type": "application/json;stream=watch"})
        response.enable_chunked_encoding()
        try:
            script = self._watches.pop(0) if self._watches else silence
            if script is gone:
                return web.json_response({"kind": "Status", "code": 410, "reason": "Expired"}, status=410)
            await response.prepare(request)
            await script(request, response)
        finally:
            self.ended.set()
        return response


async def silence(_: web.Request, __: web.StreamResponse) -> None:
    await asyncio.get_running_loop().create_future()


async def gone(_: web.Request, __: web.StreamResponse) -> None:
    raise AssertionError


async def hang_up(request: web.Request, _: web.StreamResponse) -> None:
    assert request.transport is not None
    request.transport.abort()


def saying(*chunks: bytes, then: Watching | None = None) -> Watching:
    async def script(request: web.Request, response: web.StreamResponse) -> None:
        for chunk in chunks:
            await response.write(chunk)
        if then is not None:
            await then(request, response)

    return script


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


def options(**more: Any) -> WatchOptions:
    return WatchOptions(**{"rng": random.Random(1), "sleep": no_sleep, "short_seconds": 0.0, **more})


def following(folder: Path, server: WatchServer, count: int, **more: Any) -> list[WatchItem]:
    taken: list[WatchItem] = []

    async def main() -> None:
        async with (
            serving(server.answer, folder) as running,
            aclosing(ApiClient(running.connection(), watch_options=options(**more))) as client,
        ):
            taken.extend(await take(client.list_watch(pods_path()), count))

    run(main())
    return taken


def test_changes_arrive_and_an_ended_watch_resumes(tmp_path: Path) -> None:
    server = WatchServer(
        [pod_list(pod("a", "2"), version="5")],
        [saying(event("ADDED", pod("b", "6"))), saying(event("DELETED", pod("b", "7")))],
    )
    assert following(tmp_path, server, 3) == [
        Listed((pod("a", "2"),), "5"),
        Changed(ChangeType.ADDED, pod("b", "6")),
        Changed(ChangeType.DELETED, pod("b", "7")),
    ]
    assert server.versions[:2] == ["5", "6"]


def test_an_object_of_two_megabytes_arrives_whole(tmp_path: Path) -> None:
    big = pod("big", "6", status={"message": "y" * 2_000_000})
    line = event("MODIFIED", big)
    pieces = [line[start : start + 50_000] for start in range(0, len(line), 50_000)]
    server = WatchServer([pod_list(version="5")], [saying(*pieces, then=silence)])
    assert following(tmp_path, server, 2)[1] == Changed(ChangeType.MODIFIED, big)


def test_several_changes_in_one_chunk_are_several_items(tmp_path: Path) -> None:
    chunk = b"".join(event("ADDED", pod(f"p{n}", str(n))) for n in range(6, 106))
    server = WatchServer([pod_list(version="5")], [saying(chunk, then=silence)])
    items = following(tmp_path, server, 101)
    assert [item.object["metadata"]["name"] for item in items if isinstance(item, Changed)] == [
        f"p{n}" for n in range(6, 106)
    ]


def test_gone_by_http_lists_anew(tmp_path: Path) -> None:
    bookmark = event("BOOKMARK", pod("", "6"))
    server = WatchServer([pod_list(version="5"), pod_list(version="50")], [saying(bookmark), gone])
    assert following(tmp_path, server, 3) == [Listed((), "5"), Bookmark("6"), Listed((), "50")]


def test_a_torn_connection_is_told_and_resumed(tmp_path: Path) -> None:
    half = event("ADDED", pod("a", "6"))[:30]
    server = WatchServer(
        [pod_list(version="5")], [saying(half, then=hang_up), saying(event("ADDED", pod("a", "6")))]
    )
    items = following(tmp_path, server, 4)
    assert [type(item) for item in items] == [Listed, Disconnected, Bookmark, Changed]
    assert isinstance(items[1], Disconnected)
    assert items[1].reason.startswith("cannot reach https://127.0.0.1:")
    assert server.versions[:2] == ["5", "5"]


def test_a_silent_connection_is_given_up_at_the_read_deadline(tmp_path: Path) -> None:
    server = WatchServer([pod_list(version="5")], [silence, silence])
    items = following(tmp_path, server, 4, watch_seconds=(0.05, 0.05), margin_seconds=0.05)
    assert [type(item) for item in items] == [Listed, Disconnected, Bookmark, Disconnected]
    assert isinstance(items[1], Disconnected)
    assert "within 0.1 s" in items[1].reason


def test_a_slow_reader_is_not_struck_by_the_read_deadline(tmp_path: Path) -> None:
    async def main() -> None:
        chunk = event("ADDED", pod("a", "6")) + event("ADDED", pod("b", "7"))
        # On a slow machine a watch may end before it began: the next ones say the same.
        server = WatchServer([pod_list(version="5")] * 100, [saying(chunk, then=silence)] * 300)
        few = options(watch_seconds=(0.5, 0.5), margin_seconds=0.0)
        names: list[str] = []
        async with (
            serving(server.answer, tmp_path) as running,
            aclosing(ApiClient(running.connection(), watch_options=few)) as client,
            aclosing(client.list_watch(pods_path())) as items,
        ):
            async for item in items:
                if isinstance(item, Changed):
                    names.append(item.object["metadata"]["name"])
                    if len(names) == 2:
                        break
                    await asyncio.sleep(0.7)  # longer than the whole watch may last
        assert names == ["a", "b"]

    run(main())


def test_closing_and_cancelling_end_the_connection(tmp_path: Path) -> None:
    async def main() -> None:
        server = WatchServer(
            [pod_list(version="5")] * 2, [saying(event("ADDED", pod("a", "6")), then=silence)] * 2
        )
        async with (
            serving(server.answer, tmp_path) as running,
            aclosing(ApiClient(running.connection(), watch_options=options())) as client,
        ):
            await take(client.list_watch(pods_path()), 2)
            await server.ended.wait()
            server.ended.clear()

            reading = asyncio.Event()

            async def read_on() -> None:
                async for item in client.list_watch(pods_path()):
                    if isinstance(item, Changed):
                        reading.set()

            task = asyncio.create_task(read_on())
            await reading.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await server.ended.wait()
        assert task.cancelled()

    run(main())
