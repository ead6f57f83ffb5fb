"""List and watch of one collection without end: paging, resuming, bookmarks, 410, backing off.

Knows the API's conventions but no HTTP: a `WatchClient` carries the bytes. What the items mean to the node
is for the sources to say. Behaviour after client-go's reflector (tools/cache/reflector.go).
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from minikubelet.apiclient.apibackoff import Backoff, BackoffPolicy
from minikubelet.apiclient.apierrors import (
    MOST_RETRY_AFTER_SECONDS,
    ApiError,
    ApiUnreachable,
    error_from_status,
)
from minikubelet.apiclient.apiframes import LineSplitter, decode_json
from minikubelet.ports.apiport import (
    Bookmark,
    Changed,
    ChangeType,
    Disconnected,
    JsonObject,
    Listed,
    WatchItem,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

_FAILURES_BEFORE_RELIST = 3


class ByteStream(Protocol):
    """An answer that goes on for minutes."""

    async def read(self) -> bytes:
        """Answer the next bytes, empty at the end; raises ApiUnreachable when it breaks or takes too long."""
        ...


class WatchClient(Protocol):
    """What list and watch need of a client; `ApiClient` is one."""

    async def request(self, method: str, path: str, *, params: Mapping[str, str] | None = None) -> Any:
        """Answer decoded JSON."""
        ...

    def open_stream(
        self, path: str, *, params: Mapping[str, str], deadline_seconds: float
    ) -> AbstractAsyncContextManager[ByteStream]:
        """Open a GET whose body is read as it comes."""
        ...


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How to follow: all times in seconds; clock, sleep and generator are given so that tests decide.

    `watch_seconds` is the range a watch's own length is drawn from; a connection on which nothing ends
    `margin_seconds` later is taken for dead. A watch that ends within `short_seconds` counts as a failure.
    """

    page_limit: int = 500
    backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    watch_seconds: tuple[float, float] = (300.0, 600.0)
    margin_seconds: float = 15.0
    short_seconds: float = 1.0
    rng: random.Random = field(default_factory=random.Random)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


async def list_watch(
    client: WatchClient,
    path: str,
    *,
    params: Mapping[str, str] | None = None,
    options: WatchOptions | None = None,
) -> AsyncGenerator[WatchItem, None]:
    """Follow a collection: first `Listed`, then changes; never ends and raises nothing of the network's.

    After `Disconnected` the next other item (a `Bookmark` at least) says that the watch stands again. Close
    it with `contextlib.aclosing`; cancelling the task that reads is enough, too.
    """
    follower = _Follower(client, path, dict(params or {}), options or WatchOptions())
    async with aclosing(follower.items()) as items:
        async for item in items:
            yield item


async def list_all(
    client: WatchClient, path: str, *, params: Mapping[str, str] | None = None, page_limit: int = 500
) -> Listed:
    """Read a whole collection, page by page, and in one piece where the pages expire meanwhile.

    Raises:
        ApiError, ApiUnreachable: as for any request.
    """
    try:
        return await _read_pages(client, path, dict(params or {}), page_limit)
    except ApiError as error:
        if not error.gone:
            raise
    return await _read_pages(client, path, dict(params or {}), 0)


async def _read_pages(client: WatchClient, path: str, params: dict[str, str], limit: int) -> Listed:
    items: list[JsonObject] = []
    version = token = ""
    while True:
        query = {
            **params,
            **({"limit": str(limit)} if limit else {}),
            **({"continue": token} if token else {}),
        }
        page = await client.request("GET", path, params=query)
        meta = page.get("metadata") if isinstance(page, dict) else None
        found = page.get("items") if isinstance(page, dict) else None
        found = [] if found is None else found  # Go's encoding of an empty list may be null
        if not isinstance(meta, dict) or not isinstance(found, list) or not meta.get("resourceVersion"):
            raise ApiUnreachable(f"the API server's answer to GET {path} is no list of objects")
        # Items of a list come without kind and version, objects of a watch with: make them the same.
        kind = {"apiVersion": page.get("apiVersion"), "kind": str(page.get("kind", "")).removesuffix("List")}
        items.extend({**kind, **item} for item in found)
        # The first page's version: older can only mean that the watch tells something twice.
        version = version or str(meta["resourceVersion"])
        following = str(meta.get("continue") or "")
        if not following or following == token:
            return Listed(tuple(items), version)
        token = following


