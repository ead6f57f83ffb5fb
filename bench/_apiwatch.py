"""A watcher of pods at an API server, in a thread of its own: when it was told what.

Belongs here: what any client with a kubeconfig sees. May not be here: the agent.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from minikubelet.apiclient.apikubeconfig import load_kubeconfig
from minikubelet.apiclient.apipaths import pods_path
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.ports.apiport import Changed, ChangeType, JsonObject, Listed


class PodWatch:
    """Times at which pods of the benchmarks were first seen Ready, not running any more, and gone."""

    def __init__(self) -> None:
        self.ready: dict[tuple[str, str], float] = {}
        self.gone: dict[tuple[str, str], float] = {}
        self.ended: dict[str, float] = {}
        self.version = 0
        self.started = threading.Event()

    def take(self, pod: JsonObject, change: ChangeType, at: float) -> None:
        """One change; a pod is known by its name and the generation that its label tells."""
        meta = pod["metadata"]
        key = meta["name"], (meta.get("labels") or {}).get("generation", "")
        self.version = max(self.version, int(meta["resourceVersion"]))
        status = pod.get("status") or {}
        if change is ChangeType.DELETED:
            self.gone.setdefault(key, at)
            return
        if any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ()):
            self.ready.setdefault(key, at)
        for one in status.get("containerStatuses") or ():
            for state in (one["state"].get("terminated"), (one.get("lastState") or {}).get("terminated")):
                if state:
                    self.ended.setdefault(state.get("containerID", "").rpartition("/")[2], at)


@contextmanager
def watching(kubeconfig: Path) -> Iterator[PodWatch]:
    """Watch all pods for as long as the block runs."""
    watch, loop = PodWatch(), asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop, kubeconfig, watch), daemon=True)
    thread.start()
    watch.started.wait(30)
    try:
        yield watch
    finally:
        loop.call_soon_threadsafe(_cancel_all, loop)
        thread.join(30)


def version_of(kubeconfig: Path) -> int:
    """The API server's version now: on the stub, one more for each write."""

    async def ask() -> int:
        client = ApiClient(load_kubeconfig(kubeconfig))
        try:
            return int((await client.list_objects(pods_path())).resource_version)
        finally:
            await client.aclose()

    return asyncio.run(ask())


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()


def _run(loop: asyncio.AbstractEventLoop, kubeconfig: Path, watch: PodWatch) -> None:
    try:
        loop.run_until_complete(_follow(kubeconfig, watch))
    except asyncio.CancelledError:
        pass
    finally:
        loop.close()


async def _follow(kubeconfig: Path, watch: PodWatch) -> None:
    client = ApiClient(load_kubeconfig(kubeconfig))
    try:
        async with aclosing(client.list_watch(pods_path())) as items:
            async for item in items:
                at = time.time()
                if isinstance(item, Listed):
                    watch.started.set()
                    for pod in item.items:
                        watch.take(pod, ChangeType.ADDED, at)
                elif isinstance(item, Changed):
                    watch.take(item.object, item.type, at)
    finally:
        await client.aclose()
