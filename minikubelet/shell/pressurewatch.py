"""Watching of what the node runs short, and what the pods use that it may end then.

Belongs here: measuring from time to time, and an event where it matters: while something is short, and until
that is no longer told. May not be here: thresholds or their consequences (`core.pressure`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import anyio.to_thread

from minikubelet.core.events import AnyEvent, NodeMeasured
from minikubelet.core.pressure import DISK, MEMORY, PID, can_be_evicted, measured, resource_condition
from minikubelet.core.reducer import Reducer
from minikubelet.core.signals import ContainerUse, Observation, PodUse, Pressure
from minikubelet.core.state import Generation
from minikubelet.ports.clockport import Clock
from minikubelet.ports.runtimeport import Runtime, RuntimeFault
from minikubelet.shell.diskusage import DiskUse, disk_use
from minikubelet.shell.podpaths import PodPaths

EVERY: Final = 10.0
"""seconds between looks, as upstream's eviction manager"""
AGAIN: Final = 60_000_000
"""µs after which what goes on unchanged is told again"""


class PressureWatch:
    """Looks at the node; `observe` measures it, `reclaim` frees disk that nobody uses."""

    def __init__(
        self,
        reducer: Reducer,
        paths: PodPaths,
        runtime: Runtime,
        put: Callable[[AnyEvent], None],
        *,
        clock: Clock,
        observe: Callable[[], tuple[Observation, ...]],
        split: Callable[[], bool],
        reclaim: Callable[[], Awaitable[None]],
    ) -> None:
        self._reducer = reducer
        self._paths = paths
        self._runtime = runtime
        self._put = put
        self._clock = clock
        self._observe = observe
        self._split = split
        self._reclaim = reclaim
        self._told_at = 0

    async def run(self) -> None:
        """Look until cancelled; returns at once where there is no threshold."""
        while True:
            await self.once()
            await asyncio.sleep(EVERY)

    async def once(self) -> None:
        """Look once, and tell what matters."""
        node = self._reducer.node
        if not node.eviction.thresholds:
            return
        signals = await anyio.to_thread.run_sync(self._observe)
        after = measured(node, signals, self._clock.now())
        if any(resource_condition(node.eviction.thresholds[n]) == DISK for n in after.met):
            await self._reclaim()
            signals = await anyio.to_thread.run_sync(self._observe)
            after = measured(node, signals, self._clock.now())
        candidates = [gen for gen in self._generations() if can_be_evicted(gen)] if after.met else []
        if candidates or self._is_news(node.pressure, after):
            self._told_at = self._clock.now()
            short = frozenset(resource_condition(node.eviction.thresholds[n]) for n, _ in after.since)
            uses = [await self._use(gen, short) for gen in candidates]
            self._put(NodeMeasured(signals=signals, pods=tuple(uses), split=self._split()))

    def _is_news(self, before: Pressure, after: Pressure) -> bool:
        changed = (dict(before.since).keys(), before.met, before.conditions) != (
            dict(after.since).keys(),
            after.met,
            after.conditions,
        )
        return changed or (bool(after.since) and self._clock.now() - self._told_at >= AGAIN)

    def _generations(self) -> list[Generation]:
        return [gen for slot in self._reducer.slots.values() for gen in slot.generations]

    async def _use(self, gen: Generation, short: frozenset[str]) -> PodUse:
        """What a pod uses of what is short alone: walking all disks is no help to a node without memory."""
        disk = DiskUse()
        if DISK in short:
            disk = await disk_use(gen, self._paths, self._runtime, layers=True)
        on_disk = dict(disk.containers())
        running = [r for r in gen.containers.values() if r.running]
        asks = not short.isdisjoint((MEMORY, PID))
        found = {r.name: await self._stats(r.id) if asks else (0, 0) for r in running}
        return PodUse(
            uid=gen.uid,
            memory=sum(memory for memory, _ in found.values()),
            pids=sum(pids for _, pids in found.values()),
            local=disk.local,
            root=disk.total - disk.local,
            local_inodes=disk.inodes,
            containers=tuple(
                ContainerUse(name, memory, on_disk.get(name, 0)) for name, (memory, _) in found.items()
            ),
        )

    async def _stats(self, container_id: str) -> tuple[int, int]:
        try:
            found = await self._runtime.container_stats(container_id)
        except RuntimeFault:
            return 0, 0
        return found.get("memory_bytes", 0), found.get("pids", 0)
