"""The writing verbs: each turns a request into one decision per object and hands it to the committer.

Knows the rules' order, not the rules; no HTTP here.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from minikubelet.stubapi.stubdeletion import DeleteOptions, decide_delete, decide_namespace_delete
from minikubelet.stubapi.stubfields import FieldCheck, without_unknown
from minikubelet.stubapi.stubpatches import json_patch, merge_patch, strategic_patch
from minikubelet.stubapi.stubresources import (
    NAMESPACES,
    PODS,
    RESOURCES,
    SERVICEACCOUNTS,
    Obj,
    Resource,
    Target,
)
from minikubelet.stubapi.stubrules import (
    checked_body,
    decide_binding,
    decide_create,
    decide_update,
    require,
    unnamed,
)
from minikubelet.stubapi.stubselectors import Selector
from minikubelet.stubapi.stubstatus import ApiError, bad_request, success
from minikubelet.stubapi.stubstore import Key, Store, key_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from minikubelet.stubapi.stubcommits import Committer, Decision, Lookup

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_PREFIX_MAX = 58

PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/json-patch+json": json_patch,
    "application/merge-patch+json": merge_patch,
    "application/strategic-merge-patch+json": strategic_patch,
}


class Writes:
    """Create, update, patch, delete and bind."""

    def __init__(
        self, store: Store, committer: Committer, clock: Callable[[], datetime], default_node: str | None
    ) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._default_node = default_node

    async def create(
        self, target: Target, body: Obj, *, dry_run: bool = False, fields: FieldCheck | None = None
    ) -> Obj:
        """Store a new object and return it."""
        obj = checked_body(target, body)
        obj = obj if fields is None else fields.pruned(target.resource, obj)
        meta = obj["metadata"]
        if not meta.get("name"):
            if not meta.get("generateName"):
                raise unnamed(target.resource)
            suffix = "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))
            meta["name"] = meta["generateName"][:_PREFIX_MAX] + suffix

        def decide(old: Obj | None, lookup: Lookup) -> Decision:
            now, node = self._clock(), self._default_node
            return decide_create(target.resource, obj, old, lookup, now=now, default_node=node)

        made = await self._committer.submit(target.resource, key_of(obj), decide, dry_run=dry_run)
        if target.resource == NAMESPACES and not dry_run:
            await self._give_account(made["metadata"]["name"])
        return made

    async def _give_account(self, namespace: str) -> None:
        """Every namespace has the account that pods run as when they name none."""
        with suppress(ApiError):  # it is there, or the namespace is gone again
            await self.create(Target(SERVICEACCOUNTS, namespace), {"metadata": {"name": "default"}})

    async def update(
        self, target: Target, body: Obj, *, dry_run: bool = False, fields: FieldCheck | None = None
    ) -> Obj:
        """Replace an object, or its status alone, and return what is stored."""
        obj = checked_body(target, body)
        obj = obj if fields is None else fields.pruned(target.resource, obj)

        def decide(old: Obj | None, _: Lookup) -> Decision:
            before = without_unknown(target.resource, require(target.resource, target.name, old))
            return decide_update(target.resource, obj, before, target.subresource)

        return await self._change(target, decide, dry_run=dry_run)

    async def patch(
        self,
        target: Target,
        media_type: str,
        patch: Any,
        *,
        dry_run: bool = False,
        fields: FieldCheck | None = None,
    ) -> Obj:
        """Apply one of the three patch types to an object, or to its status alone."""
        apply = PATCHES[media_type]
        if apply is not json_patch and not isinstance(patch, dict):
            raise bad_request(f"a patch of type {media_type} is an object")

        def decide(old: Obj | None, _: Lookup) -> Decision:
            before = without_unknown(target.resource, require(target.resource, target.name, old))
            patched = apply(before, patch)
            if not isinstance(patched, dict):
                raise bad_request("the patch leaves no object")
            obj = checked_body(target, patched)
            obj = obj if fields is None else fields.pruned(target.resource, obj, patched=True)
            return decide_update(target.resource, obj, before, target.subresource)

        return await self._change(target, decide, dry_run=dry_run)

    async def bind(self, target: Target, body: Obj, *, dry_run: bool = False) -> Obj:
        """Put an unassigned pod on a node."""

        def decide(old: Obj | None, _: Lookup) -> Decision:
            return decide_binding(require(PODS, target.name, old), body, self._clock())

        await self._committer.submit(PODS, Key(target.namespace, target.name), decide, dry_run=dry_run)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    async def _change(
        self, target: Target, decide: Callable[[Obj | None, Lookup], Decision], *, dry_run: bool
    ) -> Obj:
        key = Key(target.namespace, target.name)
        obj = await self._committer.submit(target.resource, key, decide, dry_run=dry_run)
        if obj["metadata"].get("deletionTimestamp"):
            await self._finish_namespace(target.namespace or target.name)
        return obj

    async def delete(self, target: Target, options: DeleteOptions) -> Obj:
        """Delete an object; returns the object while it is still going, and a pod always."""
        key = Key(target.namespace, target.name)
        obj = await self._delete_one(target.resource, key, options)
        if target.resource == NAMESPACES and not options.dry_run:
            await self._empty_namespace(target.name)
        elif target.namespace:
            await self._finish_namespace(target.namespace)
        if target.resource == PODS or self._store.get(target.resource, key) is not None:
            return obj
        return success(target.resource, target.name, obj["metadata"]["uid"])

    async def delete_collection(
        self, target: Target, selector: Selector, options: DeleteOptions
    ) -> list[Obj]:
        """Delete what a selector selects; returns the objects."""
        deleted = []
        for stored in self._store.select(target.resource, target.namespace):
            if not selector.matches(stored.obj):
                continue
            try:
                deleted.append(await self._delete_one(target.resource, key_of(stored.obj), options))
            except ApiError as problem:
                # Gone meanwhile is as good as deleted.
                if problem.reason != "NotFound":
                    raise
        if target.namespace:
            await self._finish_namespace(target.namespace)
        return deleted

    async def resume(self) -> None:
        """Go on with the namespaces whose end a stop of the server interrupted."""
        for stored in self._store.select(NAMESPACES):
            if stored.obj["metadata"].get("deletionTimestamp"):
                await self._empty_namespace(stored.obj["metadata"]["name"])

    async def _delete_one(self, resource: Resource, key: Key, options: DeleteOptions) -> Obj:
        def decide(old: Obj | None, _: Lookup) -> Decision:
            obj = require(resource, key.name, old)
            if resource == NAMESPACES:
                empty = self._store.is_empty(key.name)
                return decide_namespace_delete(obj, options, self._clock(), empty=empty)
            return decide_delete(resource, obj, options, self._clock())

        return await self._committer.submit(resource, key, decide, dry_run=bool(options.dry_run))

    async def _empty_namespace(self, namespace: str) -> None:
        for resource in RESOURCES:
            if resource.namespaced:
                await self.delete_collection(Target(resource, namespace), Selector(), DeleteOptions())
        await self._finish_namespace(namespace)

    async def _finish_namespace(self, namespace: str) -> None:
        stored = self._store.get(NAMESPACES, Key("", namespace))
        going = stored is not None and stored.obj["metadata"].get("deletionTimestamp")
        if going and self._store.is_empty(namespace):
            try:
                await self._delete_one(NAMESPACES, Key("", namespace), DeleteOptions())
            except ApiError as problem:
                if problem.reason != "NotFound":
                    raise
