"""The API server before it is reached: whoever asks it something waits until it is.

Belongs here: waiting for the one client of a life. May not be here: how it is reached (`upstream`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from minikubelet.ports.apiport import Api, JsonObject, PatchKind, WatchItem


class LaterApi:
    """An `Api` that can be handed round before there is one."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._api: Api | None = None

    def reached(self, api: Api) -> None:
        """There it is: all who wait go on."""
        self._api = api
        self._reached.set()

    async def _there(self) -> Api:
        while self._api is None:
            await self._reached.wait()
        return self._api

    async def get_object(self, path: str) -> JsonObject:
        """Read one object."""
        return await (await self._there()).get_object(path)

    async def create_object(self, collection: str, body: JsonObject) -> JsonObject:
        """Create an object in a collection."""
        return await (await self._there()).create_object(collection, body)

    async def replace_object(self, path: str, body: JsonObject) -> JsonObject:
        """Replace an object."""
        return await (await self._there()).replace_object(path, body)

    async def patch_object(
        self, path: str, patch: JsonObject | list[JsonObject], kind: PatchKind = PatchKind.STRATEGIC
    ) -> JsonObject:
        """Change parts of an object."""
        return await (await self._there()).patch_object(path, patch, kind)

    async def delete_object(
        self,
        path: str,
        *,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> JsonObject:
        """Delete an object if it still is the one meant."""
        return await (await self._there()).delete_object(
            path, grace_seconds=grace_seconds, uid=uid, resource_version=resource_version
        )

    async def list_watch(
        self, path: str, *, params: Mapping[str, str] | None = None
    ) -> AsyncGenerator[WatchItem, None]:
        """Follow a collection without end."""
        api = await self._there()
        async with aclosing(api.list_watch(path, params=params)) as items:
            async for item in items:
                yield item
