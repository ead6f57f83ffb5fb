"""The state on disk: restarts, damage, compaction, a full disk, modes of files."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from minikubelet.stubapi.stubpersistence import StateInUseError, StateLog
from minikubelet.stubapi.stubresources import CONFIGMAPS
from minikubelet.stubapi.stubstore import Change, ChangeKind, Key, Stored
from tests.stubapi.stubapi_world import PODS, World, pod, run, running

if TYPE_CHECKING:
    from pathlib import Path

MAPS = "/api/v1/namespaces/default/configmaps"


def _change(version: int, name: str, kind: ChangeKind = ChangeKind.ADDED) -> Change:
    obj = {"metadata": {"name": name, "namespace": "ns", "resourceVersion": str(version)}}
    raw = b'{"metadata":{"name":"%s","namespace":"ns","resourceVersion":"%d"}}' % (name.encode(), version)
    return Change(version, kind, CONFIGMAPS, Key("ns", name), Stored(obj, raw), None, b"")


def _names(directory: Path) -> tuple[int, list[str]]:
    log = StateLog(directory)
    try:
        version, objects = log.load()
    finally:
        log.close()
    return version, sorted(obj["metadata"]["name"] for _, obj in objects)


def test_objects_versions_and_the_token_outlive_a_restart(tmp_path: Path) -> None:
    found: list[Any] = []

    async def first(world: World) -> None:
        await world.good("POST", PODS, pod("gone"))
        await world.good("DELETE", f"{PODS}/gone")
        await world.good("POST", PODS, pod("kept"))
        found.append(await world.good("GET", PODS))
        found.append(world.server.token)
        found.append(world.server.ca_file.read_bytes())

    async def second(world: World) -> None:
        assert await world.good("GET", PODS) == found[0]
        assert world.server.token == found[1]
        assert world.server.ca_file.read_bytes() == found[2]
        version = found[0]["metadata"]["resourceVersion"]
        async with world.watching(PODS, resourceVersion=version) as watch:
            created = await world.good("POST", PODS, pod("next"))
            assert (await watch.next())["object"] == created
        assert int(created["metadata"]["resourceVersion"]) > int(version)
        old = str(int(version) - 1)
        async with world.watching(PODS, resourceVersion=old) as watch:
            assert (await watch.next())["object"]["code"] == 410

    run(tmp_path, first)
    run(tmp_path, second)


def test_nobody_else_can_read_the_state(tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def check(world: World) -> None:
        world.server.write_kubeconfig(tmp_path / "kubeconfig")
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        files = [*state.iterdir(), tmp_path / "kubeconfig"]
        assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in files} == {
            path.name: 0o600 for path in files
        }

    run(state, check)


def test_a_write_that_the_disk_refuses_is_a_500_and_was_never_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(world: World) -> None:
        version = (await world.good("GET", MAPS))["metadata"]["resourceVersion"]
        real = os.pwrite

        def full(descriptor: int, content: bytes, offset: int) -> int:
            if len(content) > 10:
                return real(descriptor, content[:10], offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", full)
            code, reason, message = await world.refused("POST", MAPS, {"metadata": {"name": "c"}})
        assert (code, reason) == (500, "InternalError")
        assert "No space left on device" in message
        listed = await world.good("GET", MAPS)
        assert (listed["items"], listed["metadata"]["resourceVersion"]) == ([], version)
        await world.good("POST", MAPS, {"metadata": {"name": "d"}})

    run(tmp_path, check)
    _, names = _names(tmp_path)
    assert "d" in names
    assert "c" not in names


def test_after_a_failed_flush_the_log_goes_on_in_a_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    log = StateLog(tmp_path)
    log.load()
    log.append([_change(1, "a")])
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(OSError, match="Input/output"):
            log.append([_change(2, "b")])
        with pytest.raises(OSError, match="Input/output"):
            log.append([_change(2, "b")])
    before = (tmp_path / "state.log").stat().st_ino
    log.append([_change(2, "c")])
    log.close()
    assert (tmp_path / "state.log").stat().st_ino != before
    assert _names(tmp_path) == (2, ["a", "c"])


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_end_is_set_aside_and_the_rest_kept(tmp_path: Path, cut: int) -> None:
    log = StateLog(tmp_path)
    log.load()
    log.append([_change(1, "a"), _change(2, "b")])
    log.close()
    path = tmp_path / "state.log"
    path.write_bytes(path.read_bytes()[:-cut])
    assert _names(tmp_path) == (1, ["a"])
    assert (tmp_path / "state.log.damaged").exists()
    assert _names(tmp_path) == (1, ["a"])


@pytest.mark.parametrize("content", [b"\x00" * 100, b"not a log\n", b"\n", b"00000000 {}\n", b""])
def test_a_file_that_is_no_log_does_not_keep_the_server_from_starting(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.log").write_bytes(content)

    async def check(world: World) -> None:
        await world.good("POST", PODS, pod())

    run(tmp_path, check)
    assert "web" in _names(tmp_path)[1]


def test_compaction_keeps_what_lives_and_the_version(tmp_path: Path) -> None:
    log = StateLog(tmp_path, compact_bytes=2000)
    log.load()
    log.append([_change(1, "kept")])
    version = 1
    while (size := (tmp_path / "state.log").stat().st_size) <= 2000:
        log.append([_change(version + 1, "x"), _change(version + 2, "x", ChangeKind.DELETED)])
        version += 2
    assert log.wants_compaction
    log.compact(version, [(CONFIGMAPS, _change(1, "kept").after)])
    log.append([_change(version + 1, "new")])
    log.close()
    assert (tmp_path / "state.log").stat().st_size < size
    assert _names(tmp_path) == (version + 1, ["kept", "new"])


def test_a_compaction_that_fails_leaves_the_old_log_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = StateLog(tmp_path)
    log.load()
    log.append([_change(1, "a")])

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        log.compact(1, [])
    log.append([_change(2, "b")])
    log.close()
    assert _names(tmp_path) == (2, ["a", "b"])
    assert not (tmp_path / "state.log.new").exists()


def test_two_servers_do_not_share_a_directory(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path):
            with pytest.raises(StateInUseError, match="another API server uses"):
                async with running(tmp_path):
                    pass

    asyncio.run(main())


def test_a_restart_keeps_the_port_unless_it_is_taken_or_unreadable(tmp_path: Path) -> None:
    async def main() -> None:
        urls: list[str] = []
        for _ in range(4):
            async with running(tmp_path) as world:
                urls.append(world.server.url)
        # Another program may take a port in between, but hardly three times.
        assert any(first == second for first, second in pairwise(urls))
        host, port = "127.0.0.1", int(urls[-1].rpartition(":")[2])
        taken = await asyncio.start_server(lambda _, writer: writer.close(), host, port)
        async with taken, running(tmp_path) as world:
            assert world.server.url != urls[-1]
            await world.good("GET", PODS)
        (tmp_path / "port").write_bytes(b"\xff")
        async with running(tmp_path) as world:
            await world.good("GET", PODS)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 99999), ("a..b", 0), ("h\u00e9.invalid", 0), ("192.0.2.1", 0)]
)
def test_an_address_that_cannot_be_listened_on_is_an_oserror_and_leaves_nothing_open(
    tmp_path: Path, host: str, port: int
) -> None:
    async def main() -> None:
        for _ in range(2):
            with pytest.raises(OSError, match=r".") as refused:
                async with running(tmp_path, host=host, port=port):
                    pass
            assert not isinstance(refused.value, StateInUseError)

    asyncio.run(main())
