"""Watching what pods write to the node's disk, where something limits it.

Belongs here: measuring from time to time, and an event for a pod that exceeds a limit. May not be here: the
limits (`core.storage`) or what follows. Critical pods are not measured: they are never evicted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from minikubelet.core.events import AnyEvent, StorageMeasured
from minikubelet.core.preemption import is_critical
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Generation
from minikubelet.core.storage import exceeded, is_limited
from minikubelet.ports.runtimeport import Runtime
from minikubelet.shell.diskusage import disk_use
from minikubelet.shell.podpaths import PodPaths

EVERY: Final = 10.0
"""seconds between looks, as upstream's eviction manager"""
_SHARE: Final = 20
"""A look that takes long is followed by a pause so many times as long."""


class StorageWatch:
    """Looks at the pods that have limits; `layers` tells whether containers' own files are on this disk."""

    def __init__(
        self,
        reducer: Reducer,
        paths: PodPaths,
        runtime: Runtime,
        put: Callable[[AnyEvent], None],
        *,
        layers: Callable[[], bool],
    ) -> None:
        self._reducer = reducer
        self._paths = paths
        self._runtime = runtime
        self._put = put
        self._layers = layers

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began = time.monotonic()
            await self.once()
            await asyncio.sleep(max(EVERY, _SHARE * (time.monotonic() - began)))

    async def once(self) -> None:
        """Look once at every pod that something limits."""
        every = [gen for slot in self._reducer.slots.values() for gen in slot.generations]
        for gen in every:
            if gen.pod is not None and gen.ending is None and is_limited(gen.pod) and not is_critical(gen):
                await self._look(gen)

    async def _look(self, gen: Generation) -> None:
        used = await disk_use(gen, self._paths, self._runtime, layers=self._layers())
        containers = used.containers()
        if gen.pod is not None and exceeded(gen.pod, used.volumes, containers, used.total) is not None:
            self._put(
                StorageMeasured(
                    slot=gen.slot,
                    uid=gen.uid,
                    volumes=used.volumes,
                    containers=containers,
                    total=used.total,
                )
            )
