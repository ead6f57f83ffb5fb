"""An API server in memory: pods of one node, their versions, and every way in which it can be unkind.

Belongs here: objects, preconditions, list and watch, faults. May not be here: what the agent makes of it.
Only what the agent's own calls use of a strategic merge patch is known here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from http import HTTPStatus
from random import Random
from typing import Any, Final

import msgspec

from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.model.status import rfc3339
from minikubelet.ports.apiport import (
    Changed,
    ChangeType,
    Disconnected,
    JsonObject,
    Listed,
    PatchKind,
    WatchItem,
)

KEPT_CHANGES: Final = 64  # a watch that is further behind gets 410


class ApiFaults(msgspec.Struct, frozen=True):
    """Chances from 0 to 1 of each call; `latency` in seconds."""

    latency: float = 0.002
    unreachable: float = 0.0
    lost_answer: float = 0.0
    conflict: float = 0.0
    throttled: float = 0.0
    broken_watch: float = 0.0


class SimApi:
    """The server; it survives the agent. `stored` and `shown` let judges see what happens."""

    def __init__(self, seed: int, now: Callable[[], int]) -> None:
        self.pods: dict[str, JsonObject] = {}
        self.version = 100
        self.up = True
        self.slow = 0.0
        self.faults = ApiFaults()
        self.calls: dict[str, int] = {}
        self.made = 0
        self.stored: Callable[[str, JsonObject], None] = lambda _verb, _pod: None
        self.shown: Callable[[ChangeType | None, tuple[JsonObject, ...]], None] = lambda _type, _pods: None
        self._now = now
        self._changes: deque[tuple[int, ChangeType, JsonObject]] = deque(maxlen=KEPT_CHANGES)
        self._random = Random(f"{seed} api")  # noqa: S311 - no secret
        self._changed = asyncio.Event()
        self._epoch = 0
        self._restored = 0

    # ── what users and other components do ──

    def put(self, key: str, pod: JsonObject, *, fresh: bool) -> JsonObject:
        """Store an object; a fresh one gets a uid. What is stored is never changed, only replaced."""
        self.version += 1
        meta = dict(pod.get("metadata") or {})
        pod = {**pod, "metadata": meta}
        if fresh:
            self.made += 1
            meta["uid"] = f"uid-{self.made}"
            meta["creationTimestamp"] = "2026-01-01T00:00:00Z"
        meta["resourceVersion"] = str(self.version)
        self.pods[key] = pod
        self._note(ChangeType.ADDED if fresh else ChangeType.MODIFIED, pod)
        return pod

    def drop(self, key: str) -> JsonObject | None:
        """Remove an object at once."""
        pod = self.pods.pop(key, None)
        if pod is not None:
            self.version += 1
            pod = {**pod, "metadata": {**pod["metadata"], "resourceVersion": str(self.version)}}
            self._note(ChangeType.DELETED, pod)
        return pod

    def mark_deleted(self, key: str, grace: int) -> None:
        """Ask for a graceful deletion; asking again may only shorten the grace."""
        pod = self.pods.get(key)
        if pod is None:
            return
        meta = dict(pod["metadata"])
        if grace >= meta.get("deletionGracePeriodSeconds", grace + 1):
            return
        meta["deletionGracePeriodSeconds"] = grace
        at = (self._now() // 1_000_000) + grace
        meta["deletionTimestamp"] = rfc3339(at * 1_000_000)
        self.put(key, {**pod, "metadata": meta}, fresh=False)

    def lose_state(self, random: Random) -> None:
        """Come back from a backup, or with nothing: some objects were never there."""
        for key in sorted(self.pods):
            if random.random() < 1 / 2:
                del self.pods[key]
        self._changes.clear()
        self._restored += 1
        self.version = max(1, self.version - random.randrange(60))
        for key, pod in self.pods.items():  # what is left is of the backup, and so is its version
            version = str(min(int(pod["metadata"]["resourceVersion"]), self.version))
            self.pods[key] = {**pod, "metadata": {**pod["metadata"], "resourceVersion": version}}
        self.break_watches()

    def break_watches(self) -> None:
        """End every watch; it comes back, from where it was or with a new list."""
        self._epoch += 1
        self._stir()

    def expire(self) -> None:
        """Forget all changes: a watch that is behind has to list again."""
        self._changes.clear()
        self.break_watches()

    def _note(self, kind: ChangeType, pod: JsonObject) -> None:
        self._changes.append((self.version, kind, pod))
        self._stir()

    def _stir(self) -> None:
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    # ── what the agent asks ──

    async def call(self, verb: str, act: Callable[[], JsonObject]) -> JsonObject:
        """Make a call with its fate."""
        self.calls[verb] = self.calls.get(verb, 0) + 1
        random, faults = self._random, self.faults
        await asyncio.sleep(faults.latency * (0.5 + random.random()) + self.slow)
        if not self.up or random.random() < faults.unreachable:
            raise ApiUnreachable("the simulated API server does not answer")
        if random.random() < faults.throttled:
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", "slow down", retry_after=1.0)
        if verb != "get" and random.random() < faults.conflict:
            raise ApiError(HTTPStatus.CONFLICT, "Conflict", "the object has been modified")
        answer = act()
        if random.random() < faults.lost_answer:
            raise ApiUnreachable("the simulated API server was cut off while it answered")
        return answer

    def get(self, key: str) -> JsonObject:
        """Read an object."""
        if (pod := self.pods.get(key)) is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "NotFound", f"pods {key} not found")
        return pod

    def create(self, key: str, body: JsonObject) -> JsonObject:
        """Create an object."""
        if key in self.pods:
            raise ApiError(HTTPStatus.CONFLICT, "AlreadyExists", f"pods {key} already exists")
        pod = self.put(key, body, fresh=True)
        self.stored("create", pod)
        return pod

    def patch_status(self, key: str, patch: JsonObject) -> JsonObject:
        """Change a status, if the object still has the uid that the patch names."""
        pod = self.get(key)
        if patch["metadata"]["uid"] != pod["metadata"]["uid"]:
            raise ApiError(HTTPStatus.CONFLICT, "Conflict", "the UID in the precondition does not match")
        status = merged(pod.get("status"), patch["status"])
        if status == pod.get("status"):
            return pod
        pod = self.put(key, {**pod, "status": status}, fresh=False)
        self.stored("status", pod)
        return pod

    def delete(self, key: str, grace: int | None, uid: str | None) -> JsonObject:
        """Delete an object, if it still has that uid."""
        pod = self.get(key)
        if uid is not None and pod["metadata"]["uid"] != uid:
            raise ApiError(HTTPStatus.CONFLICT, "Conflict", "the UID in the precondition does not match")
        if grace == 0:
            self.stored("delete", pod)
            self.drop(key)
        else:
            self.mark_deleted(key, 30 if grace is None else grace)
        return pod

    async def list_watch(self) -> AsyncGenerator[WatchItem, None]:
        """Every object, then every change, for ever."""
        position, restored = -1, self._restored
        while True:
            if not self.up:
                yield Disconnected("the simulated API server does not answer", 1.0)
                await asyncio.sleep(1.0)
                continue
            await asyncio.sleep(self.faults.latency + self.slow)
            # A server behind the versions it gave out says so, and only a new list helps.
            if position < 0 or restored != self._restored:
                restored = self._restored
                items = tuple(self.pods[key] for key in sorted(self.pods))
                position = self.version
                self.shown(None, items)
                yield Listed(items, str(position))
            epoch, stands = self._epoch, restored == self._restored and self._resumable(position)
            while stands:
                for version, kind, pod in [each for each in self._changes if each[0] > position]:
                    position = version
                    self.shown(kind, (pod,))
                    yield Changed(kind, pod)
                if position >= self.version and epoch == self._epoch:
                    await self._changed.wait()
                    await asyncio.sleep(self.faults.latency + self.slow)
                stands = epoch == self._epoch and self._random.random() >= self.faults.broken_watch
                stands = stands and self._resumable(position)
            if not self._resumable(position):
                position = -1
            yield Disconnected("the watch ended", 0.0)

    def _resumable(self, position: int) -> bool:
        if position > self.version:
            return False
        return position == self.version or bool(self._changes and self._changes[0][0] <= position + 1)


class LifeApi:
    """The server as one life of the agent reaches it: the `Api` port."""

    def __init__(self, api: SimApi) -> None:
        self._api = api

    async def get_object(self, path: str) -> JsonObject:
        """Read one object."""
        return await self._api.call("get", lambda: self._api.get(_key(path)))

    async def create_object(self, collection: str, body: JsonObject) -> JsonObject:
        """Create an object."""
        namespace = collection.split("/")[4]
        key = f"{namespace}/{body['metadata']['name']}"
        return await self._api.call("create", lambda: self._api.create(key, body))

    async def replace_object(self, path: str, body: JsonObject) -> JsonObject:
        """The agent never does this to pods."""
        raise NotImplementedError(path, body)

    async def patch_object(
        self,
        path: str,
        patch: JsonObject | list[JsonObject],
        kind: PatchKind = PatchKind.STRATEGIC,  # noqa: ARG002 - the agent uses no other for pods
    ) -> JsonObject:
        """Change a status."""
        if isinstance(patch, list) or not path.endswith("/status"):
            raise NotImplementedError(path)
        return await self._api.call("status", lambda: self._api.patch_status(_key(path), patch))

    async def delete_object(
        self,
        path: str,
        *,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,  # noqa: ARG002 - the agent never gives one for pods
    ) -> JsonObject:
        """Delete an object."""
        return await self._api.call("delete", lambda: self._api.delete(_key(path), grace_seconds, uid))

    def list_watch(
        self,
        path: str,  # noqa: ARG002 - there are only pods
        *,
        params: Mapping[str, str] | None = None,  # noqa: ARG002 - all are of this node
    ) -> AsyncGenerator[WatchItem, None]:
        """Follow the pods of the node."""
        return self._api.list_watch()


def _key(path: str) -> str:
    """`namespace/name` of `/api/v1/namespaces/<namespace>/pods/<name>[/status]`."""
    parts = path.split("/")
    return f"{parts[4]}/{parts[6]}"


def merged(before: Any, patch: JsonObject) -> JsonObject:
    """A status after a strategic merge patch: conditions merge by type, null removes, lists are replaced."""
    status: JsonObject = dict(before or {})
    for key, value in patch.items():
        if value is None:
            status.pop(key, None)
        elif key == "conditions":
            found = {each["type"]: each for each in status.get(key) or ()}
            for each in value:
                said = {**found.get(each["type"], {}), **each}
                found[each["type"]] = {name: said[name] for name in said if said[name] is not None}
            status[key] = list(found.values())
        elif isinstance(value, list):
            status[key] = [each for each in value if "$patch" not in each]
        else:
            status[key] = value
    return status
