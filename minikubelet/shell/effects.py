"""Effects: a runtime command is carried out, and its outcome comes back as an event.

Belongs here: which calls of the runtime port a command means. May not be here: whether it should happen,
retries, or order. Driver exceptions become events; so do bugs, loudly: decided anew in each life of the
agent, one of them would otherwise keep every pod of the node from running.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol, assert_never
from weakref import WeakValueDictionary

import anyio.to_thread
import structlog

from minikubelet.core.commands import (
    CleanUpPod,
    RemoveContainer,
    RemoveSandbox,
    RuntimeCommand,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopSandbox,
)
from minikubelet.core.events import (
    ContainerRemoved,
    ContainerStarted,
    ContainerStartFailed,
    ContainerStopped,
    PodCleanedUp,
    ResultEvent,
    SandboxRemoved,
    SandboxStarted,
    SandboxStopped,
)
from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase
from minikubelet.model.pod import Pod
from minikubelet.ports.runtimeport import ContainerConfig, Runtime, RuntimeFault, SandboxConfig
from minikubelet.shell.addresses import Addresses
from minikubelet.shell.debugtarget import with_target
from minikubelet.shell.failures import failure
from minikubelet.shell.hooks import Hooks
from minikubelet.shell.images import Images
from minikubelet.shell.limiter import Limiter, Rank
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.pullwaits import PullWaits
from minikubelet.shell.vault import Vault
from minikubelet.wire.containerhash import container_hash

KILLED = 137

_log = structlog.get_logger()


class PodConfigs(Protocol):
    """Makes the runtime's requests from a full pod; raises RuntimeFault where it cannot."""

    def sandbox(self, pod: Pod, attempt: int) -> SandboxConfig:
        """The request for a sandbox."""

    async def container(self, pod: Pod, name: str, attempt: int, ips: tuple[str, ...]) -> ContainerConfig:
        """The request for a container; its volumes are there when this returns."""

    async def release(self, pod: Pod) -> None:
        """Undo what the pod's volumes mounted; raises OSError."""


