"""What the tests of reporting share: an API server in memory that can be down, refuse and be overtaken."""

import asyncio
import copy
import itertools
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from minikubelet.apiclient.apibackoff import BackoffPolicy
from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.model.ids import PodUid, SlotKey, split_slot
from minikubelet.model.pod import Container, ObjectMeta, Pod, PodSpec
from minikubelet.model.status import PodCondition, PodStatus
from minikubelet.ports.apiport import JsonObject, PatchKind, WatchItem
from minikubelet.reporting.outbox import ApiOutbox
from minikubelet.stubapi.stubpatches import strategic_patch
from minikubelet.wire.podmarks import CONFIG_HASH, CONFIG_MIRROR, CONFIG_SOURCE

FAST = BackoffPolicy(first_seconds=0.002, factor=1.5, most_seconds=0.02, jitter=0.5)
SLOT = SlotKey("default/web")


def refusal(status: int, reason: str, **options: Any) -> ApiError:
    return ApiError(status, reason, f"refused: {reason}", **options)


class MemoryApi:
    """Objects by path. `down` is an outage; `faults` are raised one per call, before or after it is done."""

    def __init__(self) -> None:
        self.objects: dict[str, JsonObject] = {}
        self.down = False
        self.faults: list[Exception] = []
        self.lost_answers = 0
        self.calls: list[tuple[str, str]] = []
        self._counter = itertools.count(1)

    def put(self, path: str, **body: Any) -> JsonObject:
        """Store an object behind everybody's back."""
        number = next(self._counter)
        meta = {"uid": f"uid-{number}", "name": path.rsplit("/", 1)[1], **body.pop("metadata", {})}
        stored = {"metadata": {**meta, "resourceVersion": str(number)}, **body}
        self.objects[path] = stored
        return stored

    def pod(self, slot: SlotKey = SLOT) -> JsonObject:
        return self.objects[pod_at(slot)]

    def status(self, slot: SlotKey = SLOT) -> JsonObject:
        found: JsonObject = self.pod(slot).get("status") or {}
        return found

    async def get_object(self, path: str) -> JsonObject:
        await self._begin("GET", path)
        return copy.deepcopy(self._find(path))

    async def create_object(self, collection: str, body: JsonObject) -> JsonObject:
        await self._begin("POST", collection)
        path = f"{collection}/{body['metadata']['name']}"
        if path in self.objects:
            raise refusal(409, "AlreadyExists")
        return self._done(self.put(path, **copy.deepcopy(body)))

    async def replace_object(self, path: str, body: JsonObject) -> JsonObject:
        await self._begin("PUT", path)
        old = self._find(path)
        wanted = body["metadata"].get("resourceVersion")
        if wanted is not None and wanted != old["metadata"]["resourceVersion"]:
            raise refusal(409, "Conflict")
        self.objects[path] = copy.deepcopy(body)
        return self._done(self._changed(path))

    async def patch_object(
        self, path: str, patch: JsonObject | list[JsonObject], kind: PatchKind = PatchKind.STRATEGIC
    ) -> JsonObject:
        await self._begin("PATCH", path)
        assert isinstance(patch, dict)
        assert kind is PatchKind.STRATEGIC
        path = path.removesuffix("/status")
        old = self._find(path)
        if patch.get("metadata", {}).get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise refusal(409, "Conflict")
        new = strategic_patch(old, copy.deepcopy(patch))
        if new != old:
            self.objects[path] = new
            self._changed(path)
        return self._done(self.objects[path])

    async def delete_object(
        self,
        path: str,
        *,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> JsonObject:
        await self._begin("DELETE", path)
        assert grace_seconds == 0
        assert resource_version is None
        old = self._find(path)
        if uid != old["metadata"]["uid"]:
            raise refusal(409, "Conflict")
        del self.objects[path]
        return self._done(old)

    def list_watch(
        self, path: str, *, params: Mapping[str, str] | None = None
    ) -> AsyncGenerator[WatchItem, None]:
        raise AssertionError(f"nobody asked to watch {path} with {params}")

    async def _begin(self, verb: str, path: str) -> None:
        await asyncio.sleep(0)
        self.calls.append((verb, path))
        if self.down:
            raise ApiUnreachable("nobody is there")
        if self.faults:
            raise self.faults.pop(0)

    def _done(self, stored: JsonObject) -> JsonObject:
        if self.lost_answers:
            self.lost_answers -= 1
            raise ApiUnreachable("the answer got lost")
        return copy.deepcopy(stored)

    def _find(self, path: str) -> JsonObject:
        if path not in self.objects:
            raise refusal(404, "NotFound")
        return self.objects[path]

    def _changed(self, path: str) -> JsonObject:
        self.objects[path]["metadata"]["resourceVersion"] = str(next(self._counter))
        return self.objects[path]


def pod_at(slot: SlotKey) -> str:
    namespace, name = split_slot(slot)
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def static_pod(hash_: str, slot: SlotKey = SLOT) -> Pod:
    """A static pod whose uid is its hash, with a secret in its environment."""
    namespace, name = split_slot(slot)
    marks = {CONFIG_SOURCE: "file", CONFIG_HASH: hash_}
    return Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, uid=hash_, annotations=marks),
        spec=PodSpec(node_name="node-1", containers=(Container(name="main", image="i"),)),
    )


def a_status(phase: str, *, ready: str = "False") -> PodStatus:
    conditions = (PodCondition(type="Ready", status=ready),)
    return PodStatus(phase=phase, conditions=conditions, qos_class="BestEffort")


class OutboxWorld:
    """An outbox at work on an API server in memory."""

    def __init__(self) -> None:
        self.api = MemoryApi()
        self.full: dict[PodUid, Pod] = {}
        self.outbox = ApiOutbox(
            self.api,
            full_pod=self.full.get,
            node_uid=lambda: "node-uid",
            rng=random.Random(1),
            slot_backoff=FAST,
            outage_backoff=FAST,
        )

    def holds(self, pod: Pod) -> PodUid:
        uid = PodUid(pod.metadata.uid)
        self.full[uid] = pod
        return uid

    def mirror_hash(self) -> str:
        annotations: dict[str, str] = self.api.pod()["metadata"].get("annotations", {})
        return annotations.get(CONFIG_MIRROR, "")

    async def told(self) -> None:
        assert await self.outbox.drain(50), self.outbox.stats()


@asynccontextmanager
async def at_work(run: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Something that runs until the block ends."""

    async def work() -> None:
        await run()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        try:
            yield
        finally:
            task.cancel()


@asynccontextmanager
async def an_outbox() -> AsyncIterator[OutboxWorld]:
    world = OutboxWorld()
    async with at_work(world.outbox.run):
        yield world
