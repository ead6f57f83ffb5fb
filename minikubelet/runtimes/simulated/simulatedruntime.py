"""The simulated driver: the runtime port over a simulated engine, with latencies, faults and odd events.

Belongs here: the port's calls, each with its fate. What exists is in `simulatedengine`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod
from minikubelet.ports.clockport import Clock
from minikubelet.ports.runtimeport import (
    ContainerConfig,
    ExecResult,
    ImageInfo,
    RegistryAuth,
    RuntimeEvent,
    RuntimeFault,
    RuntimeInfo,
    SandboxConfig,
)
from minikubelet.runtimes.simulated.simulatedengine import (
    SECOND,
    SimulatedEngine,
    image_id,
)
from minikubelet.runtimes.simulated.simulatedoptions import Draws, SimulationOptions
from minikubelet.runtimes.simulated.simulatedpod import Container
from minikubelet.runtimes.simulated.simulatedscript import KILLED, NOT_EXECUTABLE, read_script

EVERYTHING = PodUid("")
_FILES = 0.05
"""Seconds between looks for files that containers wait for."""
_REASONS = {
    "run_pod_sandbox": "CreatePodSandboxError",
    "create_container": "CreateContainerError",
    "start_container": "RunContainerError",
    "stop_container": "KillContainerError",
    "stop_pod_sandbox": "KillPodSandboxError",
    "pull_image": "ErrImagePull",
}


class SimulatedRuntime:
    """A driver whose containers are in memory; several may share an `engine`, as across restarts."""

    def __init__(
        self,
        options: SimulationOptions,
        clock: Clock,
        *,
        node: str = "node",
        engine: SimulatedEngine | None = None,
    ) -> None:
        self.info = RuntimeInfo("simulated", f"seed {options.seed}", simulated=True)
        self.engine = engine or SimulatedEngine(clock)
        self._clock = clock
        self._node = node
        self._draws = Draws(options)
        self._changed = asyncio.Event()
        self._closed = False
        self._streams: list[list[tuple[int, int, PodUid]]] = []
        self._hints = 0

    async def connect(self) -> None:
        """Takes as long as any call, and may fail like one."""
        async with self._call("connect"):
            self._closed = False
            if self._wake not in self.engine.listeners:
                self.engine.listeners.append(self._wake)

    async def aclose(self) -> None:
        """End the streams of events; containers go on."""
        self.abandon()

    def abandon(self) -> None:
        """Forget the engine without a word, as a killed agent does."""
        self._closed = True
        self.engine.listeners = [each for each in self.engine.listeners if each != self._wake]
        self._stir()

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        """Make a sandbox."""
        async with self._call("run_pod_sandbox", config.uid):
            return self.engine.add_sandbox(self._node, config)

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Kill what is in the sandbox."""
        async with self._call("stop_pod_sandbox", sandbox_id):
            if self._owns(sandbox_id):
                self.engine.stop_sandbox(sandbox_id)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox with all that is in it."""
        async with self._call("remove_pod_sandbox", sandbox_id):
            if self._owns(sandbox_id):
                self.engine.drop_sandbox(sandbox_id)

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container; its command's words say what it will do (`Script`)."""
        async with self._call("create_container", f"{config.uid} {config.name} {config.attempt}"):
            return self.engine.add_container(sandbox_id, config)

    async def start_container(self, container_id: str) -> None:
        """Start a created container."""
        async with self._call("start_container", container_id):
            self.engine.start(container_id)

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """Stop a container and wait on the clock until it has ended."""
        async with self._call("stop_container", container_id):
            if self._container(container_id) is not None:
                self.engine.signal(container_id, grace_seconds)
            while (container := self._container(container_id)) is not None:
                self.engine.settle()
                if container.shown.phase is not ContainerPhase.RUNNING:
                    return
                await self._until(container.ends_at)

    async def remove_container(self, container_id: str) -> None:
        """Kill and remove a container."""
        async with self._call("remove_container", container_id):
            if self._container(container_id) is not None:
                self.engine.lose(container_id)

    async def list_pods(self, uid: PodUid | None = None) -> Sequence[ObservedPod]:
        """What exists now."""
        async with self._call("list_pods", uid or ""):
            return self.engine.pods(self._node, uid)

    async def container_status(self, container_id: str) -> ObservedContainer | None:
        """One container."""
        async with self._call("container_status", container_id):
            container = self._container(container_id)
            return container.shown if container else None

    async def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        """Hints, of which some are lost, doubled or late as the options say; the first never is."""
        stream: list[tuple[int, int, PodUid]] = []
        self._streams.append(stream)
        try:
            yield RuntimeEvent(EVERYTHING)
            while not self._closed:
                self.engine.settle()
                if stream and stream[0][0] <= self._clock.now():
                    yield RuntimeEvent(heapq.heappop(stream)[2])
                    continue
                times = [when for when in (stream[0][0] if stream else None, self.engine.next_end()) if when]
                await self._until(min(times, default=None))
        finally:
            self._streams = [each for each in self._streams if each is not stream]

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout_seconds: float
    ) -> ExecResult:
        """Take as long as the command's script says, unless the container ends before; its exit code."""
        async with self._call("exec_sync", container_id):
            container = self._container(container_id)
            if container is None or not container.runs:
                raise RuntimeFault("ContainerNotRunning", f"{container_id} does not run")
            script = read_script(tuple(command))
            if script.missing:
                return ExecResult(NOT_EXECUTABLE, f"exec failed: no program {command[0]}".encode())
            takes = script.seconds or 0
            if not await self._lives_for(container, min(takes, timeout_seconds)):
                return ExecResult(KILLED)
            if takes > timeout_seconds:
                raise RuntimeFault("DeadlineExceeded", f"{command[0]} did not end within {timeout_seconds} s")
            return ExecResult(script.code)

    async def _lives_for(self, container: Container, seconds: float) -> bool:
        """Wait so long, be the clock set meanwhile, unless the container ends before: then it is False."""
        over = asyncio.ensure_future(self._clock.sleep(seconds))
        over.add_done_callback(lambda _: self._stir())
        try:
            while not over.done():
                await self._until(container.ends_at)
                self.engine.settle()
                gone = self._container(container.shown.id) is not container
                if gone or container.shown.phase is ContainerPhase.EXITED:
                    return False
            return True
        finally:
            over.cancel()
            await asyncio.gather(over, return_exceptions=True)

    async def reopen_container_log(self, container_id: str) -> None:
        """Nothing is logged."""
        async with self._call("reopen_container_log", container_id):
            return

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:  # noqa: ARG002 - the port's
        """Every image can be pulled but those of a registry below `.invalid`."""
        async with self._call("pull_image", image):
            if image.partition("/")[0].endswith(".invalid"):
                raise RuntimeFault("ErrImagePull", f"there is no image {image}")
            self.engine.images[image] = len(image) * 1_000_000
            return image_id(image)

    async def image_status(self, image: str) -> ImageInfo | None:
        """An image that was pulled."""
        async with self._call("image_status", image):
            size = self.engine.images.get(image)
            return None if size is None else ImageInfo(image_id(image), (image,), size)

    async def list_images(self) -> Sequence[ImageInfo]:
        """All images that were pulled."""
        async with self._call("list_images"):
            return [ImageInfo(image_id(name), (name,), size) for name, size in self.engine.images.items()]

    async def remove_image(self, image: str) -> None:
        """Remove an image, by name or id."""
        async with self._call("remove_image", image):
            self.engine.images.pop(image.removeprefix("simulated:"), None)

    async def container_stats(self, container_id: str) -> Mapping[str, int]:
        """A hundredth of a core since its start, 16 MiB, one process."""
        async with self._call("container_stats", container_id):
            container = self._container(container_id)
            if container is None or container.shown.phase is not ContainerPhase.RUNNING:
                return {}
            ran = self._clock.now() - container.shown.started_at
            return {"cpu_usage_ns": ran * 10, "memory_bytes": 16 << 20, "pids": 1}

    async def container_disk(self, container_id: str) -> int:
        """Nothing: simulated containers write no files."""
        async with self._call("container_disk", container_id):
            return 0

    @asynccontextmanager
    async def _call(self, name: str, subject: str = "") -> AsyncIterator[None]:
        """A call with its fate: it takes its time, and may fail before or after what is in the block."""
        fate = self._draws.fate(name, subject)
        await self._clock.sleep(fate.seconds)
        self.engine.settle()
        if not fate.fails_before:
            yield
        if fate.fails_before or fate.fails_after:
            reason = _REASONS.get(name, "RuntimeUnavailable")
            raise RuntimeFault(reason, f"simulated fault of {name}", unreachable=name not in _REASONS)

    def _container(self, container_id: str) -> Container | None:
        container = self.engine.containers.get(container_id)
        return container if container and container.node == self._node else None

    def _owns(self, sandbox_id: str) -> bool:
        sandbox = self.engine.sandboxes.get(sandbox_id)
        return sandbox is not None and sandbox.node == self._node

    def _wake(self, uid: PodUid) -> None:
        """Deliver a hint to the streams of events as the options say, and have all who wait look again."""
        now = self._clock.now()
        for delay in self._draws.deliveries(uid):
            self._hints += 1
            for stream in self._streams:
                heapq.heappush(stream, (now + int(delay * SECOND), self._hints, uid))
        self._stir()

    def _stir(self) -> None:
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    async def _until(self, when: int | None) -> None:
        """Wait for a time on the clock or for any change, whichever comes first."""
        if self.engine.waits_for_files():
            soon = self._clock.now() + int(_FILES * SECOND)
            when = soon if when is None else min(when, soon)
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._changed.wait())]
        if when is not None:
            seconds = max(0, when - self._clock.now()) / SECOND
            waits.append(asyncio.ensure_future(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
