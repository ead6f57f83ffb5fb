"""An API server that is not reached yet makes those who ask it wait, and nobody else."""

import asyncio
from typing import Any, cast

from minikubelet.agent.laterapi import LaterApi
from minikubelet.ports.apiport import Api, Bookmark, WatchItem


class Server:
    """Answers with what it was asked."""

    async def get_object(self, path: str) -> dict[str, Any]:
        return {"path": path}

    async def delete_object(self, path: str, **preconditions: object) -> dict[str, Any]:
        return {"path": path, **preconditions}

    async def list_watch(self, path: str, **_: object) -> Any:
        yield Bookmark(path)


async def first(api: LaterApi) -> WatchItem:
    async for item in api.list_watch("/pods"):
        return item
    raise AssertionError("a watch has no end")


def test_what_was_asked_before_is_answered_once_the_server_is_reached() -> None:
    async def case() -> tuple[bool, list[object]]:
        api = LaterApi()
        asked = [
            asyncio.create_task(api.get_object("/a")),
            asyncio.create_task(api.delete_object("/b", uid="u", grace_seconds=0)),
            asyncio.create_task(first(api)),
        ]
        early, _ = await asyncio.wait(asked, timeout=0)
        api.reached(cast("Api", Server()))
        return bool(early), list(await asyncio.gather(*asked))

    early, answers = asyncio.run(case())
    assert not early
    deleted = {"path": "/b", "uid": "u", "grace_seconds": 0, "resource_version": None}
    assert answers == [{"path": "/a"}, deleted, Bookmark("/pods")]
