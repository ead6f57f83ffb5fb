"""Watches: order, resume, bookmarks, 410, selectors, and that none is lost or left over."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from minikubelet.stubapi.stubcommits import Act, Committer, Decision, Lookup
from minikubelet.stubapi.stubpersistence import StateLog
from minikubelet.stubapi.stubresources import CONFIGMAPS, Obj
from minikubelet.stubapi.stubselectors import parse_selector
from minikubelet.stubapi.stubstore import Key, Store
from minikubelet.stubapi.stubwatch import Watches, WatchRequest
from tests.stubapi.stubapi_world import PATIENCE, PODS, World, pod, run, running

CONFIGMAP_PATH = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"


def test_a_watch_from_a_lists_version_shows_all_that_follows_in_order(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod("before"))
        listed = await world.good("GET", PODS)
        version = listed["metadata"]["resourceVersion"]
        async with world.watching(PODS, resourceVersion=version) as watch:
            await world.good("POST", PODS, pod("a"))
            await world.good("PATCH", f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}}, content=MERGE)
            await world.good("DELETE", f"{PODS}/a")
            events = [await watch.next() for _ in range(3)]
        assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
        assert sorted({int(version), *versions}) == [int(version), *versions]
        async with world.watching(PODS, resourceVersion=version) as late:
            assert [await late.next() for _ in range(3)] == events

    run(tmp_path, check)


def test_a_watch_without_a_version_begins_with_what_exists(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod("a"))
        async with world.watching(PODS) as watch:
            assert await watch.brief() == ("ADDED", "a")
            await world.good("POST", PODS, pod("b"))
            assert await watch.brief() == ("ADDED", "b")

    run(tmp_path, check)


def test_initial_events_end_with_a_marked_bookmark(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod("a"))
        query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true"}
        async with world.watching(PODS, resourceVersionMatch="NotOlderThan", **query) as watch:
            assert await watch.brief() == ("ADDED", "a")
            event = await watch.next()
        assert event["type"] == "BOOKMARK"
        assert event["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}

    run(tmp_path, check)


def test_an_idle_watch_is_told_the_version_it_has_reached(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        listed = await world.good("GET", PODS)
        version = listed["metadata"]["resourceVersion"]
        await world.good("POST", CONFIGMAP_PATH, {"metadata": {"name": "elsewhere"}})
        async with world.watching(PODS, resourceVersion=version, allowWatchBookmarks="true") as watch:
            event = await watch.next()
        assert event["type"] == "BOOKMARK"
        assert int(event["object"]["metadata"]["resourceVersion"]) > int(version)

    run(tmp_path, check, bookmark_seconds=0.01)


def test_objects_enter_and_leave_a_selection(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        await world.good("POST", PODS, pod("a"))
        version = (await world.good("GET", PODS))["metadata"]["resourceVersion"]
        query = {"resourceVersion": version, "labelSelector": "color=red"}
        async with world.watching(PODS, **query) as watch:
            for color in ("red", "blue", "red"):
                await world.good(
                    "PATCH", f"{PODS}/a", {"metadata": {"labels": {"color": color}}}, content=MERGE
                )
            await world.good("DELETE", f"{PODS}/a")
            events = [await watch.next() for _ in range(4)]
        assert [event["type"] for event in events] == ["ADDED", "DELETED", "ADDED", "DELETED"]
        assert events[1]["object"]["metadata"]["labels"] == {"color": "red"}

    run(tmp_path, check)


def test_a_version_beyond_the_history_is_gone_and_so_is_one_of_another_life(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        version = (await world.good("GET", CONFIGMAP_PATH))["metadata"]["resourceVersion"]
        for number in range(12):
            await world.good("POST", CONFIGMAP_PATH, {"metadata": {"name": f"c{number}"}})
        for asked in (version, "999999"):
            async with world.watching(CONFIGMAP_PATH, resourceVersion=asked) as watch:
                event = await watch.next()
                assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
                assert event["object"]["reason"] == "Expired"
                assert await watch.next() is None

    run(tmp_path, check, history=4)


def test_two_hundred_watches_see_every_change_and_end_when_the_server_stops(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(4 * PATIENCE), running(tmp_path) as world, AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(world.watching(PODS)) for _ in range(200)]
            names = [f"p{number}" for number in range(5)]
            for name in names:
                await world.good("POST", PODS, pod(name))
            for watch in opened:
                assert [await watch.brief() for _ in names] == [("ADDED", name) for name in names]
            async with asyncio.timeout(PATIENCE):
                await world.server.stop()
            assert [await watch.next() for watch in opened] == [None] * len(opened)

    asyncio.run(main())


def test_a_watch_that_times_out_ends_without_an_error(tmp_path: Path) -> None:
    async def check(world: World) -> None:
        async with world.watching(PODS, timeoutSeconds="1") as watch:
            assert await watch.next() is None

    run(tmp_path, check)


Step = tuple[str, int]
STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), max_size=25)


async def _follow(
    store: Store, start: int, seen: dict[str, Any], changing: asyncio.Task[None], selector: str
) -> list[int]:
    """Bring `seen` up to date while changes happen; returns the versions in the order of the events."""
    query = parse_selector(CONFIGMAPS, {"labelSelector": selector})
    watches = Watches(store, lambda: datetime.now(UTC), 0.0005)
    request = WatchRequest(CONFIGMAPS, "ns", query, start, PATIENCE, bookmarks=True)
    versions: list[int] = []
    async with aclosing(watches.stream(request)) as chunks:
        async for chunk in chunks:
            for line in chunk.splitlines():
                event = msgspec.json.decode(line)
                meta = event["object"]["metadata"]
                versions.append(int(meta["resourceVersion"]))
                if event["type"] == "DELETED":
                    seen.pop(meta["name"])
                elif event["type"] != "BOOKMARK":
                    seen[meta["name"]] = event["object"]
            if changing.done() and versions and versions[-1] >= store.version:
                return versions
    return versions


async def _change_all(committer: Committer, steps: list[Step]) -> None:
    for number, step in enumerate(steps):
        await _change(committer, step)
        await asyncio.sleep(0.0005 * (number % 3))


async def _change(committer: Committer, step: Step) -> None:
    name, number = step

    def decide(old: Obj | None, _: Lookup) -> Decision:
        meta = {"name": name, "namespace": "ns", "labels": {"n": str(number)}}
        obj: Obj = {"metadata": meta}
        if number == 0:
            return Decision(Act.REMOVE, old) if old else Decision(Act.KEEP, obj)
        return Decision(Act.PUT, obj)

    await committer.submit(CONFIGMAPS, Key("ns", name), decide)


@settings(max_examples=25, deadline=None)
@given(STEPS, STEPS, st.sampled_from(["", "n=1", "n notin (2)"]))
def test_a_watch_from_any_point_arrives_at_the_present(
    before: list[Step], after: list[Step], selector: str
) -> None:
    """Whatever happened before and after the list, list plus watch give the state in the end."""

    async def main() -> None:
        with tempfile.TemporaryDirectory() as directory:
            log = StateLog(Path(directory))
            store = Store(*log.load())
            committer = Committer(store, log)
            async with asyncio.TaskGroup() as group:
                group.create_task(committer.run())
                await asyncio.gather(*(_change(committer, step) for step in before))
                wanted = parse_selector(CONFIGMAPS, {"labelSelector": selector})
                start = store.version
                seen = {
                    stored.obj["metadata"]["name"]: stored.obj
                    for stored in store.select(CONFIGMAPS)
                    if wanted.matches(stored.obj)
                }
                changing = group.create_task(_change_all(committer, after))
                versions = await _follow(store, start, seen, changing, selector)
                committer.close()
            log.close()
            assert versions == sorted(versions)
            assert seen == {
                stored.obj["metadata"]["name"]: stored.obj
                for stored in store.select(CONFIGMAPS)
                if wanted.matches(stored.obj)
            }

    asyncio.run(main())
