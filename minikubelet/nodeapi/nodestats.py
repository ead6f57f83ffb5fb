"""What pods and the node use: samples of the runtime and of this machine, and the stats summary of them.

Belongs here: sampling with a bound on how often and how many at once, `/stats/summary`. May not be here:
Prometheus' text (`nodemetrics`). Follows k8s.io/kubelet/pkg/apis/stats/v1alpha1.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from minikubelet.model.status import rfc3339
from minikubelet.nodeapi.nodelookup import NodeView, running_containers
from minikubelet.ports.runtimeport import Runtime, RuntimeFault

FRESH_SECONDS: Final = 5.0
"""How long a sample is given to whoever asks: a scraper every 10 s costs one look, ten cost no more."""
_AT_ONCE: Final = 4
_TICK: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class ContainerUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One container at one moment: cpu in ns since its start and ns per second, memory in bytes."""

    namespace: str
    pod: str
    uid: str
    name: str
    started: str
    cpu: int
    cpu_rate: int | None
    memory: int
    pids: int


class NodeUsage(msgspec.Struct, frozen=True, kw_only=True):
    """This machine at one moment, in the same units; `available` and `total` memory in bytes."""

    cpu: int
    cpu_rate: int | None
    memory: int
    available: int
    total: int


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one moment, `at` in µs since the epoch; `failed`: something could not be read."""

    at: int
    node: NodeUsage
    containers: tuple[ContainerUsage, ...] = ()
    failed: bool = False


class Usage:
    """Samples when asked, and not more often than they are of use."""

    def __init__(
        self,
        view: NodeView,
        runtime: Runtime,
        clock: Callable[[], float] = time.monotonic,
        proc: Path = Path("/proc"),
    ) -> None:
        self._view = view
        self._runtime = runtime
        self._clock = clock
        self._proc = proc
        self._lock = asyncio.Lock()
        self._last: tuple[float, Sample] | None = None
        self._before: dict[str, tuple[float, int]] = {}

    async def sample(self) -> Sample:
        """A sample that is at most some seconds old."""
        async with self._lock:
            if self._last is None or self._clock() - self._last[0] >= FRESH_SECONDS:
                self._last = (self._clock(), await self._take())
            return self._last[1]

    async def _take(self) -> Sample:
        turns = asyncio.Semaphore(_AT_ONCE)
        wanted = [
            (pod["metadata"], *each) for pod in self._view.pods()["items"] for each in running_containers(pod)
        ]
        read = [self._read(turns, container_id) for _, _, container_id, _ in wanted]
        stats = await asyncio.gather(*read)
        found, kept = [], {"": self._before[""]} if "" in self._before else {}
        for (metadata, name, container_id, started), values in zip(wanted, stats, strict=True):
            if not values:
                continue
            rate = self._rate(container_id, values["cpu_usage_ns"])
            kept[container_id] = self._before[container_id]
            found.append(
                ContainerUsage(
                    namespace=metadata["namespace"],
                    pod=metadata["name"],
                    uid=metadata.get("uid", ""),
                    name=name,
                    started=started,
                    cpu=values["cpu_usage_ns"],
                    cpu_rate=rate,
                    memory=values["memory_bytes"],
                    pids=values.get("pids", 0),
                )
            )
        node = await asyncio.to_thread(self._node)
        kept[""] = self._before[""]
        self._before = kept
        failed = any(values is None for values in stats)
        return Sample(at=time.time_ns() // 1000, node=node, containers=tuple(found), failed=failed)

    async def _read(self, turns: asyncio.Semaphore, container_id: str) -> Mapping[str, int] | None:
        async with turns:
            try:
                return await self._runtime.container_stats(container_id)
            except RuntimeFault:
                return None

    def _rate(self, key: str, cpu: int) -> int | None:
        """CPU time in ns per second since the sample before; None for the first."""
        now = self._clock()
        before = self._before.get(key)
        self._before[key] = (now, cpu)
        if before is None or now <= before[0] or cpu < before[1]:
            return None
        return int((cpu - before[1]) / (now - before[0]))

    def _node(self) -> NodeUsage:
        first = (self._proc / "stat").read_text().split("\n", 1)[0].split()
        user, nice, system, _, _, irq, softirq = (int(field) for field in first[1:8])
        cpu = (user + nice + system + irq + softirq) * _TICK
        lines = (line.split() for line in (self._proc / "meminfo").read_text().splitlines())
        memory = {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines}
        return NodeUsage(
            cpu=cpu,
            cpu_rate=self._rate("", cpu),
            memory=memory["MemTotal"] - memory["MemAvailable"],
            available=memory["MemAvailable"],
            total=memory["MemTotal"],
        )


def summary(sample: Sample, node_name: str, started: str) -> dict[str, Any]:
    """The `/stats/summary` object."""
    at = rfc3339(sample.at)
    pods: dict[str, dict[str, Any]] = {}
    for each in sample.containers:
        reference = {"name": each.pod, "namespace": each.namespace, "uid": each.uid}
        pod = pods.setdefault(each.uid, {"podRef": reference, "startTime": each.started, "containers": []})
        pod["startTime"] = min(pod["startTime"], each.started)
        pod["containers"].append(
            {
                "name": each.name,
                "startTime": each.started,
                "cpu": _cpu(at, each.cpu, each.cpu_rate),
                "memory": _memory(at, each.memory),
            }
        )
    for uid, pod in pods.items():
        mine = [each for each in sample.containers if each.uid == uid]
        rates = [each.cpu_rate for each in mine if each.cpu_rate is not None]
        whole = sum(rates) if len(rates) == len(mine) else None
        pod["cpu"] = _cpu(at, sum(each.cpu for each in mine), whole)
        pod["memory"] = _memory(at, sum(each.memory for each in mine))
        pod["process_stats"] = {"process_count": sum(each.pids for each in mine)}
    node = sample.node
    memory = {**_memory(at, node.memory), "availableBytes": node.available}
    shown = {"nodeName": node_name, "startTime": started, "cpu": _cpu(at, node.cpu, node.cpu_rate)}
    return {"node": {**shown, "memory": memory}, "pods": list(pods.values())}


def _cpu(at: str, total: int, rate: int | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"time": at, "usageCoreNanoSeconds": total}
    if rate is not None:
        shown["usageNanoCores"] = rate
    return shown


def _memory(at: str, working_set: int) -> dict[str, Any]:
    return {"time": at, "workingSetBytes": working_set, "usageBytes": working_set}
