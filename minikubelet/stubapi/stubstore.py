"""The objects of the stub API server, their versions, and the recent changes that watches resume from.

In memory and synchronous: reads happen here at any time, writes only through `stubcommits`. Objects are
encoded once per change; lists and watches send those bytes.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from minikubelet.stubapi.stubresources import RESOURCES, Obj, Resource
from minikubelet.stubapi.stubstatus import expired, from_the_future

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HISTORY = 4096
"""Changes kept per resource for watches to resume from."""


class ChangeKind(StrEnum):
    """What a watch event says happened."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Key(msgspec.Struct, frozen=True, order=True):
    """Where an object is: its namespace (empty for cluster-wide ones) and its name."""

    namespace: str
    name: str


class Stored(msgspec.Struct, frozen=True):
    """An object and its JSON."""

    obj: Obj
    raw: bytes


class Change(msgspec.Struct, frozen=True):
    """One committed write; `after` of a deletion is the last state, with the deletion's version."""

    version: int
    kind: ChangeKind
    resource: Resource
    key: Key
    after: Stored
    before: Stored | None
    line: bytes
    """The JSON watch event, with its line end."""


def watch_line(kind: str, raw: bytes) -> bytes:
    """A watch event from an object's JSON."""
    return b'{"type":"' + kind.encode() + b'","object":' + raw + b"}\n"


class Window:
    """The last changes of one resource, in order, and a way to wait for the next."""

    def __init__(self, floor: int, limit: int = HISTORY) -> None:
        self.floor = floor
        self._limit = limit
        self._changes: list[Change] = []
        self._news = asyncio.Event()

    def add(self, change: Change) -> None:
        """Append a change and wake every watch."""
        self._changes.append(change)
        if len(self._changes) > 2 * self._limit:
            del self._changes[: -self._limit]
            self.floor = self._changes[0].version - 1
        self.wake()

    def wake(self) -> None:
        """Let every waiting watch look again."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def news(self) -> asyncio.Event:
        """An event that is set by the next change."""
        return self._news

    def since(self, version: int) -> Sequence[Change]:
        """The changes after a version, oldest first.

        Raises:
            ApiError: 410, when changes after that version have been dropped already.
        """
        if version < self.floor:
            raise expired(version, self.floor)
        return self._changes[bisect_right(self._changes, version, key=lambda change: change.version) :]


class Store:
    """All objects by resource and key, at one version that only grows."""

    def __init__(self, version: int, objects: Iterable[tuple[Resource, Obj]], history: int = HISTORY) -> None:
        self.version = version
        self._objects: dict[Resource, dict[Key, Stored]] = {resource: {} for resource in RESOURCES}
        for resource, obj in objects:
            self._objects[resource][key_of(obj)] = Stored(obj, msgspec.json.encode(obj))
        # Nothing before the start is remembered: who resumes from an older version lists again.
        self.windows = {resource: Window(version, history) for resource in RESOURCES}
        self.owners = asyncio.Event()
        """set, and another one put here, when garbage collection has something to look at"""

    def get(self, resource: Resource, key: Key) -> Stored | None:
        """The object, or None."""
        return self._objects[resource].get(key)

    def select(self, resource: Resource, namespace: str = "") -> list[Stored]:
        """The objects of one namespace, or of all where it is empty, sorted by namespace and name."""
        found = self._objects[resource]
        return [found[key] for key in sorted(found) if not namespace or key.namespace == namespace]

    def everything(self) -> list[tuple[Resource, Stored]]:
        """Every object there is, in the resources' order."""
        return [(resource, stored) for resource in RESOURCES for stored in self.select(resource)]

    def is_empty(self, namespace: str) -> bool:
        """Whether a namespace holds no object any more."""
        return not any(key.namespace == namespace for keys in self._objects.values() for key in keys)

    def apply(self, change: Change) -> None:
        """Take a change that is on disk, and tell the watches."""
        self.version = change.version
        if change.kind is ChangeKind.DELETED:
            self._objects[change.resource].pop(change.key, None)
        else:
            self._objects[change.resource][change.key] = change.after
        self.windows[change.resource].add(change)
        if _concerns_owners(change):
            news, self.owners = self.owners, asyncio.Event()
            news.set()

    def since(self, resource: Resource, version: int) -> Sequence[Change]:
        """The changes of a resource after a version; 410 when that is too old or from another life."""
        if version > self.version:
            raise from_the_future(version, self.version)
        return self.windows[resource].since(version)


def _concerns_owners(change: Change) -> bool:
    if change.kind is ChangeKind.DELETED:
        return True
    meta = change.after.obj["metadata"]
    before = change.before.obj["metadata"] if change.before is not None else {}
    waits = bool(meta.get("deletionTimestamp") and meta.get("finalizers"))
    return waits or meta.get("ownerReferences") != before.get("ownerReferences")


def key_of(obj: Obj) -> Key:
    """The key of an object from its metadata."""
    meta = obj["metadata"]
    return Key(meta.get("namespace", ""), meta["name"])
