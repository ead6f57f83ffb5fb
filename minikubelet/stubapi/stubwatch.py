"""Watches: the changes of one resource from a version on, as a stream of JSON lines.

A watch keeps a position in the shared history instead of a queue of its own: nothing is lost or reordered,
and one that falls too far behind is told 410 and lists again. No parsing of requests, no sockets.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from minikubelet.stubapi.stubresources import Obj, Resource
from minikubelet.stubapi.stubselectors import Selector
from minikubelet.stubapi.stubstatus import ApiError
from minikubelet.stubapi.stubstore import Change, ChangeKind, Store, Stored, watch_line
from minikubelet.stubapi.stubtables import make_table

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

_INITIAL_END = {"k8s.io/initial-events-end": "true"}
_REPLAY_CHUNK = 256


class WatchRequest(msgspec.Struct, frozen=True):
    """What a client asked to watch; `seconds` bounds the watch, `start` None begins with what exists."""

    resource: Resource
    namespace: str
    selector: Selector
    start: int | None
    seconds: float
    bookmarks: bool = False
    initial_end: bool = False
    table: bool = False
    include: str = "Metadata"


class Watches:
    """Serves watches from a store until it is closed."""

    def __init__(self, store: Store, clock: Callable[[], datetime], bookmark_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._bookmark_seconds = bookmark_seconds
        self._closed = False

    @property
    def closed(self) -> bool:
        """The server ends: nothing is told any more."""
        return self._closed

    def close(self) -> None:
        """End every watch at once."""
        self._closed = True
        for window in self._store.windows.values():
            window.wake()

    async def stream(self, request: WatchRequest) -> AsyncGenerator[bytes]:
        """The events of a watch, one chunk of lines at a time, the first of them perhaps empty.

        A history that no longer reaches back far enough ends it with an ERROR event of code 410.
        """
        deadline = asyncio.get_running_loop().time() + request.seconds
        position, opening = self._open(request)
        yield opening
        while not self._closed:
            news = self._store.windows[request.resource].news()
            try:
                changes = self._store.since(request.resource, position)[:_REPLAY_CHUNK]
            except ApiError as problem:
                yield watch_line("ERROR", msgspec.json.encode(problem.status()))
                return
            if changes:
                position = changes[-1].version
                if lines := b"".join(self._line(request, change) for change in changes):
                    yield lines
                continue
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await _happens(news, min(left, self._bookmark_seconds))
            # A change may have come in the very moment the waiting ended: a bookmark must not pass it by.
            if request.bookmarks and not news.is_set():
                position = max(position, self._store.version)
                yield self._bookmark(request, position)

    def _open(self, request: WatchRequest) -> tuple[int, bytes]:
        """The position to go on from, and the events of what exists already."""
        if request.start is not None:
            return request.start, b""
        version = self._store.version
        lines = [
            self._encode(request, "ADDED", stored)
            for stored in self._store.select(request.resource, request.namespace)
            if request.selector.matches(stored.obj)
        ]
        if request.initial_end:
            lines.append(self._bookmark(request, version, _INITIAL_END))
        return version, b"".join(lines)

    def _line(self, request: WatchRequest, change: Change) -> bytes:
        if request.namespace and change.key.namespace != request.namespace:
            return b""
        if request.selector.selects_all:
            return self._encode(request, change.kind, change.after, change.line)
        before = change.before is not None and request.selector.matches(change.before.obj)
        after = change.kind is not ChangeKind.DELETED and request.selector.matches(change.after.obj)
        match before, after:
            case False, False:
                return b""
            case False, True:
                return self._encode(request, ChangeKind.ADDED, change.after)
            case True, True:
                return self._encode(request, ChangeKind.MODIFIED, change.after, change.line)
            case _:
                return self._left(request, change)

    def _left(self, request: WatchRequest, change: Change) -> bytes:
        """A deletion, or an object that no longer matches: as upstream, its last selected state."""
        if change.kind is ChangeKind.DELETED or change.before is None:
            return self._encode(request, ChangeKind.DELETED, change.after)
        meta = {**change.before.obj["metadata"], "resourceVersion": str(change.version)}
        last = {**change.before.obj, "metadata": meta}
        return self._encode(request, ChangeKind.DELETED, Stored(last, msgspec.json.encode(last)))

    def _encode(self, request: WatchRequest, kind: str, stored: Stored, line: bytes | None = None) -> bytes:
        if not request.table:
            return watch_line(kind, stored.raw) if line is None else line
        meta = {"resourceVersion": stored.obj["metadata"]["resourceVersion"]}
        table = make_table(request.resource, [stored.obj], meta, self._clock(), request.include)
        return watch_line(kind, msgspec.json.encode(table))

    def _bookmark(self, request: WatchRequest, version: int, annotations: Obj | None = None) -> bytes:
        meta: Obj = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = annotations
        resource = request.resource
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}
        if request.table:
            meta_only = {"resourceVersion": str(version)}
            obj = make_table(resource, [], meta_only, self._clock())
        return watch_line("BOOKMARK", msgspec.json.encode(obj))


async def _happens(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
