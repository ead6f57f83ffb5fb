"""Measuring: what watches the node and its disk, wired for one life of the agent.

Belongs here: wiring, and which file systems are meant. May not be here: what follows from what is measured.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

from minikubelet.agent.agentplan import AgentPlan
from minikubelet.core.events import AnyEvent
from minikubelet.core.reducer import Reducer
from minikubelet.core.signals import Observation, Signal
from minikubelet.ports.clockport import Clock
from minikubelet.ports.runtimeport import Runtime
from minikubelet.reporting.machinefacts import read_machine
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.pressurewatch import PressureWatch
from minikubelet.shell.storagewatch import StorageWatch


class Measuring:
    """The watches of one life; `tasks` run until cancelled."""

    def __init__(
        self,
        plan: AgentPlan,
        runtime: Runtime,
        paths: PodPaths,
        *,
        reducer: Reducer,
        put: Callable[[AnyEvent], None],
        clock: Clock,
        reclaim: Callable[[], Awaitable[None]],
    ) -> None:
        self._root = plan.places.root
        self._host_root = Path(plan.settings.agent.host_root)
        self._runtime = runtime
        self._storage = StorageWatch(reducer, paths, runtime, put, layers=lambda: not self.split())
        self._pressure = PressureWatch(
            reducer,
            paths,
            runtime,
            put,
            clock=clock,
            observe=self.observe,
            split=self.split,
            reclaim=reclaim,
        )

    def observe(self) -> tuple[Observation, ...]:
        """How much there is of all that the node may run short of."""
        node = read_machine(self._root)
        found = [
            Observation(Signal.MEMORY_AVAILABLE, node.memory_available, node.memory),
            Observation(Signal.NODEFS_AVAILABLE, node.disk_available, node.disk),
            Observation(Signal.NODEFS_INODES_FREE, node.inodes_free, node.inodes),
            Observation(Signal.PID_AVAILABLE, node.tasks_max - node.tasks, node.tasks_max),
        ]
        if self._runtime.info.images_at:
            images = read_machine(self._images())
            found.append(Observation(Signal.IMAGEFS_AVAILABLE, images.disk_available, images.disk))
            found.append(Observation(Signal.IMAGEFS_INODES_FREE, images.inodes_free, images.inodes))
        return tuple(each for each in found if each.capacity > 0)

    def _images(self) -> Path:
        return self._host_root / self._runtime.info.images_at.lstrip("/")

    def split(self) -> bool:
        """Whether the engine's images are on another file system than the pods' directories."""
        where = self._runtime.info.images_at
        try:
            return bool(where) and self._images().stat().st_dev != self._root.stat().st_dev
        except OSError:
            return False

    def tasks(self) -> list[Coroutine[object, object, None]]:
        """What has to run until cancelled."""
        return [self._storage.run(), self._pressure.run()]