class Effects:
    """Carries runtime commands out, one call of `carry_out` for each."""

    def __init__(
        self,
        runtime: Runtime,
        configs: PodConfigs,
        images: Images,
        *,
        vault: Vault,
        paths: PodPaths,
        limiter: Limiter,
        waits: PullWaits,
        hooks: Hooks | None = None,
    ) -> None:
        self._runtime = runtime
        self._configs = configs
        self._images = images
        self._vault = vault
        self._paths = paths
        self._limiter = limiter
        self._waits = waits
        self._hooks = hooks
        self._addresses = Addresses(runtime)
        self._turns: WeakValueDictionary[tuple[PodUid, str], asyncio.Lock] = WeakValueDictionary()

    async def carry_out(self, command: RuntimeCommand) -> ResultEvent:
        """Carry one command out; what the runtime says against it is an event too."""
        try:
            return await self._do(command)
        except RuntimeFault as fault:
            return self._fault(command, fault)
        except OSError as error:
            return self._fault(command, RuntimeFault("FailedOnDisk", str(error)))
        except Exception as error:  # noqa: BLE001 - a definition nobody foresaw must not end all other pods
            return self._fault(command, self._unforeseen(command, error))

    def _unforeseen(self, command: RuntimeCommand, error: Exception) -> RuntimeFault:
        """A bug, said loudly with where it happened, as a failure of this one command."""
        told = self._vault.redact(command.uid, f"{type(error).__name__}: {error}")
        where = "".join(traceback.format_tb(error.__traceback__))
        name = type(command).__name__
        _log.error("a bug; please report it", command=name, pod=command.slot, error=told, at=where)
        return RuntimeFault("InternalError", told)

    async def _do(self, command: RuntimeCommand) -> ResultEvent:
        match command:
            case StartSandbox():
                return await self._start_sandbox(command)
            case StartContainer():
                return await self._start_container(command)
            case StopContainer():
                return await self._stop_container(command)
            case RemoveContainer():
                async with self._turn(command):
                    await self._runtime.remove_container(command.container_id)
                return ContainerRemoved(
                    slot=command.slot,
                    uid=command.uid,
                    container=command.container,
                    container_id=command.container_id,
                )
            case StopSandbox():
                await self._runtime.stop_pod_sandbox(command.sandbox_id)
                await self._release(command.uid)  # of a pod that has ended, all else stays
                return SandboxStopped(slot=command.slot, uid=command.uid, sandbox_id=command.sandbox_id)
            case RemoveSandbox():
                async with self._tidying(command.uid):
                    await self._remove_sandbox(command.sandbox_id)
                return SandboxRemoved(slot=command.slot, uid=command.uid, sandbox_id=command.sandbox_id)
            case CleanUpPod():
                async with self._tidying(command.uid):
                    return await self._clean_up(command)
            case _ as never:
                assert_never(never)

    async def _start_sandbox(self, command: StartSandbox) -> SandboxStarted:
        config = self._configs.sandbox(self._pod(command), command.attempt)
        async with self._limiter.slot(Rank.BEGIN):
            sandbox_id = await self._runtime.run_pod_sandbox(config)
        ips = await self._addresses.of(command.uid, sandbox_id)
        return SandboxStarted(
            slot=command.slot, uid=command.uid, attempt=command.attempt, sandbox_id=sandbox_id, ips=ips
        )

    async def _start_container(self, command: StartContainer) -> ContainerStarted | ContainerStartFailed:
        pod = self._pod(command)
        image = self._images.ensure(pod, command.container)
        image_id = await self._waits.wait(command.slot, command.uid, image)
        ips = await self._addresses.of(command.uid, command.sandbox_id)
        made = await self._configs.container(pod, command.container, command.attempt, ips)
        config = with_target(made, pod, command)
        async with self._turn(command), self._limiter.slot(Rank.FINISH):
            container_id = await self._runtime.create_container(command.sandbox_id, config)
            await self._runtime.start_container(container_id)
        shown = await self._runtime.container_status(container_id)
        started = ContainerStarted(
            slot=command.slot,
            uid=command.uid,
            container=command.container,
            attempt=command.attempt,
            container_id=container_id,
            image_id=(shown.image_id if shown else "") or image_id,
            started_at=shown.started_at if shown else 0,
            # One that an earlier try left running is adopted, and may be made from an older definition.
            hash=(shown.hash if shown else "") or config.hash,
        )
        wrong = await self._hooks.post_start(command, container_id) if self._hooks else ""
        return await self._end(command, started, wrong) if wrong else started

    async def _end(
        self, command: StartContainer, started: ContainerStarted, wrong: str
    ) -> ContainerStartFailed:
        """End a container whose postStart hook failed."""
        stop = StopContainer(
            slot=command.slot,
            reason=command.reason,
            uid=command.uid,
            container=command.container,
            container_id=started.container_id,
            grace=self._hooks.grace_after(command) if self._hooks else 0,
        )
        stopped = await self._stop_container(stop)
        return ContainerStartFailed(
            slot=command.slot,
            uid=command.uid,
            container=command.container,
            attempt=command.attempt,
            reason="PostStartHookError",
            message=wrong,
            container_id=started.container_id,
            exit_code=stopped.exit_code,
            hash=started.hash,
            image_id=started.image_id,
            started_at=started.started_at,
            ended=stopped.reason,
        )

    def _turn(self, command: StartContainer | RemoveContainer) -> asyncio.Lock:
        """Starts and removals of one container go in the order in which they were decided.

        What a crash left half made may have the id that the next attempt is given.
        """
        return self._turns.setdefault((command.uid, command.container), asyncio.Lock())

    @asynccontextmanager
    async def _tidying(self, uid: PodUid) -> AsyncIterator[None]:
        """Taking away what no source wants any more waits for starts, unless one may wait for its ports."""
        pod = self._vault.get(uid)
        if self._vault.offered(uid) or (pod is not None and _holds_ports(pod)):
            yield
            return
        async with self._limiter.slot(Rank.TIDY):
            yield

    async def _stop_container(self, command: StopContainer) -> ContainerStopped:
        grace = await self._hooks.pre_stop(command) if self._hooks else command.grace
        await self._runtime.stop_container(command.container_id, grace)
        shown = await self._runtime.container_status(command.container_id)
        known = shown is not None and shown.phase is ContainerPhase.EXITED
        code = shown.exit_code if shown is not None and known else None
        return ContainerStopped(
            slot=command.slot,
            uid=command.uid,
            container=command.container,
            container_id=command.container_id,
            exit_code=KILLED if code is None else code,
            started_at=shown.started_at if shown else 0,
            finished_at=shown.finished_at if shown and known else 0,
            reason=shown.reason if shown and known else "ContainerStatusUnknown",
            message=self._vault.redact_words(command.uid, shown.message) if shown else "",
        )

    async def _remove_sandbox(self, sandbox_id: str) -> None:
        await self._runtime.stop_pod_sandbox(sandbox_id)
        await self._runtime.remove_pod_sandbox(sandbox_id)

    async def _release(self, uid: PodUid) -> None:
        if (pod := self._vault.get(uid)) is not None:
            await self._configs.release(pod)

    async def _clean_up(self, command: CleanUpPod) -> PodCleanedUp:
        serial = self._vault.serial(command.uid)
        for shown in await self._runtime.list_pods(command.uid):
            for sandbox in shown.sandboxes:
                await self._remove_sandbox(sandbox.id)
            for container in shown.containers:
                await self._runtime.remove_container(container.id)
        await self._release(command.uid)
        self._addresses.forget(command.uid)
        # A source may hold the pod again since this was decided; the loop will then want it anew.
        keep = command.keep_definition or self._vault.offered(command.uid)
        remove = partial(self._paths.remove, command.slot, command.uid, keep_definition=keep)
        await anyio.to_thread.run_sync(remove)
        if self._vault.offered(command.uid):
            await self._vault.write(command.uid)
        elif not keep:
            self._vault.forget(command.uid, serial)
        return PodCleanedUp(slot=command.slot, uid=command.uid)

    def _pod(self, command: StartSandbox | StartContainer) -> Pod:
        if (pod := self._vault.get(command.uid)) is None:
            raise RuntimeFault("CreateContainerConfigError", "the pod's definition is not known any more")
        return pod

    def _fault(self, command: RuntimeCommand, fault: RuntimeFault) -> ResultEvent:
        made_from = self._made_from(command) if fault.container_id else ""
        return failure(command, fault, self._vault.redact(command.uid, fault.message), made_from)

    def _made_from(self, command: RuntimeCommand) -> str:
        pod = self._vault.get(command.uid)
        if pod is None or not isinstance(command, StartContainer):
            return ""
        return container_hash(next(c for c in pod.spec.every_container if c.name == command.container))


def _holds_ports(pod: Pod) -> bool:
    containers = (*pod.spec.init_containers, *pod.spec.containers)
    return any(port.host_port for container in containers for port in container.ports)
