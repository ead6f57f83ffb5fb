"""The API source: pods that the API server has for this node, and the mirrors of static pods, as facts.

Belongs here: what a list and its changes mean for each pod. May not be here: connections, resuming and
backing off (`apiclient`, behind the `Api` port). A pod that cannot be read is said to be present and nothing
more, so that whatever runs of it goes on (upstream: pkg/kubelet/config/apiserver.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Protocol, TypeAlias, assert_never

import structlog
from msgspec.structs import replace

from minikubelet.apiclient.apipaths import pods_path
from minikubelet.model.ids import PodUid, SlotKey, Source, slot_key, split_slot
from minikubelet.model.status import PodPhase
from minikubelet.ports.apiport import Api, Bookmark, Changed, ChangeType, Disconnected, JsonObject, Listed
from minikubelet.ports.sourceport import (
    MirrorOffered,
    MirrorRetracted,
    PodOffered,
    PodRetracted,
    Sink,
    SourceFact,
    SourceListed,
)
from minikubelet.wire.pod_codec import ApiPod, UnreadablePod, decode_pod

log = structlog.get_logger(__name__)


class StatusSeen(Protocol):
    """Told of every object that comes, by a list or by the watch."""

    def __call__(self, slot: SlotKey, uid: PodUid, seen: JsonObject, /, *, listed: bool = False) -> None:
        """The API server shows this object."""


"""Told of each object with its status as the API server shows it, mirrors among them."""

_Held: TypeAlias = PodOffered | MirrorOffered | None
_FINISHED = (PodPhase.SUCCEEDED, PodPhase.FAILED)


class ApiSource:
    """Pods with `spec.nodeName` equal to `node_name`.

    `status_seen` is told of every status that comes, `reachable` when the API server answers again.
    """

    def __init__(
        self,
        api: Api,
        node_name: str,
        *,
        status_seen: StatusSeen | None = None,
        reachable: Callable[[], None] | None = None,
    ) -> None:
        self._api = api
        self._node = node_name
        self._status_seen = status_seen
        self._reachable = reachable
        self._held: dict[PodUid, tuple[SlotKey, _Held]] = {}
        self._connected = True

    async def run(self, sink: Sink) -> None:
        """Tell `sink` all pods, then every change, until cancelled."""
        params = {"fieldSelector": f"spec.nodeName={self._node}"}
        async with aclosing(self._api.list_watch(pods_path(), params=params)) as items:
            async for item in items:
                self._note_connection(item)
                match item:
                    case Listed():
                        facts = self._replace(item.items)
                    case Changed():
                        facts = self._change(item)
                    case Bookmark() | Disconnected():
                        facts = ()
                    case _ as never:
                        assert_never(never)
                waiting = sink.put(*facts)
                if waiting is not None:
                    await waiting

    def _replace(self, items: Iterable[JsonObject]) -> Iterable[SourceFact]:
        """All that is there now: new ones first, then what has vanished, and that it was all."""
        before = set(self._held)
        present: dict[PodUid, None] = {}
        facts: list[SourceFact] = []
        for item in items:
            uid = _uid(item)
            if uid is not None:
                present[uid] = None
            facts.extend(self._take(item, listed=True))
        gone = sorted(before - present.keys())
        facts.extend(fact for uid in gone for fact in self._drop(uid))
        held = tuple(uid for uid in present if not self._is_mirror(uid))
        facts.append(SourceListed(source=Source.API, present=held))
        return facts

    def _change(self, change: Changed) -> Iterable[SourceFact]:
        if change.type is ChangeType.DELETED:
            uid = _uid(change.object)
            return self._drop(uid) if uid is not None else ()
        return self._take(change.object)

    def _take(self, item: JsonObject, *, listed: bool = False) -> Iterable[SourceFact]:
        try:
            found = decode_pod(item)
        except UnreadablePod as error:
            log.warning("a pod of the API server cannot be read and is left as it is", problem=str(error))
            uid = _uid(item)
            if uid is not None:
                self._held.setdefault(uid, (SlotKey(""), None))
            return
        meta = found.pod.metadata
        uid = PodUid(meta.uid)
        slot = slot_key(meta.namespace, meta.name)
        if self._status_seen is not None:
            self._status_seen(slot, uid, item, listed=listed)
        _, before = self._held.get(uid, (slot, None))
        offered: PodOffered | MirrorOffered
        # A mirror whose annotation somebody took away is no pod to run: it is a mirror that is out of date.
        if found.mirror_hash or isinstance(before, MirrorOffered):
            offered = MirrorOffered(
                namespace=meta.namespace,
                name=meta.name,
                uid=uid,
                hash=found.mirror_hash,
                deleting=found.deletion_timestamp is not None,
            )
        else:
            offered = PodOffered(
                source=Source.API,
                pod=found.pod,
                origin=found.resource_version,
                deletion_at=found.deletion_timestamp,
                deletion_grace=found.deletion_grace_period_seconds,
                finished=found.status.phase in _FINISHED,
                gates=_gates(found),
            )
        self._held[uid] = (slot, offered)
        if not _same(before, offered):
            yield offered

    def _drop(self, uid: PodUid) -> Iterable[SourceFact]:
        slot, held = self._held.pop(uid, (SlotKey(""), None))
        namespace, name = split_slot(slot)
        match held:
            case MirrorOffered():
                yield MirrorRetracted(namespace=namespace, name=name, uid=uid)
            case PodOffered():
                yield PodRetracted(
                    source=Source.API, namespace=namespace, name=name, uid=uid, origin=held.origin
                )
            case None:
                pass

    def _is_mirror(self, uid: PodUid) -> bool:
        return isinstance(self._held[uid][1], MirrorOffered)

    def _note_connection(self, item: Listed | Changed | Bookmark | Disconnected) -> None:
        connected = not isinstance(item, Disconnected)
        if isinstance(item, Disconnected) and self._connected:
            log.warning("the API server is out of reach; pods go on as they are", reason=item.reason)
        elif connected and not self._connected:
            log.info("the API server is in reach again")
            if self._reachable is not None:
                self._reachable()
        self._connected = connected


def _same(before: _Held, now: PodOffered | MirrorOffered) -> bool:
    """Whether only its status changed, which is for others to know."""
    if isinstance(before, PodOffered) and isinstance(now, PodOffered):
        return replace(before, origin=now.origin) == now
    return before == now


def _gates(found: ApiPod) -> tuple[tuple[str, str], ...]:
    """What others say of the pod's readiness, in the order of its gates."""
    said = {condition.type: condition.status for condition in found.status.conditions}
    wanted = dict.fromkeys(gate.condition_type for gate in found.pod.spec.readiness_gates)
    return tuple([(kind, said[kind]) for kind in wanted if kind in said])


def _uid(item: JsonObject) -> PodUid | None:
    metadata = item.get("metadata")
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    return PodUid(uid) if isinstance(uid, str) and uid else None
