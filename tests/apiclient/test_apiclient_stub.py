"""The client and the stub API server understand each other, from the kubeconfig to the watch."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from minikubelet.apiclient.apierrors import ApiError
from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apipaths import pod_path, pods_path
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.apiclient.apiwatch import WatchOptions
from minikubelet.ports.apiport import Changed, ChangeType, Listed
from minikubelet.stubapi.stubserver import StubServer
from tests.running import run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from minikubelet.ports.apiport import JsonObject, WatchItem

POD: JsonObject = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "default"},
    "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "busybox"}]},
}


@asynccontextmanager
async def stub_client(folder: Path, options: WatchOptions | None = None) -> AsyncIterator[ApiClient]:
    server = StubServer(folder / "state")
    await server.start()
    try:
        server.write_kubeconfig(folder / "kubeconfig")
        async with aclosing(
            ApiClient(load_kubeconfig(folder / "kubeconfig"), watch_options=options)
        ) as client:
            yield client
    finally:
        await server.stop()


async def next_change(items: AsyncGenerator[WatchItem, None]) -> Changed:
    async for item in items:
        if isinstance(item, Changed):
            return item
    raise AssertionError("a list_watch never ends")


def test_pods_of_a_node_are_followed_across_ended_watches(state_dir: Path) -> None:
    async def main() -> None:
        # The server ends each watch after a second, so the changes come over several of them.
        options = WatchOptions(watch_seconds=(1.0, 1.0), short_seconds=0.0)
        async with (
            stub_client(state_dir, options) as client,
            aclosing(client.list_watch(pods_path(), params={"fieldSelector": "spec.nodeName=n1"})) as items,
        ):
            assert isinstance(await anext(items), Listed)
            created = await client.create_object(pods_path("default"), POD)
            await client.create_object(
                pods_path("default"),
                {**POD, "metadata": {"name": "elsewhere"}, "spec": {**POD["spec"], "nodeName": "n2"}},
            )
            assert await next_change(items) == Changed(ChangeType.ADDED, created)
            await asyncio.sleep(1.2)
            label = {"metadata": {"labels": {"tier": "front"}}}
            patched = await client.patch_object(pod_path("default", "a"), label)
            assert await next_change(items) == Changed(ChangeType.MODIFIED, patched)
            await client.delete_object(
                pod_path("default", "a"), grace_seconds=0, uid=created["metadata"]["uid"]
            )
            last = await next_change(items)
            assert (last.type, last.object["metadata"]["name"]) == (ChangeType.DELETED, "a")

    run(main())


def test_refusals_of_the_stub_are_told_apart(state_dir: Path) -> None:
    async def main() -> None:
        async with stub_client(state_dir) as client:
            path = pod_path("default", "a")
            with pytest.raises(ApiError) as missing:
                await client.get_object(path)
            assert missing.value.not_found
            created = await client.create_object(pods_path("default"), POD)
            with pytest.raises(ApiError) as twice:
                await client.create_object(pods_path("default"), POD)
            assert twice.value.already_exists
            await client.patch_object(path, {"metadata": {"labels": {"x": "y"}}})
            with pytest.raises(ApiError) as stale:
                await client.replace_object(path, created)
            assert stale.value.conflict
            with pytest.raises(ApiError) as other:
                await client.delete_object(path, uid="another")
            assert other.value.conflict

    run(main())
