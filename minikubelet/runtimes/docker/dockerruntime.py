"""The Docker driver: the runtime port in terms of one engine.

Composes the parts beside it and holds nothing but them: what is asked of the engine is in dockerspec and
dockerlifecycle, what it shows in dockerobserver, its logs in dockerlogs, its images in dockerimages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog
from aiodocker.exceptions import DockerError

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
from minikubelet.runtimes.docker import dockerexec, dockerpaths, dockerspec
from minikubelet.runtimes.docker import dockernames as names
from minikubelet.runtimes.docker.dockerengine import Engine, is_gone, refused
from minikubelet.runtimes.docker.dockerfacts import EngineFacts, shortcomings
from minikubelet.runtimes.docker.dockerhost import OomFloor, in_user_namespace, same_mounts
from minikubelet.runtimes.docker.dockerimages import Images
from minikubelet.runtimes.docker.dockerlifecycle import Lifecycle
from minikubelet.runtimes.docker.dockerlogs import LogKeeper
from minikubelet.runtimes.docker.dockerobserver import Observer
from minikubelet.runtimes.docker.dockerview import Inspected

_log = structlog.get_logger(__name__)

_NO_SANDBOX: Final = "CreatePodSandboxError"
_NO_CONTAINER: Final = "CreateContainerError"
_NO_START: Final = "RunContainerError"


class DockerRuntime:
    """A driver for the engine at `host` (`unix:///path` or `tcp://host:port`), owning what `node` made there.

    `pause_image` holds the sandboxes; unset, or not in the engine, a built-in one of 300 bytes does.
    """

    def __init__(
        self,
        host: str,
        *,
        node: str,
        state_dir: Path,
        pause_image: str | None = None,
    ) -> None:
        self._node = node
        self._state_dir = state_dir
        self._engine = Engine(host)
        self._logs = LogKeeper(self._engine)
        self._observer = Observer(self._engine, node, self._logs)
        self._lifecycle = Lifecycle(self._engine, self._observer)
        self._made: dict[str, int | None] = {}
        """the OOM score asked for each container that waits for its start; None where one was adopted"""
        self._images = Images(self._engine, pause_image)
        self._floor = OomFloor()
        self._facts: EngineFacts | None = None
        self._info = RuntimeInfo("docker", "")

    @property
    def info(self) -> RuntimeInfo:
        """`docker` and the engine's version."""
        return self._info

    async def connect(self) -> None:
        """Reach the engine and see what it can; RuntimeFault(unreachable) when it does not answer."""
        try:
            version = await self._engine.open()
            facts = await self._engine.facts()
            same = await asyncio.to_thread(same_mounts, self._engine.socket)
        except DockerError as error:
            raise refused("EngineUnreachable", error) from None
        self._info = RuntimeInfo(
            "docker",
            version,
            images_at=facts.images_at,
            same_mounts=same,
            lacks_apparmor=facts.lacks_apparmor,
        )
        if self._facts is None:
            for sentence in shortcomings(facts, outside=not in_user_namespace()):
                _log.warning(sentence)
        self._facts = facts
        await asyncio.to_thread(self._floor.look, self._engine.socket)
        self._logs.start()

    async def check_paths(self) -> None:
        """See that the state directory is the engine's as well, since containers are given files of it.

        Raises RuntimeFault where it is not, and where a connected engine does not answer any more.
        """
        if self._facts is not None and self._facts.rootless:
            await asyncio.to_thread(dockerpaths.check_user, self._engine)
        try:
            same = await dockerpaths.sees(self._engine, self._images, self._state_dir, self._node)
        except (DockerError, OSError) as error:
            _log.warning("whether the engine has the same state directory is unknown", error=str(error))
            return
        if not same:
            raise dockerpaths.not_shared(self._state_dir)

    async def aclose(self) -> None:
        """Let go of connections and log files; containers go on."""
        await self._logs.aclose()
        await self._engine.close()

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        """Create and start the pause container; adopts one that runs under the same name."""
        try:
            return await self._run_sandbox(config)
        except DockerError as error:
            if not is_gone(error):
                raise refused(_NO_SANDBOX, error) from None
        self._images.forget_pause()
        try:
            return await self._run_sandbox(config)
        except DockerError as error:
            raise refused(_NO_SANDBOX, error) from None

    async def _run_sandbox(self, config: SandboxConfig) -> str:
        asked = self._floor.clamp(dockerspec.SANDBOX_OOM_SCORE)
        sandbox_id = await self._create_sandbox(config)
        try:
            await self._lifecycle.start(sandbox_id, _NO_SANDBOX)
        except RuntimeFault as fault:
            if fault.unreachable:
                raise
            await self._lifecycle.remove(sandbox_id)
            if not self._floor.learn(fault.message, asked):
                raise
            sandbox_id = await self._create_sandbox(config)
            await self._lifecycle.start(sandbox_id, _NO_SANDBOX)
        return sandbox_id

    async def _create_sandbox(self, config: SandboxConfig) -> str:
        image = await self._images.pause()
        body = dockerspec.sandbox_body(config, node=self._node, image=image, clamp=self._floor.clamp)
        return await self._lifecycle.create(names.sandbox_name(config), body, _NO_SANDBOX, _runs)

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Kill the sandbox's containers, then the pause container, whose network goes with it."""
        if not await self._observer.is_ours(sandbox_id):
            return
        members = await self._lifecycle.members(sandbox_id, running=True)
        await asyncio.gather(*(self._lifecycle.kill(container_id) for container_id in members))
        await self._lifecycle.kill(sandbox_id)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Remove the sandbox after all containers in it."""
        if not await self._observer.is_ours(sandbox_id):
            return
        members = await self._lifecycle.members(sandbox_id, running=False)
        await asyncio.gather(*(self._remove(container_id) for container_id in members))
        await self._lifecycle.remove(sandbox_id)

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Create a container; one that runs under the same name in this sandbox is adopted."""
        labels = await self._observer.sandbox_labels(sandbox_id)
        if config.termination_log is not None:
            await asyncio.to_thread(dockerpaths.touch, config.termination_log)
        body = dockerspec.container_body(
            sandbox_id,
            config,
            node=self._node,
            sandbox_labels=labels,
            image_user=await self._image_user(config),
            clamp=self._floor.clamp,
        )

        def adopt(holder: Inspected) -> bool:
            mine = holder.labels.get(names.SANDBOX_ID) == sandbox_id and _runs(holder)
            self._made |= {holder.id: None} if mine else {}
            return mine

        try:
            made = await self._lifecycle.create(names.container_name(config), body, _NO_CONTAINER, adopt)
        except DockerError as error:
            raise refused(_NO_CONTAINER, error) from None
        self._made.setdefault(made, self._floor.clamp(config.resources.oom_score_adj))
        return made

    async def _image_user(self, config: ContainerConfig) -> str:
        """The image's user, looked up only where a group is set without a user."""
        if config.security.run_as_group is None or config.security.run_as_user is not None:
            return ""
        image = await self._images.status(config.image)
        return image.user if image is not None else ""

    async def start_container(self, container_id: str) -> None:
        """Start a created container and take up its log."""
        if not await self._observer.is_ours(container_id):
            raise RuntimeFault(
                _NO_START, f"there is no container {container_id[:12]}", container_id=container_id
            )
        score = self._made.pop(container_id, 0)
        if score is None:  # the engine would run once more what has ended meanwhile
            found = await self._observer.status(container_id)
            if found is not None and found.phase is ContainerPhase.EXITED:
                raise already_run(_NO_START, found)
            return
        try:
            await self._lifecycle.start(container_id, _NO_START)
        except RuntimeFault as fault:  # no sandbox may have told yet: those of an earlier life go on
            self._floor.learn(fault.message, score)
            raise
        await self._observer.status(container_id)

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """Stop signal, at most the grace (rounded up to seconds), SIGKILL; returns once it is dead."""
        if await self._observer.is_ours(container_id):
            await self._lifecycle.stop(container_id, grace_seconds)

    async def remove_container(self, container_id: str) -> None:
        """Remove a container; its log stays, complete."""
        if await self._observer.is_ours(container_id):
            await self._remove(container_id)

    async def _remove(self, container_id: str) -> None:
        """A look at a container that has exited writes the rest of its log."""
        found = await self._observer.status(container_id)
        if found is not None and found.phase is ContainerPhase.RUNNING:
            await self._lifecycle.kill(container_id)
            await self._observer.status(container_id)
        await self._lifecycle.remove(container_id)
        self._made.pop(container_id, None)

    async def list_pods(self, uid: PodUid | None = None) -> Sequence[ObservedPod]:
        """All pods of this node, or the one of `uid`."""
        return await self._observer.pods(uid)

    async def container_status(self, container_id: str) -> ObservedContainer | None:
        """One container as it is now; None if there is none of ours."""
        return await self._observer.status(container_id)

    def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        """A hint at everything once subscribed, then at each pod that changed; close it with `aclosing`."""
        return self._observer.events()

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout_seconds: float
    ) -> ExecResult:
        """Run a command; 64 KiB of its output are kept."""
        if not await self._observer.is_ours(container_id):
            raise RuntimeFault("ContainerNotRunning", f"there is no container {container_id[:12]}")
        return await dockerexec.exec_sync(self._engine, container_id, command, timeout_seconds)

    async def reopen_container_log(self, container_id: str) -> None:
        """Go on in a new log file after the old one was renamed."""
        await self._logs.reopen(container_id)

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        """Pull an image, its progress dropped."""
        return await self._images.pull(image, auth)

    async def image_status(self, image: str) -> ImageInfo | None:
        """The image of that name in the engine."""
        return await self._images.status(image)

    async def list_images(self) -> Sequence[ImageInfo]:
        """All images but the one of the sandboxes."""
        return await self._images.all()

    async def remove_image(self, image: str) -> None:
        """Remove an image that no container uses."""
        await self._images.remove(image)

    async def container_stats(self, container_id: str) -> Mapping[str, int]:
        """What a running container uses."""
        if not await self._observer.is_ours(container_id):
            return {}
        return await dockerexec.container_stats(self._engine, container_id)

    async def container_disk(self, container_id: str) -> int:
        """The size of a container's writable layer."""
        if not await self._observer.is_ours(container_id):
            return 0
        return await dockerexec.writable_layer(self._engine, container_id)


def _runs(holder: Inspected) -> bool:
    return holder.state.status in {"running", "paused"}
