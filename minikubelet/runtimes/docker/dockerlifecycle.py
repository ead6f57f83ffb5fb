"""Creating, starting, stopping and removing containers so that doing it twice, or half, does no harm.

The engine's container API with the port's promises on top; sandboxes and pod containers are the same here.
What goes into a container's body is dockerspec's.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final

from aiodocker.exceptions import DockerError

from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.runtimes.docker import dockernames as names
from minikubelet.runtimes.docker.dockerengine import Engine, is_conflict, is_gone, one_line, refused
from minikubelet.runtimes.docker.dockerobserver import Observer
from minikubelet.runtimes.docker.dockerview import CANNOT_RUN, Inspected

CANNOT_START: Final = 128
"""The exit code of a container whose start failed when the engine names none; as the engine's own."""


_LONGEST_GRACE: Final = 2**31 - 1
"""the engine counts a stop's seconds in 32 bits"""


class Lifecycle:
    """The hands of one driver."""

    def __init__(self, engine: Engine, observer: Observer) -> None:
        self._engine = engine
        self._observer = observer
        self._stopping: dict[str, asyncio.Future[None]] = {}

    async def create(
        self, name: str, body: dict[str, Any], reason: str, adopt: Callable[[Inspected], bool]
    ) -> str:
        """Create a container; its id, or that of a container of this name that `adopt` takes as it is.

        A name taken by what a crashed attempt left is freed once; DockerError if there is no such image.
        """
        try:
            return await self._post(name, body)
        except DockerError as error:
            if not is_conflict(error):
                raise
        holder = await self._observer.inspect(name)
        if holder is not None:
            self._observer.require_ours(holder)
            if adopt(holder):
                return holder.id
            await self.remove(holder.id)
        try:
            return await self._post(name, body)
        except DockerError as error:
            if is_conflict(error):
                raise refused(reason, error) from None
            raise

    async def _post(self, name: str, body: dict[str, Any]) -> str:
        answer = await self._engine.ask("POST", "containers/create", params={"name": name}, body=body)
        container_id = str(answer["Id"])
        self._observer.made(container_id)
        return container_id

    async def start(self, container_id: str, reason: str) -> None:
        """Start what was created; RuntimeFault with the exit code that the engine gave it if it cannot."""
        try:
            await self._engine.ask("POST", f"containers/{container_id}/start")
        except DockerError as error:
            self._observer.touch(container_id)
            found = await self._observer.inspect(container_id)
            raise RuntimeFault(
                reason,
                one_line(error.message),
                container_id=container_id,
                exit_code=(found.state.exit_code if found else 0) or CANNOT_START,
                ended=CANNOT_RUN,
            ) from None
        self._observer.touch(container_id)

    async def stop(self, container_id: str, grace_seconds: float) -> None:
        """Stop signal, grace, SIGKILL; returns once it is dead. While one waits, a second one waits with it.

        The engine goes on with a stop whose request was given up, so cancelling is safe.
        """
        waiting = self._stopping.get(container_id)
        if grace_seconds <= 0:
            await self.kill(container_id)
        elif waiting is None:
            await self._stop(container_id, min(_LONGEST_GRACE, math.ceil(grace_seconds)))
        else:  # a second stop signal would tell many programs to drop everything at once
            done, _ = await asyncio.wait({waiting}, timeout=grace_seconds)
            if not done:
                await self.kill(container_id)
            elif waiting.cancelled() or waiting.exception() is not None:
                await self._stop(container_id, math.ceil(grace_seconds))

    async def _stop(self, container_id: str, grace_seconds: int) -> None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopping[container_id] = ended
        try:
            path = f"containers/{container_id}/stop"
            await self._engine.ask("POST", path, params={"t": grace_seconds}, longer=grace_seconds)
        except DockerError as error:
            if not is_gone(error):
                raise refused("KillContainer", error, container_id=container_id) from None
        else:
            ended.set_result(None)
        finally:
            ended.cancel()
            if self._stopping.get(container_id) is ended:
                del self._stopping[container_id]
            self._observer.touch(container_id)

    async def kill(self, container_id: str) -> None:
        """SIGKILL, and wait until it is dead; what does not run is dead already."""
        try:
            await self._engine.ask("POST", f"containers/{container_id}/kill")
            await self._engine.ask("POST", f"containers/{container_id}/wait")
        except DockerError as error:
            if not is_gone(error) and not is_conflict(error):
                raise refused("KillContainer", error, container_id=container_id) from None
        finally:
            self._observer.touch(container_id)

    async def remove(self, container_id: str) -> None:
        """Remove a container and its anonymous volumes, killing it if it runs; gone is fine."""
        try:
            params = {"force": True, "v": True}
            await self._engine.ask("DELETE", f"containers/{container_id}", params=params)
        except DockerError as error:
            if is_conflict(error):  # another removal is on its way
                await self._until_removed(container_id)
            elif not is_gone(error):
                raise refused("RemoveContainer", error, container_id=container_id) from None
        await self._observer.gone(container_id)

    async def _until_removed(self, container_id: str) -> None:
        try:
            path = f"containers/{container_id}/wait"
            await self._engine.ask("POST", path, params={"condition": "removed"})
        except DockerError as error:
            if not is_gone(error):
                raise refused("RemoveContainer", error, container_id=container_id) from None

    async def members(self, sandbox_id: str, *, running: bool) -> list[str]:
        """The ids of this node's containers in a sandbox; only those that run if asked so."""
        filters = names.filters(sandbox_id=sandbox_id, node=self._observer.node)
        if running:
            filters["status"] = ["running", "paused", "restarting"]
        try:
            found = await self._engine.ask("GET", "containers/json", params={"all": True, "filters": filters})
        except DockerError as error:
            raise refused("ListContainers", error) from None
        return [str(item["Id"]) for item in found]
