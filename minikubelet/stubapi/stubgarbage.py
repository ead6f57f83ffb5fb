"""Garbage collection: what belongs to an object goes with it, or is let go of, as its deletion says.

Belongs here: `ownerReferences` and the finalizers `foregroundDeletion` and `orphan`, by the rules of
upstream's pkg/controller/garbagecollector. May not be here: how one object is deleted (`stubdeletion`).
An owner is known by its uid. One of a kind that this server does not have is taken to be there.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from minikubelet.stubapi.stubdeletion import FOREGROUND, ORPHAN, DeleteOptions, Preconditions
from minikubelet.stubapi.stubresources import RESOURCES, Obj, Resource, Target
from minikubelet.stubapi.stubstatus import ApiError
from minikubelet.stubapi.stubstore import Key, Store

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from minikubelet.stubapi.stubwrites import Writes

_PAUSE_SECONDS: Final = 0.5
_PATCH: Final = "application/merge-patch+json"
_KINDS: Final = {(resource.api_version, resource.kind): resource for resource in RESOURCES}
_log = structlog.get_logger(__name__)


class _Node(msgspec.Struct, frozen=True):
    """One object of the graph that owners make."""

    resource: Resource
    obj: Obj

    @property
    def meta(self) -> Obj:
        meta: Obj = self.obj["metadata"]
        return meta

    @property
    def target(self) -> Target:
        return Target(self.resource, self.meta.get("namespace", ""), self.meta["name"])

    @property
    def references(self) -> list[Obj]:
        return self.meta.get("ownerReferences") or []

    def is_named(self, ref: Obj) -> bool:
        """Whether a reference means this object."""
        return bool(ref.get("uid") == self.meta["uid"])

    def marks(self, *finalizers: str) -> bool:
        """Whether it is going, and one of these finalizers says how."""
        own = self.meta.get("finalizers") or ()
        return bool(self.meta.get("deletionTimestamp")) and any(each in own for each in finalizers)


class _Owner(Enum):
    THERE = auto()
    ABSENT = auto()
    WAITING = auto()
    """it goes after those that belong to it"""


class Garbage:
    """Looks at all objects whenever owners and what belongs to them have changed."""

    def __init__(self, store: Store, writes: Writes) -> None:
        self._store = store
        self._writes = writes

    async def run(self) -> None:
        """Collect until cancelled; changes that come close together are looked at once."""
        while True:
            news = self._store.owners
            done = await self.look()
            if done:
                await news.wait()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def look(self) -> bool:
        """Look once; false if something changed meanwhile that has to be looked at again."""
        everything = [_Node(resource, stored.obj) for resource, stored in self._store.everything()]
        dependents = [each for each in everything if each.references]
        done = True
        for each in dependents:
            done &= await self._keep_or_delete(each)
        for each in everything:
            if each.marks(ORPHAN, FOREGROUND):
                mine = [one for one in dependents if any(each.is_named(ref) for ref in one.references)]
                done &= await self._finish(each, mine)
        return done

    async def _keep_or_delete(self, dependent: _Node) -> bool:
        """Delete what has no owner that stays; of several owners, forget those that do not."""
        refs = dependent.references
        stay = [ref for ref in refs if self._owner(dependent, ref) is _Owner.THERE]
        if stay:
            return len(stay) == len(refs) or await self._refer(dependent, stay)
        if dependent.meta.get("deletionTimestamp"):
            return True
        options = DeleteOptions(preconditions=Preconditions(uid=dependent.meta["uid"]))
        return await _tried(self._writes.delete(dependent.target, options))

    def _owner(self, dependent: _Node, ref: Obj) -> _Owner:
        resource = _KINDS.get((str(ref.get("apiVersion")), str(ref.get("kind"))))
        if resource is None:
            return _Owner.THERE
        namespace = dependent.target.namespace if resource.namespaced else ""
        stored = self._store.get(resource, Key(namespace, str(ref.get("name", ""))))
        if stored is None or not (owner := _Node(resource, stored.obj)).is_named(ref):
            return _Owner.ABSENT
        return _Owner.WAITING if owner.marks(FOREGROUND) else _Owner.THERE

    async def _finish(self, owner: _Node, dependents: list[_Node]) -> bool:
        """Let go of an owner's dependents, or wait for those that block it; then let it go itself."""
        done = True
        if owner.marks(ORPHAN):
            left = dependents
            for each in dependents:
                done &= await self._refer(each, [ref for ref in each.references if not owner.is_named(ref)])
        else:
            left = [
                each
                for each in dependents
                if any(owner.is_named(ref) and ref.get("blockOwnerDeletion") for ref in each.references)
            ]
        if left:
            return done  # their changes lead to the next look
        kept = [each for each in owner.meta["finalizers"] if each not in (ORPHAN, FOREGROUND)]
        return await self._change(owner, {"finalizers": kept or None})

    async def _refer(self, dependent: _Node, references: list[Obj]) -> bool:
        return await self._change(dependent, {"ownerReferences": references or None})

    async def _change(self, one: _Node, fields: Obj) -> bool:
        same = {key: one.meta[key] for key in ("uid", "resourceVersion")}
        return await _tried(self._writes.patch(one.target, _PATCH, {"metadata": {**same, **fields}}))


async def _tried(write: Awaitable[Obj]) -> bool:
    """Whether the write need not be tried again: an object that is gone needs nothing, nor one refused."""
    try:
        await write
    except ApiError as problem:
        if problem.reason == "Conflict":
            return False
        if problem.reason != "NotFound":
            await _log.awarning("an object could not be collected as garbage", problem=problem.message)
    return True
