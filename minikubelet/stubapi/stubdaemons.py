"""DaemonSets: one pod for each node, by the rules of upstream's pkg/controller/daemon.

Belongs here: which pods of a DaemonSet to make and which to delete, and its status. May not be here: defaults
and what is refused (`stubdaemonrules`). Pods are bound to their node here, since there is no scheduler; pods
without an owner are not adopted, and there are no ControllerRevisions to roll back to.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from minikubelet.stubapi.stubdaemonrules import share
from minikubelet.stubapi.stubdeletion import DeleteOptions, Preconditions
from minikubelet.stubapi.stubresources import DAEMONSETS, NODES, PODS, Obj, Target
from minikubelet.stubapi.stubstatus import ApiError
from minikubelet.wire.podcells import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from minikubelet.stubapi.stubstore import Store
    from minikubelet.stubapi.stubwrites import Writes

HASH: Final = "controller-revision-hash"
_PAUSE_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 1.0
_BACKOFF_SECONDS, _BACKOFF_MAX_SECONDS = 1.0, 900.0
_PATCH: Final = "application/merge-patch+json"
_NODE: Final = "node.kubernetes.io/"
_BORNE: Final = {
    "not-ready": "NoExecute",
    "unreachable": "NoExecute",
    "disk-pressure": "NoSchedule",
    "memory-pressure": "NoSchedule",
    "pid-pressure": "NoSchedule",
    "unschedulable": "NoSchedule",
}
_log = structlog.get_logger(__name__)


class _Set(msgspec.Struct, frozen=True):
    """One DaemonSet with what there is of it."""

    obj: Obj
    revision: str
    wanted: tuple[str, ...]
    """the nodes that are to have a pod"""
    pods: dict[str, list[Obj]]
    """by node, the oldest first"""

    @property
    def key(self) -> str:
        uid: str = self.obj["metadata"]["uid"]
        return uid


class DaemonSets:
    """Looks at all DaemonSets whenever one of them, a pod or a node has changed."""

    def __init__(self, store: Store, writes: Writes, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._writes = writes
        self._clock = clock
        self._failed: dict[tuple[str, str], tuple[float, datetime]] = {}

    async def run(self) -> None:
        """Keep them as they are wanted, until cancelled."""
        while True:
            news = [self._store.windows[each].news() for each in (DAEMONSETS, PODS, NODES)]
            await self.look()
            # Times pass without news where a pod has to be ready for a while, or failed and is made again.
            await _any(news, _LOOK_SECONDS if self._store.select(DAEMONSETS) else None)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def look(self) -> None:
        """Look once at every DaemonSet."""
        there = self._store.select(DAEMONSETS)
        uids = {stored.obj["metadata"]["uid"] for stored in there}
        self._failed = {key: failed for key, failed in self._failed.items() if key[0] in uids}
        for stored in there:
            if stored.obj["metadata"].get("deletionTimestamp"):
                continue
            try:
                await self._manage(self._gather(stored.obj))
                await self._report(self._gather(stored.obj))
            except ApiError as problem:
                name = stored.obj["metadata"]["name"]
                await _log.awarning("a DaemonSet waits", name=name, problem=problem.message)

    def _gather(self, obj: Obj) -> _Set:
        meta, template = obj["metadata"], obj["spec"]["template"]
        nodes = [stored.obj for stored in self._store.select(NODES)]
        wanted = tuple(node["metadata"]["name"] for node in nodes if should_run(template["spec"], node))
        pods: dict[str, list[Obj]] = {}
        for stored in self._store.select(PODS, meta["namespace"]):
            owners = stored.obj["metadata"].get("ownerReferences") or ()
            if any(owner.get("controller") and owner.get("uid") == meta["uid"] for owner in owners):
                pods.setdefault(stored.obj["spec"].get("nodeName") or "", []).append(stored.obj)
        for each in pods.values():
            each.sort(key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))
        return _Set(obj, revision_of(template), wanted, pods)

    async def _manage(self, daemons: _Set) -> None:
        """Make what is missing, delete what is too much, has ended or is of an older template."""
        for node in sorted({*daemons.pods, *daemons.wanted}):
            pods = daemons.pods.get(node, [])
            if node not in daemons.wanted:
                for pod in pods:
                    await self._delete(pod)
            elif not pods:
                if self._may_start(daemons.key, node):
                    await self._create(daemons, node)
            else:
                ended = [pod for pod in pods if _phase(pod) in ("Failed", "Succeeded")]
                alive = [pod for pod in pods if pod not in ended and not _is_going(pod)]
                for pod in ended:
                    if not _is_going(pod):
                        self._note_failure(daemons.key, node)
                    await self._delete(pod)
                for pod in alive[1:]:
                    await self._delete(pod)
        if daemons.obj["spec"]["updateStrategy"]["type"] == "RollingUpdate":
            await self._roll(daemons)

    def _may_start(self, key: str, node: str) -> bool:
        delay, since = self._failed.get((key, node), (0.0, self._clock()))
        return (self._clock() - since).total_seconds() >= delay

    def _note_failure(self, key: str, node: str) -> None:
        """A pod that fails again and again, as one that a node has no room for, is made ever less often."""
        now = self._clock()
        delay, since = self._failed.get((key, node), (0.0, now))
        forgotten = (now - since).total_seconds() > 2 * _BACKOFF_MAX_SECONDS
        longer = _BACKOFF_SECONDS if forgotten else max(_BACKOFF_SECONDS, 2 * delay)
        self._failed[key, node] = (min(longer, _BACKOFF_MAX_SECONDS), now)

    async def _create(self, daemons: _Set, node: str) -> None:
        meta = daemons.obj["metadata"]
        template = msgspec.json.decode(msgspec.json.encode(daemons.obj["spec"]["template"]))
        owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": meta["name"], "uid": meta["uid"]}
        labels = {**(template["metadata"].get("labels") or {}), HASH: daemons.revision}
        pod_meta = {
            "generateName": f"{meta['name']}-",
            "labels": {**labels, "pod-template-generation": str(meta.get("generation", 1))},
            "annotations": template["metadata"].get("annotations"),
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        }
        spec = {**template["spec"], "nodeName": node, "tolerations": tolerations_of(template["spec"])}
        kept = {key: value for key, value in pod_meta.items() if value is not None}
        await self._writes.create(Target(PODS, meta["namespace"]), {"metadata": kept, "spec": spec})

    async def _roll(self, daemons: _Set) -> None:
        """Delete pods of an older template: those that are of no use anyway, and as many others as may be."""
        rolling = daemons.obj["spec"]["updateStrategy"]["rollingUpdate"]
        left = share(rolling["maxUnavailable"], len(daemons.wanted))
        old: list[Obj] = []
        for node in daemons.wanted:
            pods = [pod for pod in daemons.pods.get(node, []) if not _is_going(pod)]
            if not any(self._is_available(daemons.obj, pod) for pod in pods):
                left -= 1
                old += [pod for pod in pods[:1] if _revision(pod) != daemons.revision]
            elif _revision(pods[0]) != daemons.revision:
                old.append(pods[0])
        idle = [pod for pod in old if not self._is_available(daemons.obj, pod)]
        useful = [pod for pod in old if pod not in idle]
        for pod in [*idle, *useful[: max(0, left)]]:
            await self._delete(pod)

    def _is_available(self, obj: Obj, pod: Obj) -> bool:
        since = _ready_since(pod)
        if since is None:
            return False
        needed = obj["spec"].get("minReadySeconds") or 0
        ready = parse_time(since)
        return not needed or (ready is not None and (self._clock() - ready).total_seconds() >= needed)

    async def _delete(self, pod: Obj) -> None:
        meta, node = pod["metadata"], pod["spec"].get("nodeName")
        there = any(stored.obj["metadata"]["name"] == node for stored in self._store.select(NODES))
        if _is_going(pod) and there:
            return
        # Nobody ends the pods of a node that is gone.
        grace = None if there else 0
        options = DeleteOptions(grace_period_seconds=grace, preconditions=Preconditions(uid=meta["uid"]))
        with suppress(ApiError):  # it is gone already
            await self._writes.delete(Target(PODS, meta["namespace"], meta["name"]), options)

    async def _report(self, daemons: _Set) -> None:
        """Write the status where it has changed."""
        first = [pods[0] for node in daemons.wanted if (pods := daemons.pods.get(node))]
        available = sum(self._is_available(daemons.obj, pod) for pod in first)
        strangers = [node for node in daemons.pods if node not in daemons.wanted]
        status = {
            "currentNumberScheduled": len(first),
            "desiredNumberScheduled": len(daemons.wanted),
            "numberMisscheduled": len(strangers),
            "numberReady": sum(_ready_since(pod) is not None for pod in first),
            "observedGeneration": daemons.obj["metadata"].get("generation", 1),
            "updatedNumberScheduled": sum(_revision(pod) == daemons.revision for pod in first),
            "numberAvailable": available,
            "numberUnavailable": len(daemons.wanted) - available,
        }
        if status != daemons.obj.get("status"):
            meta = daemons.obj["metadata"]
            target = Target(DAEMONSETS, meta["namespace"], meta["name"], "status")
            patch = {"metadata": {"uid": meta["uid"]}, "status": status}
            with suppress(ApiError):  # it is gone or another one
                await self._writes.patch(target, _PATCH, patch)


def revision_of(template: Obj) -> str:
    """A short name for a template, the same for the same one."""
    canonical = msgspec.json.encode(template, order="sorted")
    return hashlib.sha256(canonical).hexdigest()[:10]


def tolerations_of(spec: Obj) -> list[Obj]:
    """A template's tolerations, and those that every daemon has: a node in trouble keeps its daemons."""
    effects = {**_BORNE, **({"network-unavailable": "NoSchedule"} if spec.get("hostNetwork") else {})}
    more = [{"key": _NODE + key, "operator": "Exists", "effect": effect} for key, effect in effects.items()]
    own = spec.get("tolerations") or []
    return [*own, *(each for each in more if each not in own)]


def should_run(spec: Obj, node: Obj) -> bool:
    """Whether a node has the labels that are selected, and no taint that keeps the pod away."""
    labels, selector = node["metadata"].get("labels") or {}, spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    taints = (node.get("spec") or {}).get("taints") or []
    serious = [taint for taint in taints if taint.get("effect") in ("NoSchedule", "NoExecute")]
    borne = tolerations_of(spec)
    return all(any(_tolerates(toleration, taint) for toleration in borne) for taint in serious)


def _tolerates(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    key = toleration.get("key")
    if toleration.get("operator") == "Exists":
        return not key or key == taint.get("key")
    same = (toleration.get("value") or "") == (taint.get("value") or "")
    return bool(key) and key == taint.get("key") and same


def _phase(pod: Obj) -> Any:
    return (pod.get("status") or {}).get("phase")


def _is_going(pod: Obj) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _revision(pod: Obj) -> Any:
    return (pod["metadata"].get("labels") or {}).get(HASH)


def _ready_since(pod: Obj) -> str | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("status") == "True":
            return condition.get("lastTransitionTime") or ""
    return None


async def _any(events: list[asyncio.Event], seconds: float | None) -> None:
    """Wait until one of the events is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
