"""Measuring: what watches the disk of the node, wired for one life of the agent.

Belongs here: wiring, and which file systems are meant. May not be here: what follows from what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path

from minikubelet.agent.agentplan import AgentPlan
from minikubelet.core.events import AnyEvent
from minikubelet.core.reducer import Reducer
from minikubelet.ports.runtimeport import Runtime
from minikubelet.shell.podpaths import PodPaths
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
    ) -> None:
        self._root = plan.places.root
        self._host_root = Path(plan.settings.agent.host_root)
        self._runtime = runtime
        self._storage = StorageWatch(reducer, paths, runtime, put, layers=lambda: not self.split())

    def split(self) -> bool:
        """Whether the engine's images are on another file system than the pods' directories."""
        where = self._runtime.info.images_at
        images = self._host_root / where.lstrip("/")
        try:
            return bool(where) and images.stat().st_dev != self._root.stat().st_dev
        except OSError:
            return False

    def tasks(self) -> list[Coroutine[object, object, None]]:
        """What has to run until cancelled."""
        return [self._storage.run()]
