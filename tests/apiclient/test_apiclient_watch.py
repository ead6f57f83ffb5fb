"""List and watch by the letter of the API's conventions, on a scripted client without sockets."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias

from minikubelet.apiclient.apibackoff import BackoffPolicy
from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.apiclient.apiwatch import ByteStream, WatchOptions, list_all, list_watch
from minikubelet.ports.apiport import Bookmark, Changed, ChangeType, Disconnected, Listed, WatchItem
from tests.apiclient.apiclient_world import pod, pod_list, take
from tests.running import run

PODS = "/api/v1/pods"
GONE = ApiError(410, "Expired", "too old resource version")
DOWN = ApiUnreachable("cannot reach https://api: connection refused")
Part: TypeAlias = bytes | Exception
Script: TypeAlias = list[Part] | Exception


def event(kind: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


def bookmark(version: str) -> bytes:
    return event("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": version}})


class ScriptedStream:
    def __init__(self, parts: list[Part]) -> None:
        self._parts = list(parts)

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        part = self._parts.pop(0) if self._parts else b""
        if isinstance(part, Exception):
            raise part
        return part


class ScriptedClient:
    """Answers lists and watches from scripts, in order; when they are used up, watches stay silent."""

    def __init__(self, lists: list[Any], watches: list[Script]) -> None:
        self._lists = list(lists)
        self._watches = list(watches)
        self.asked: list[dict[str, str]] = []
        self.open = 0

    async def request(self, method: str, path: str, *, params: Mapping[str, str] | None = None) -> Any:
        assert (method, path) == ("GET", PODS)
        self.asked.append(dict(params or {}))
        await asyncio.sleep(0)
        answer = self._lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def open_stream(
        self, path: str, *, params: Mapping[str, str], deadline_seconds: float
    ) -> AsyncIterator[ByteStream]:
        assert path == PODS
        assert deadline_seconds > int(params["timeoutSeconds"]) - 1
        self.asked.append(dict(params))
        if not self._watches:
            await asyncio.get_running_loop().create_future()
        script = self._watches.pop(0)
        if isinstance(script, Exception):
            raise script
        self.open += 1
        try:
            yield ScriptedStream(script)
        finally:
            self.open -= 1


class Waits:
    """A sleep that does not, and remembers."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def following(
    client: ScriptedClient, count: int, waits: Waits | None = None, *, short_seconds: float = 0.0
) -> list[WatchItem]:
    taken: list[WatchItem] = []

    async def main() -> None:
        options = WatchOptions(
            rng=random.Random(7),
            sleep=waits or Waits(),
            clock=lambda: 0.0,
            short_seconds=short_seconds,
            backoff=BackoffPolicy(jitter=0.0),
        )
        watch = list_watch(client, PODS, params={"fieldSelector": "spec.nodeName=n1"}, options=options)
        taken.extend(await take(watch, count))
        assert client.open == 0

    run(main())
    return taken


def test_listing_comes_first_and_items_get_their_kind() -> None:
    client = ScriptedClient([pod_list(pod("a", "3"), version="5")], [[event("MODIFIED", pod("a", "6"))]])
    assert following(client, 2) == [
        Listed((pod("a", "3"),), "5"),
        Changed(ChangeType.MODIFIED, pod("a", "6")),
    ]
    assert client.asked[0] == {"fieldSelector": "spec.nodeName=n1", "limit": "500"}
    watch = client.asked[1]
    assert 300 <= int(watch.pop("timeoutSeconds")) <= 600
    assert watch == {
        "fieldSelector": "spec.nodeName=n1",
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "5",
    }


def test_an_ended_watch_resumes_at_the_last_version_without_a_word() -> None:
    client = ScriptedClient(
        [pod_list(version="5")],
        [[event("ADDED", pod("a", "6")) + bookmark("9")], [event("DELETED", pod("a", "10"))]],
    )
    assert following(client, 4)[1:] == [
        Changed(ChangeType.ADDED, pod("a", "6")),
        Bookmark("9"),
        Changed(ChangeType.DELETED, pod("a", "10")),
    ]
    assert [asked.get("resourceVersion") for asked in client.asked] == [None, "5", "9"]


def test_a_watch_that_ends_at_once_is_backed_off() -> None:
    waits = Waits()
    client = ScriptedClient([pod_list(version="5")], [[], [], [bookmark("6")]])
    items = following(client, 6, waits, short_seconds=1.0)
    assert [type(item) for item in items] == [
        Listed,
        Disconnected,
        Bookmark,
        Disconnected,
        Bookmark,
        Bookmark,
    ]
    assert waits.seconds == [0.8, 1.6]


def test_gone_by_http_lists_anew_without_a_disconnect() -> None:
    client = ScriptedClient(
        [pod_list(version="5"), pod_list(pod("b", "20"), version="30")],
        [[bookmark("6")], GONE, [bookmark("31")]],
    )
    assert following(client, 4) == [
        Listed((), "5"),
        Bookmark("6"),
        Listed((pod("b", "20"),), "30"),
        Bookmark("31"),
    ]


def test_gone_within_the_stream_lists_anew() -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    client = ScriptedClient(
        [pod_list(version="5"), pod_list(version="30")],
        [[bookmark("6"), event("ERROR", status), event("ADDED", pod("never", "7"))]],
    )
    assert following(client, 3) == [Listed((), "5"), Bookmark("6"), Listed((), "30")]