class _GarbageError(Exception):
    """The stream holds what is no watch event."""


class _Follower:
    """The state of one list_watch: the version seen last, and what failed since."""

    def __init__(self, client: WatchClient, path: str, params: dict[str, str], options: WatchOptions) -> None:
        self._client = client
        self._path = path
        self._params = params
        self._options = options
        self._backoff = Backoff(options.backoff, options.rng)
        self._version: str | None = None
        self._interrupted = False  # a Disconnected was given and nothing since
        self._progress = False  # the watch said something since the last list
        self._failures = 0

    async def items(self) -> AsyncGenerator[WatchItem, None]:
        while True:
            broken: Disconnected | None
            try:
                if self._version is None:
                    yield await self._list()
                started = self._options.clock()
                async with self._open() as stream:
                    if self._interrupted:
                        self._interrupted = False
                        yield Bookmark(self._version or "")
                    splitter = LineSplitter()
                    while chunk := await stream.read():
                        for line in _lines(splitter, chunk):
                            yield self._item(line)
                broken = self._after_end(self._options.clock() - started)
            except ApiError as error:
                broken = self._after_refusal(error)
            except (ApiUnreachable, _GarbageError) as error:
                broken = self._after_failure(str(error))
            if broken is not None:
                self._interrupted = True
                yield broken
                await self._options.sleep(broken.retry_in_seconds)

    async def _list(self) -> Listed:
        listed = await list_all(
            self._client, self._path, params=self._params, page_limit=self._options.page_limit
        )
        self._version = listed.resource_version
        self._interrupted = self._progress = False
        self._failures = 0
        return listed

    def _open(self) -> AbstractAsyncContextManager[ByteStream]:
        # Drawn at random so that a thousand nodes do not come back in the same second.
        seconds = self._options.rng.uniform(*self._options.watch_seconds)
        query = {
            **self._params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version or "",
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        return self._client.open_stream(
            self._path, params=query, deadline_seconds=seconds + self._options.margin_seconds
        )

    def _item(self, line: bytes) -> Changed | Bookmark:
        """Turn a line into an item; an ERROR event is raised as the ApiError it carries."""
        kind, body = _event_of(line)
        if kind == "ERROR":
            raise error_from_status(body)
        meta = body.get("metadata")
        version = meta.get("resourceVersion") if isinstance(meta, dict) else None
        if not version or not isinstance(version, str):
            raise _GarbageError("the watch sent an object without a resource version")
        self._version = version
        self._progress = True
        self._failures = 0
        self._backoff.reset()
        if kind == "BOOKMARK":
            return Bookmark(version)
        try:
            return Changed(ChangeType(kind), body)
        except ValueError:
            raise _GarbageError("the watch sent an event of an unknown type") from None

    def _after_end(self, lasted: float) -> Disconnected | None:
        """A server ends its watches now and then: go on at once, but never in a hot loop."""
        if lasted >= self._options.short_seconds:
            return None
        return self._after_failure("the API server ended the watch as soon as it began")

    def _after_refusal(self, error: ApiError) -> Disconnected | None:
        if error.gone:
            progress, self._version = self._progress, None
            if progress:
                return None
        return self._after_failure(str(error), min(error.retry_after or 0.0, MOST_RETRY_AFTER_SECONDS))

    def _after_failure(self, reason: str, at_least: float = 0.0) -> Disconnected:
        self._failures += 1
        if self._failures % _FAILURES_BEFORE_RELIST == 0:
            # Whatever it is that this version runs into again and again: a new list heals it.
            self._version = None
        return Disconnected(reason, max(self._backoff.next_seconds(), at_least))


def _lines(splitter: LineSplitter, chunk: bytes) -> list[bytes]:
    try:
        return splitter.feed(chunk)
    except ValueError as error:
        raise _GarbageError(f"the watch sent no events: {error}") from None


def _event_of(line: bytes) -> tuple[str, JsonObject]:
    try:
        event = decode_json(line)
    except ValueError:
        raise _GarbageError("the watch sent a line that is no JSON") from None
    body = event.get("object") if isinstance(event, dict) else None
    if not isinstance(body, dict):
        raise _GarbageError("the watch sent a line that is no watch event")
    return str(event.get("type")), body
