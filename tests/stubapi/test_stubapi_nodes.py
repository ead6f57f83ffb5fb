"""A node whose lease stands still is shown as Unknown, whatever its own clock says; nobody else is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from minikubelet.stubapi.stubcommits import Committer
from minikubelet.stubapi.stubnodes import GRACE_SECONDS, SilentNodes
from minikubelet.stubapi.stubpersistence import StateLog
from minikubelet.stubapi.stubresources import LEASES, NAMESPACES, NODES, PODS, Target
from minikubelet.stubapi.stubstore import Key, Store
from minikubelet.stubapi.stubwrites import Writes
from tests.running import run
from tests.stubapi.stubapi_world import pod

CONDITIONS = ("Ready", "MemoryPressure", "JournalDegraded")
LEASE_SPACE = "kube-node-lease"


class NodesWorld:
    """A store with its writes, and a clock that tests move."""

    def __init__(self, store: Store, committer: Committer) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.store = store
        self.writes = Writes(store, committer, lambda: self.now, None)
        self.silent = SilentNodes(store, self.writes, lambda: self.now)

    async def node(self, name: str) -> None:
        conditions = [{"type": kind, "status": "True", "reason": "KubeletReady"} for kind in CONDITIONS]
        await self.writes.create(
            Target(NODES), {"metadata": {"name": name}, "status": {"conditions": conditions}}
        )

    async def renew(self, name: str, when: str) -> None:
        body = {"metadata": {"name": name}, "spec": {"renewTime": when}}
        if self.store.get(LEASES, Key(LEASE_SPACE, name)) is None:
            await self.writes.create(Target(LEASES, LEASE_SPACE), body)
        else:
            await self.writes.update(Target(LEASES, LEASE_SPACE, name), body)

    async def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        await self.silent.look()

    def status(self, name: str) -> dict[str, str]:
        stored = self.store.get(NODES, Key("", name))
        assert stored is not None
        return {each["type"]: each["status"] for each in stored.obj["status"]["conditions"]}


@asynccontextmanager
async def nodes_world(state: Path) -> AsyncIterator[NodesWorld]:
    log = StateLog(state)
    store = Store(*log.load())
    committer = Committer(store, log)
    writing = asyncio.create_task(committer.run())
    world = NodesWorld(store, committer)
    await world.writes.create(Target(NAMESPACES), {"metadata": {"name": LEASE_SPACE}})
    try:
        yield world
    finally:
        committer.close()
        await writing
        log.close()


def in_world(state: Path, test: Any) -> None:
    async def main() -> None:
        async with nodes_world(state) as world:
            await test(world)

    run(main())


def test_a_node_is_unknown_once_its_lease_has_stood_still_and_the_others_are_not(state_dir: Path) -> None:
    async def test(world: NodesWorld) -> None:
        for name in ("lost", "alive"):
            await world.node(name)
            await world.renew(name, "2026-01-01T00:00:00.000000Z")
        await world.later(0)
        await world.later(GRACE_SECONDS)
        assert world.status("lost")["Ready"] == "True"
        await world.renew("alive", "2026-01-01T00:00:30.000000Z")
        await world.later(1)
        assert world.status("lost") == {
            "Ready": "Unknown",
            "MemoryPressure": "Unknown",
            "JournalDegraded": "True",
        }
        assert world.status("alive")["Ready"] == "True"

    in_world(state_dir, test)


def test_what_counts_is_that_a_lease_changes_not_the_time_that_is_in_it(state_dir: Path) -> None:
    """A node whose clock is a century behind renews like any other."""

    async def test(world: NodesWorld) -> None:
        await world.node("old")
        for second in range(10):
            await world.renew("old", f"1926-01-01T00:00:{second:02}.000000Z")
            await world.later(GRACE_SECONDS - 1)
        assert world.status("old")["Ready"] == "True"

    in_world(state_dir, test)


def test_a_node_without_a_lease_gets_its_grace_too_and_its_pods_are_left_alone(state_dir: Path) -> None:
    async def test(world: NodesWorld) -> None:
        await world.node("bare")
        await world.writes.create(Target(NAMESPACES), {"metadata": {"name": "default"}})
        before = await world.writes.create(Target(PODS, "default"), pod("p", nodeName="bare"))
        await world.later(0)
        assert world.status("bare")["Ready"] == "True"
        await world.later(GRACE_SECONDS + 1)
        assert world.status("bare")["Ready"] == "Unknown"
        stored = world.store.get(PODS, Key("default", "p"))
        assert stored is not None
        assert stored.obj == before

    in_world(state_dir, test)


def test_a_node_is_doubted_once_and_may_speak_for_itself_again(state_dir: Path) -> None:
    async def test(world: NodesWorld) -> None:
        await world.node("back")
        await world.later(0)
        await world.later(GRACE_SECONDS + 1)
        version = world.store.version
        await world.later(GRACE_SECONDS)
        assert world.store.version == version
        ready = {"type": "Ready", "status": "True"}
        patch = {"status": {"conditions": [ready]}}
        await world.writes.patch(
            Target(NODES, "", "back", "status"), "application/strategic-merge-patch+json", patch
        )
        await world.renew("back", "2026-01-01T00:02:00.000000Z")
        await world.later(1)
        assert world.status("back")["Ready"] == "True"

    in_world(state_dir, test)
