"""`metrics.k8s.io/v1beta1`: what nodes and pods use, asked of the nodes when it is asked for.

Belongs here: the NodeMetrics and PodMetrics that `kubectl top` reads, from each node's `/stats/summary`. May
not be here: how a node is reached (`stubnodelinks`). As metrics-server, it leaves out what has no rate yet.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import structlog

from minikubelet.stubapi.stubnodelinks import NodeLinks, fetch_json
from minikubelet.stubapi.stubresources import NODE_METRICS, NODES, PODS, Obj, Resource, Target
from minikubelet.stubapi.stubselectors import Selector, parse_selector
from minikubelet.stubapi.stubstatus import ApiError, method_not_allowed, not_found
from minikubelet.stubapi.stubstore import Key, Store

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUMMARY: Final = "/stats/summary"
_TRIES: Final = 4
_AGAIN_SECONDS: Final = 2.0
_WINDOW: Final = "10s"
_RESOURCES: Final = {NODE_METRICS: NODES}

_log = structlog.get_logger(__name__)


class Metrics:
    """Asks each node once for each question, and again where it has only begun to look."""

    def __init__(self, store: Store, nodes: NodeLinks, again_seconds: float = _AGAIN_SECONDS) -> None:
        self._store = store
        self._nodes = nodes
        self._again_seconds = again_seconds

    async def answer(self, method: str, target: Target, query: Mapping[str, str]) -> Obj:
        """An object or a list; raises ApiError."""
        if method != "GET":
            raise method_not_allowed()
        stored = _RESOURCES.get(target.resource, PODS)
        if target.name:
            return await self._one(target, stored)
        selector = parse_selector(stored, query)
        of_nodes = target.resource == NODE_METRICS
        wanted = self._wanted(stored, target.namespace, selector)
        items = await self._measured(wanted, of_nodes=of_nodes)
        kind = f"{target.resource.kind}List"
        head = {"kind": kind, "apiVersion": target.resource.api_version, "metadata": {}}
        return {**head, "items": items}

    async def _one(self, target: Target, stored: Resource) -> Obj:
        found = self._store.get(stored, Key(target.namespace, target.name))
        items = (
            await self._measured([found.obj], of_nodes=target.resource == NODE_METRICS)
            if found is not None
            else []
        )
        if not items:
            raise not_found(target.resource, target.name)
        return items[0]

    def _wanted(self, stored: Resource, namespace: str, selector: Selector) -> list[Obj]:
        return [each.obj for each in self._store.select(stored, namespace) if selector.matches(each.obj)]

    async def _measured(self, wanted: list[Obj], *, of_nodes: bool) -> list[Obj]:
        names = {_node_of(each, of_nodes=of_nodes): None for each in wanted}
        known = [name for name in names if self._nodes.knows(name)]
        summaries = dict(
            zip(known, await asyncio.gather(*(self._summary(name) for name in known)), strict=True)
        )
        found = []
        for each in wanted:
            summary = summaries.get(_node_of(each, of_nodes=of_nodes))
            if summary is not None:
                found.append(node_metrics(each, summary) if of_nodes else pod_metrics(each, summary))
        return [each for each in found if each is not None]

    async def _summary(self, node: str) -> Obj | None:
        """What a node tells, with rates if it can be had; None where it cannot be asked."""
        summary: Obj | None = None
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(self._again_seconds)
            try:
                summary = await fetch_json(self._nodes.find(node), _SUMMARY)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError, ApiError) as problem:
                await _log.awarning("a node does not say what it uses", node=node, problem=str(problem))
                return summary
            if _usage(summary.get("node")) is not None:
                return summary
        return summary


def _node_of(obj: Obj, *, of_nodes: bool) -> str:
    return str(obj["metadata"]["name"] if of_nodes else obj["spec"].get("nodeName") or "")


def node_metrics(node: Obj, summary: Obj) -> Obj | None:
    """One NodeMetrics, None without usage."""
    told = summary.get("node") or {}
    usage = _usage(told)
    return None if usage is None else {**_head("NodeMetrics", node, told), "usage": usage}


def pod_metrics(pod: Obj, summary: Obj) -> Obj | None:
    """One PodMetrics, None without usage of every container that runs."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    for told in summary.get("pods") or ():
        reference = told.get("podRef") or {}
        # By name: a static pod's mirror has a uid of its own.
        if (reference.get("namespace"), reference.get("name")) != (namespace, name):
            continue
        usages = [(each.get("name"), _usage(each)) for each in told.get("containers") or ()]
        if not usages or any(usage is None for _, usage in usages):
            return None
        shown = [{"name": container, "usage": usage} for container, usage in usages]
        return {**_head("PodMetrics", pod, told), "containers": shown}
    return None


def _head(kind: str, obj: Obj, told: dict[str, Any]) -> Obj:
    kept = ("name", "namespace", "labels", "creationTimestamp")
    meta = {key: obj["metadata"][key] for key in kept if key in obj["metadata"]}
    at = str((told.get("cpu") or {}).get("time", ""))
    return {
        "kind": kind,
        "apiVersion": NODE_METRICS.api_version,
        "metadata": meta,
        "timestamp": _to_the_second(at),
        "window": _WINDOW,
    }


def _usage(told: dict[str, Any] | None) -> dict[str, str] | None:
    cpu, memory = (told or {}).get("cpu") or {}, (told or {}).get("memory") or {}
    rate, used = cpu.get("usageNanoCores"), memory.get("workingSetBytes")
    if rate is None or used is None:
        return None
    return {"cpu": f"{int(rate)}n", "memory": f"{int(used) // 1024}Ki"}


def _to_the_second(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return text
