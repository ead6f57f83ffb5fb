"""A client library at work: what it expects of any API server, it finds here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from lightkube import ApiError, AsyncClient, KubeConfig
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.core_v1 import ConfigMap, Node, Pod, Secret
from lightkube.types import CascadeType, PatchType

from tests.running import eventually
from tests.stubapi.stubapi_world import World, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def _session(directory: Path, test: Callable[[AsyncClient], Awaitable[None]]) -> None:
    """Run a test with a client that knows the server by its kubeconfig alone."""

    async def check(world: World) -> None:
        world.server.write_kubeconfig(directory / "kubeconfig")
        config = KubeConfig.from_file(directory / "kubeconfig")
        async with AsyncClient(config, namespace="default", trust_env=False) as client:
            await test(client)

    run(directory / "state", check)


def _pod(name: str | None = "web", **meta: Any) -> Pod:
    spec = PodSpec(containers=[Container(name="main", image="busybox:1.36")])
    return Pod(metadata=ObjectMeta(name=name, namespace="default", **meta), spec=spec)


def _config(name: str | None = "c", **meta: Any) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default", **meta), data={"a": "b"})


def _meta(obj: Any) -> ObjectMeta:
    assert isinstance(obj.metadata, ObjectMeta)
    return obj.metadata


def _owned_by(owner: Any, *, blocks: bool = False) -> list[OwnerReference]:
    name, uid = _meta(owner).name, _meta(owner).uid
    assert name
    assert uid
    return [OwnerReference("v1", owner.kind or "ConfigMap", name, uid, blockOwnerDeletion=blocks)]


async def _refused(call: Awaitable[Any]) -> tuple[int | None, str | None]:
    with pytest.raises(ApiError) as caught:
        await call
    return caught.value.status.code, caught.value.status.reason


async def _names(client: AsyncClient, **selection: Any) -> list[str | None]:
    return [_meta(each).name async for each in client.list(ConfigMap, **selection)]


def test_a_dry_run_of_every_writing_verb_changes_nothing(tmp_path: Path) -> None:
    """Create, replace, patch and delete answer as if they had been done."""

    async def check(client: AsyncClient) -> None:
        made = await client.create(_config("dry"), dry_run=True)
        assert _meta(made).uid
        assert await _refused(client.get(ConfigMap, "dry")) == (404, "NotFound")
        stored = await client.create(_config())
        changed = await client.replace(_config(labels={"x": "y"}), dry_run=True)
        assert _meta(changed).labels == {"x": "y"}
        patched = await client.patch(ConfigMap, "c", {"data": {"a": "c"}}, dry_run=True)
        assert patched.data == {"a": "c"}
        await client.delete(ConfigMap, "c", dry_run=True)
        await client.deletecollection(ConfigMap, dry_run=True)
        assert await client.get(ConfigMap, "c") == stored

    _session(tmp_path, check)


def test_generated_names_differ_and_stale_writes_conflict(tmp_path: Path) -> None:
    """Two writers from one version: the second is told, and wins after reading again."""

    async def check(client: AsyncClient) -> None:
        prefix = {"name": None, "generateName": "made-"}
        made = [await client.create(_config(**prefix)) for _ in range(2)]
        names = [_meta(each).name or "" for each in made]
        assert all(name.startswith("made-") for name in names)
        assert len(set(names)) == 2
        first = await client.create(_config())
        await client.patch(ConfigMap, "c", {"data": {"a": "newer"}}, patch_type=PatchType.MERGE)
        first.data = {"a": "mine"}
        assert await _refused(client.replace(first)) == (409, "Conflict")
        again = await client.get(ConfigMap, "c")
        again.data = {"a": "mine"}
        assert (await client.replace(again)).data == {"a": "mine"}
        assert await _refused(client.create(_config())) == (409, "AlreadyExists")

    _session(tmp_path, check)


def test_a_finalizer_holds_an_object_that_can_get_no_other(tmp_path: Path) -> None:
    """The object shows that it is going until its last finalizer is taken away."""

    async def check(client: AsyncClient) -> None:
        await client.create(_config(finalizers=["example.org/hold"]))
        await client.delete(ConfigMap, "c")
        assert _meta(await client.get(ConfigMap, "c")).deletionTimestamp is not None
        more = {"metadata": {"finalizers": ["example.org/hold", "example.org/more"]}}
        assert await _refused(client.patch(ConfigMap, "c", more, patch_type=PatchType.MERGE)) == (
            422,
            "Invalid",
        )
        done = {"metadata": {"finalizers": None}}
        await client.patch(ConfigMap, "c", done, patch_type=PatchType.MERGE)
        assert await _refused(client.get(ConfigMap, "c")) == (404, "NotFound")

    _session(tmp_path, check)


def test_dependents_go_with_their_owner_in_the_background(tmp_path: Path) -> None:
    """Dependents of dependents too, while one that another owner keeps forgets the owner that is gone."""

    async def check(client: AsyncClient) -> None:
        owner, other = await client.create(_config("owner")), await client.create(_config("other"))
        child = await client.create(_config("child", ownerReferences=_owned_by(owner)))
        await client.create(_pod("grandchild", ownerReferences=_owned_by(child)))
        both = _owned_by(owner) + _owned_by(other)
        await client.create(_config("shared", ownerReferences=both))
        foreign = OwnerReference("example.org/v1", "Thing", "thing", "no-such-uid")
        await client.create(_config("foreign", ownerReferences=[foreign]))
        await client.delete(ConfigMap, "owner", cascade=CascadeType.BACKGROUND)

        async def left() -> bool:
            pods = [_meta(each).name async for each in client.list(Pod)]
            return (await _names(client), pods) == (["foreign", "other", "shared"], [])

        await eventually(left, "the dependents to be collected")

        async def forgotten() -> bool:
            return _meta(await client.get(ConfigMap, "shared")).ownerReferences == _owned_by(other)

        await eventually(forgotten, "the owner that is gone to be forgotten")

    _session(tmp_path, check)


def test_an_owner_of_that_name_but_another_uid_is_no_owner(tmp_path: Path) -> None:
    """What belongs to a node that was made anew under its name goes; what belongs to the new one stays."""

    async def check(client: AsyncClient) -> None:
        node = await client.create(Node(metadata=ObjectMeta(name="n1")))
        stranger = OwnerReference("v1", "Node", "n1", "another-uid")
        await client.create(_config("stale", ownerReferences=[stranger]))
        await client.create(_config("kept", ownerReferences=_owned_by(node)))

        async def left() -> bool:
            return await _names(client) == ["kept"]

        await eventually(left, "the stale object to be collected")

    _session(tmp_path, check)


def test_orphans_stay_and_belong_to_nobody(tmp_path: Path) -> None:
    """Deleting an owner with Orphan keeps what belonged to it."""

    async def check(client: AsyncClient) -> None:
        owner = await client.create(_config("owner"))
        await client.create(_config("child", ownerReferences=_owned_by(owner)))
        await client.delete(ConfigMap, "owner", cascade=CascadeType.ORPHAN)

        async def alone() -> bool:
            return await _names(client) == ["child"]

        await eventually(alone, "the owner to go")
        assert not _meta(await client.get(ConfigMap, "child")).ownerReferences

    _session(tmp_path, check)


def test_an_owner_in_the_foreground_goes_last(tmp_path: Path) -> None:
    """It waits for the dependents that block it, here one that a finalizer holds."""

    async def check(client: AsyncClient) -> None:
        owner = await client.create(_config("owner"))
        refs = _owned_by(owner, blocks=True)
        await client.create(_config("child", ownerReferences=refs, finalizers=["example.org/hold"]))
        await client.delete(ConfigMap, "owner", cascade=CascadeType.FOREGROUND)

        async def going() -> bool:
            return _meta(await client.get(ConfigMap, "child")).deletionTimestamp is not None

        await eventually(going, "the dependent to be deleted")
        assert _meta(await client.get(ConfigMap, "owner")).finalizers == ["foregroundDeletion"]
        done = {"metadata": {"finalizers": None}}
        await client.patch(ConfigMap, "child", done, patch_type=PatchType.MERGE)

        async def gone() -> bool:
            return await _names(client) == []

        await eventually(gone, "the owner to go")

    _session(tmp_path, check)


def test_lists_come_in_pages_and_selections(tmp_path: Path) -> None:
    """The library asks page by page; selectors of labels and fields are its own way of writing them."""

    async def check(client: AsyncClient) -> None:
        for number in range(7):
            await client.create(_config(f"c{number}", labels={"odd": str(number % 2)}))
        every = [f"c{number}" for number in range(7)]
        assert await _names(client, chunk_size=3) == every
        assert await _names(client, labels={"odd": "1"}) == ["c1", "c3", "c5"]
        assert await _names(client, fields={"metadata.name": "c4"}) == ["c4"]
        assert await _refused(_names(client, fields={"data.a": "b"})) == (400, "BadRequest")
        secrets = [each async for each in client.list(Secret, namespace="*")]
        assert secrets == []

    _session(tmp_path, check)


def test_a_watch_from_a_lists_version_tells_of_changes(tmp_path: Path) -> None:
    """Added, modified and deleted, in the order in which they happened."""

    async def check(client: AsyncClient) -> None:
        version = _meta(await client.create(_config("before"))).resourceVersion
        seen: list[tuple[str, str | None]] = []

        async def watch() -> None:
            async for kind, obj in client.watch(ConfigMap, resource_version=version):
                seen.append((kind, _meta(obj).name))
                if kind == "DELETED":
                    return

        watching = asyncio.create_task(watch())
        await client.create(_config())
        await client.patch(ConfigMap, "c", {"data": {"a": "c"}})
        await client.delete(ConfigMap, "c")
        await watching
        assert seen == [("ADDED", "c"), ("MODIFIED", "c"), ("DELETED", "c")]

    _session(tmp_path, check)


def test_server_side_apply_is_refused_as_a_format_that_is_not_read(tmp_path: Path) -> None:
    """A library that tries it is told with the Status that says so, and nothing is stored."""

    async def check(client: AsyncClient) -> None:
        applied = client.apply(_config(), field_manager="test")
        assert await _refused(applied) == (415, "UnsupportedMediaType")
        assert await _names(client) == []

    _session(tmp_path, check)
