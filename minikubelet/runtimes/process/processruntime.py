"""The process driver: the runtime port over supervised process groups of this machine.

Belongs here: the port's calls in terms of store, supervisors and watches. What a process cannot keep of
a container's promises is in `processpolicy`.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import structlog

import minikubelet
from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod
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
from minikubelet.runtimes.alreadyrun import already_run
from minikubelet.runtimes.process import processlaunch, processpolicy, processrecords, proctable, shimspec
from minikubelet.runtimes.process.processrecords import ContainerRecord
from minikubelet.runtimes.process.processstore import ProcessStore, kill_marked
from minikubelet.runtimes.process.processwatch import Hints, Watches, supervised

_PATIENCE = 20.0
"""Seconds beyond the grace period after which a supervisor that does not answer is killed as well."""
_POLL = 0.01

log = structlog.get_logger(__name__)


P = ParamSpec("P")
T = TypeVar("T")


def _told(call: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """A call of the port that tells of a disk or system that refuses as of any other fault."""

    @functools.wraps(call)
    async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await call(*args, **kwargs)
        except OSError as error:
            raise RuntimeFault("FailedOnDisk", str(error)) from error

    return wrapped


class ProcessRuntime:
    """Containers as supervised process groups below a directory of this node's own.

    `ip` is shown as the address of every pod: processes have the host's network. Without
    `namespaces` volumes are symlinks even where mount namespaces would be allowed. Nothing is lost when
    the object goes: another one for the same directory and node adopts everything. A service manager must not
    end the whole process tree (systemd: `KillMode=process`). A killed supervisor's container shows 137.
    """

    def __init__(self, state_dir: Path, *, node: str, ip: str = "127.0.0.1", namespaces: bool = True) -> None:
        self.info = RuntimeInfo("process", minikubelet.__version__)
        base = state_dir.absolute() / "process" / processrecords.safe_name(node)
        self._store = ProcessStore(base, ip, namespaces=namespaces)
        self._hints = Hints()
        self._watches = Watches(self._ended)
        self._warned: set[str] = set()

    async def connect(self) -> None:
        """Make the directory, and watch what runs."""
        try:
            await asyncio.to_thread(self._store.base.mkdir, parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise RuntimeFault("RuntimeNotReady", str(error), unreachable=True) from error
        await self.list_pods()

    async def aclose(self) -> None:
        """Stop watching; containers go on under their supervisors."""
        self._watches.close()
        self._hints.close()

    @_told
    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        """Record a sandbox; there is no process behind it."""
        sandbox_id = await asyncio.to_thread(self._store.make_sandbox, config)
        for said in processpolicy.sandbox_warnings(config):
            log.warning("not kept by the process runtime", pod=config.name, what=said)
        self._hints.hint(config.uid)
        return sandbox_id

    @_told
    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Kill the sandbox's containers and mark it as not ready."""
        if (record := await asyncio.to_thread(self._store.sandbox, sandbox_id)) is None:
            return
        await asyncio.to_thread(self._store.mark_stopped, record)
        containers = await asyncio.to_thread(self._store.containers_of, record)
        stops = (self.stop_container(each.id, 0) for each in containers)
        for outcome in await asyncio.gather(*stops, return_exceptions=True):
            if outcome is not None:
                raise outcome
        self._hints.hint(record.uid)

    @_told
    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Remove containers first and the sandbox last, so that a crash in between shows what is left."""
        record = await asyncio.to_thread(self._store.sandbox, sandbox_id)
        path = self._store.directory(sandbox_id)
        if record is None or path is None:
            return
        await self.stop_pod_sandbox(sandbox_id)
        for each in await asyncio.to_thread(self._store.containers_of, record):
            await self.remove_container(each.id)
        await asyncio.to_thread(self._store.remove, path)
        self._hints.hint(record.uid)

    @_told
    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Lay out a container's directory; nothing runs yet."""
        container_id = await asyncio.to_thread(self._store.make_container, sandbox_id, config)
        for said in processpolicy.container_warnings(config):
            log.warning("not kept by the process runtime", pod=config.pod_name, what=said)
        if not processpolicy.image_root(config.image) and config.image not in self._warned:
            self._warned.add(config.image)
            log.warning(
                "image is not used by the process runtime: its containers run this machine's programs",
                image=config.image,
            )
        self._hints.hint(config.uid)
        return container_id

    @_told
    async def start_container(self, container_id: str) -> None:
        """Start the supervisor, which starts the container; a fault with 126, 127 or 128 if it cannot."""
        record, path, report = await asyncio.to_thread(self._start, container_id)
        self._judge(record, report)
        if "taken" in report:
            await self._started_elsewhere(container_id)
        self._watches.watch(container_id, path)
        self._hints.hint(record.uid)

    @_told
    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """Have the supervisor signal the process group and kill it after the grace period."""
        record, path = await asyncio.to_thread(self._find, container_id)
        if record is None or path is None:
            return
        end = self._watches.watch(container_id, path)
        if not end.is_set():
            grace = max(0, int(grace_seconds * 1000))
            self._watches.send(container_id, path, f"stop {grace} {record.stop_signal}\n")
            try:
                async with asyncio.timeout(grace_seconds + _PATIENCE):
                    await end.wait()
            except TimeoutError:
                await asyncio.to_thread(self._force, path)
        await asyncio.to_thread(self._store.look, container_id)

    @_told
    async def remove_container(self, container_id: str) -> None:
        """Kill a container that runs, then remove its directory; its log stays."""
        record, path = await asyncio.to_thread(self._find, container_id)
        if record is None or path is None:
            return
        await self.stop_container(container_id, 0)
        await asyncio.to_thread(self._store.remove, path)
        self._hints.hint(record.uid)

    @_told
    async def list_pods(self, uid: PodUid | None = None) -> Sequence[ObservedPod]:
        """What the directory shows; everything that runs is watched from now on."""
        pods = await asyncio.to_thread(self._store.pods, uid)
        for pod in pods:
            for container in pod.containers:
                path = self._store.directory(container.id)
                if path is not None and container.phase is ContainerPhase.RUNNING:
                    self._watches.watch(container.id, path)
        return pods

    @_told
    async def container_status(self, container_id: str) -> ObservedContainer | None:
        """One container."""
        return await asyncio.to_thread(self._store.look, container_id)

    def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        """Hints at once when a supervisor ends, and after each change made through this driver."""
        return self._hints.listen()

    @_told
    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout_seconds: float
    ) -> ExecResult:
        """Run a command with the container's environment, identity, root and mounts."""
        pid, path = await self._running(container_id)
        end = self._watches.watch(container_id, path)
        return await processlaunch.run_inside(pid, command, end, timeout_seconds)

    async def reopen_container_log(self, container_id: str) -> None:
        """Make the new file; the supervisor goes over to it with its next line."""
        record, _ = await self._known(container_id)
        try:
            os.close(os.open(record.log_path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            raise RuntimeFault("ReopenLogError", str(error)) from error

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:  # noqa: ARG002 - the port's
        """Every name is there."""
        return processrecords.image_id(image)

    async def image_status(self, image: str) -> ImageInfo | None:
        """Every name is an image without content, whose user is the agent's."""
        return ImageInfo(processrecords.image_id(image), (image,), 0, str(os.geteuid()))

    async def list_images(self) -> Sequence[ImageInfo]:
        """None: there is nothing that could be collected."""
        return ()

    async def remove_image(self, image: str) -> None:
        """Nothing is there to remove."""

    @_told
    async def container_stats(self, container_id: str) -> Mapping[str, int]:
        """Sums over all processes below the supervisor."""
        path = self._store.directory(container_id)
        state = await asyncio.to_thread(self._store.state, path) if path and path.exists() else None
        if state is None or state.exit_code is not None:
            return {}
        return await asyncio.to_thread(processlaunch.usage, state.shim)

    async def container_disk(self, container_id: str) -> int:  # noqa: ARG002 - the port's name
        """Nothing: processes write where they are told to."""
        return 0

    def _ended(self, container_id: str) -> None:
        self._hints.hint(PodUid(container_id.partition("_")[0]))

    def _find(self, container_id: str) -> tuple[ContainerRecord | None, Path | None]:
        return self._store.container(container_id), self._store.directory(container_id)

    def _start(self, container_id: str) -> tuple[ContainerRecord, Path, list[str]]:
        record, path = self._find(container_id)
        found = self._store.look(container_id)
        if record is None or path is None or found is None:
            raise RuntimeFault("NotFound", f"there is no container {container_id}")
        if found.phase is ContainerPhase.EXITED:
            raise already_run("RunContainerError", found)
        started = found.phase is not ContainerPhase.CREATED
        return record, path, [] if started else processlaunch.start_supervisor(path)

    async def _known(self, container_id: str) -> tuple[ContainerRecord, Path]:
        record, path = await asyncio.to_thread(self._find, container_id)
        if record is None or path is None:
            raise RuntimeFault("NotFound", f"there is no container {container_id}")
        return record, path

    async def _running(self, container_id: str) -> tuple[int, Path]:
        """Pid of a running container's first process, sure to be that one, and its directory."""
        _, path = await self._known(container_id)
        state = await asyncio.to_thread(self._store.state, path)
        if state is None or state.exit_code is not None or proctable.start_time(state.pid) != state.start:
            raise RuntimeFault("NotRunning", f"{container_id} does not run")
        return state.pid, path

    def _judge(self, record: ContainerRecord, report: list[str]) -> None:
        for line in report:
            word, _, rest = line.partition(" ")
            if word == "warn":
                log.warning("process runtime", container=record.id, what=rest)
            elif word == "failed":
                code, _, why = rest.partition(" ")
                self._hints.hint(record.uid)
                raise RuntimeFault("RunContainerError", why, container_id=record.id, exit_code=int(code))

    async def _started_elsewhere(self, container_id: str) -> None:
        """Another supervisor, of an agent that is gone, is just starting it: wait for what it writes."""
        for _ in range(int(_PATIENCE / _POLL)):
            found = await asyncio.to_thread(self._store.look, container_id)
            if found is None or found.phase is not ContainerPhase.CREATED:
                return
            await asyncio.sleep(_POLL)

    def _force(self, path: Path) -> None:
        """The last resort against a supervisor that hangs: kill both, it by pid and start time."""
        state = processrecords.read_record(path / shimspec.STATE, processrecords.ShimState)
        kill_marked(path)
        if state and state.boot == self._store.boot and state.shim_start == proctable.start_time(state.shim):
            proctable.kill(state.shim, 9)
        give_up = time.monotonic() + _PATIENCE
        while supervised(path) and time.monotonic() < give_up:
            time.sleep(_POLL)