def test_gone_again_and_again_is_backed_off() -> None:
    waits = Waits()
    client = ScriptedClient([pod_list(version=str(n)) for n in range(1, 4)], [GONE, GONE])
    items = following(client, 5, waits)
    assert [type(item) for item in items] == [Listed, Disconnected, Listed, Disconnected, Listed]
    assert waits.seconds == [0.8, 1.6]


def test_a_server_restored_from_a_backup_is_listed_anew() -> None:
    details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
    ahead = ApiError(504, "Timeout", "Too large resource version: 90, current: 7", details, 1.0)
    client = ScriptedClient([pod_list(version="90"), pod_list(version="7")], [[bookmark("91")], ahead])
    assert following(client, 3) == [Listed((), "90"), Bookmark("91"), Listed((), "7")]


def test_an_unreachable_server_is_asked_ever_more_seldom_and_its_return_is_told() -> None:
    waits = Waits()
    client = ScriptedClient([DOWN, DOWN, pod_list(version="5")], [DOWN, [bookmark("8")]])
    items = following(client, 6, waits)
    assert items == [
        Disconnected(str(DOWN), 0.8),
        Disconnected(str(DOWN), 1.6),
        Listed((), "5"),
        Disconnected(str(DOWN), 3.2),
        Bookmark("5"),
        Bookmark("8"),
    ]
    assert waits.seconds == [0.8, 1.6, 3.2]


def test_back_off_stops_growing_and_begins_anew_after_progress() -> None:
    client = ScriptedClient([DOWN] * 8 + [pod_list(version="5")], [[bookmark("6"), DOWN]])
    items = following(client, 11)
    waits = [item.retry_in_seconds for item in items if isinstance(item, Disconnected)]
    assert waits == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 0.8]


def test_the_server_may_ask_for_a_longer_wait_but_not_for_any() -> None:
    busy = ApiError(429, "TooManyRequests", "slow down", None, 17.0)
    absurd = ApiError(503, "ServiceUnavailable", "later", None, 1e9)
    client = ScriptedClient([busy, absurd, pod_list(version="5")], [])
    items = following(client, 3)
    waits = [item.retry_in_seconds for item in items if isinstance(item, Disconnected)]
    assert waits == [17.0, 30.0]


def test_garbage_in_a_stream_resumes_where_it_was_and_in_the_end_lists_anew() -> None:
    garbage: list[Script] = [
        [bookmark("6"), b"<html>\n"],
        [b'{"type": "ADDED"}\n'],
        [event("ADDED", {"kind": "Pod", "metadata": {}})],
    ]
    client = ScriptedClient([pod_list(version="5"), pod_list(version="40")], garbage)
    items = following(client, 8)
    assert [type(item) for item in items] == [
        Listed,
        Bookmark,
        Disconnected,
        Bookmark,
        Disconnected,
        Bookmark,
        Disconnected,
        Listed,
    ]
    assert [asked.get("resourceVersion") for asked in client.asked] == [None, "5", "6", "6", None]


def test_a_cut_line_at_the_end_is_not_believed() -> None:
    whole = event("ADDED", pod("a", "6"))
    client = ScriptedClient([pod_list(version="5")], [[whole[:-20]], [whole]])
    assert following(client, 2)[1] == Changed(ChangeType.ADDED, pod("a", "6"))
    assert [asked.get("resourceVersion") for asked in client.asked] == [None, "5", "5"]


def test_a_list_comes_in_pages_and_in_one_piece_when_they_expire() -> None:
    async def main() -> None:
        pages = [pod_list(pod("a", "1"), version="5", more="t1"), pod_list(pod("b", "2"), version="5")]
        client = ScriptedClient(pages, [])
        assert await list_all(client, PODS, page_limit=1) == Listed((pod("a", "1"), pod("b", "2")), "5")
        assert client.asked == [{"limit": "1"}, {"limit": "1", "continue": "t1"}]

        client = ScriptedClient([pages[0], GONE, pod_list(pod("c", "9"), version="9")], [])
        assert await list_all(client, PODS, page_limit=1) == Listed((pod("c", "9"),), "9")
        assert client.asked[-1] == {}

    run(main())


def test_what_is_no_list_is_a_disconnect() -> None:
    strange: list[Any] = [None, [], {"kind": "PodList"}, {"metadata": {"resourceVersion": "1"}, "items": {}}]
    client = ScriptedClient([*strange, pod_list(version="5")], [])
    items = following(client, 5)
    assert [type(item) for item in items] == [Disconnected] * 4 + [Listed]


def test_cancelling_the_reader_closes_the_watch() -> None:
    async def main() -> None:
        forever: list[Part] = [bookmark(str(n)) for n in range(6, 10_000)]
        client = ScriptedClient([pod_list(version="5")], [forever])
        reading = asyncio.Event()

        async def read() -> None:
            async with aclosing(list_watch(client, PODS)) as items:
                async for item in items:
                    if isinstance(item, Bookmark):
                        reading.set()
                        await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(read())
        await reading.wait()
        assert client.open == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert client.open == 0

    run(main())
