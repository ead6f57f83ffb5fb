"""Lifecycle hooks: postStart right after a start, preStop within the grace period of a stop.

Belongs here: what a hook does and what bounds it (kuberuntime_container.go, lifecycle/handlers.go).
May not be here: starting or stopping (`effects`). A hook that fails is told; one that hangs is cut short.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

import structlog

from minikubelet.core.commands import StartContainer, StopContainer
from minikubelet.core.project import addresses
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Generation, record_of
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.observed import ContainerPhase
from minikubelet.model.pod import Container, HTTPGetAction, LifecycleHandler
from minikubelet.ports.clockport import Clock
from minikubelet.ports.runtimeport import Runtime, RuntimeFault
from minikubelet.shell.probehandlers import NoSuchPort, port_of
from minikubelet.shell.prober import MESSAGE_CHARACTERS, Told, container_of
from minikubelet.shell.proberwords import Http, HttpFault
from minikubelet.shell.vault import Vault

LEAST_GRACE: Final = 2.0
"""seconds that a container has to end after its preStop hook, however long that took"""
DEFAULT_GRACE: Final = 30
UNBOUNDED: Final = 86_400.0

_log = structlog.get_logger()


class HookFault(Exception):
    """A hook failed; the text says how."""


class _Call(NamedTuple):
    """A hook for one instance, with what it may use."""

    slot: SlotKey
    uid: PodUid
    container: Container
    container_id: str


class _Stopping:
    """A preStop hook under way; `deadline` (of the event loop's clock) ends the whole grace period."""

    def __init__(self, deadline: float, limit: asyncio.Timeout) -> None:
        self.deadline = deadline
        self.limit = limit
        self.over = asyncio.Event()

    def shorten(self, deadline: float) -> None:
        """End the grace period earlier."""
        if deadline < self.deadline and not self.over.is_set():
            self.deadline = deadline
            if deadline > asyncio.get_running_loop().time():
                self.limit.reschedule(deadline)
            else:
                self.over.set()
                self.limit.reschedule(0.0)


class Hooks:
    """Runs hooks for the effects of starts and stops."""

    def __init__(
        self, runtime: Runtime, vault: Vault, reducer: Reducer, http: Http, clock: Clock, *, told: Told
    ) -> None:
        self._runtime = runtime
        self._vault = vault
        self._reducer = reducer
        self._http = http
        self._clock = clock
        self._told = told
        self._starting: dict[tuple[SlotKey, PodUid], dict[str, asyncio.Timeout]] = {}
        self._stopping: dict[str, _Stopping] = {}
        self._early: dict[str, tuple[SlotKey, PodUid]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Hold the hooks that begin before their container's own stop is ordered, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    def seen(self) -> None:
        """Take note that the state has changed: postStart hooks of a pod that is to end are cut short."""
        for slot, uid in list(self._starting):
            gen = self._generation(slot, uid)
            if gen is None or gen.ending is not None:
                for limit in self._starting.pop((slot, uid)).values():
                    limit.reschedule(0.0)

    async def post_start(self, command: StartContainer, container_id: str) -> str:
        """Run the postStart hook, if there is one; what went wrong, empty if nothing did."""
        container = container_of(self._vault.get(command.uid), command.container)
        hook = container.lifecycle.post_start if container and container.lifecycle else None
        if container is None or hook is None:
            return ""
        call = _Call(command.slot, command.uid, container, container_id)
        gen = self._generation(command.slot, command.uid)
        if gen is None or gen.ending is not None:
            return self._failed(call, "PostStart", "the pod ended before the hook began")
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._starting.setdefault((command.slot, command.uid), {})[command.container] = limit
                await self._run(hook, call, UNBOUNDED)
        except HookFault as fault:
            return self._failed(call, "PostStart", str(fault))
        except TimeoutError:
            return self._failed(call, "PostStart", "the pod ended before the hook did")
        finally:
            self._forget(command)
        return ""

    def grace_after(self, command: StartContainer) -> int:
        """The seconds that a container has to end whose postStart hook failed."""
        gen = self._generation(command.slot, command.uid)
        if gen is not None and gen.ending is not None:
            return gen.ending.grace
        pod = self._vault.get(command.uid)
        own = pod.spec.termination_grace_period_seconds if pod else None
        return DEFAULT_GRACE if own is None else max(0, own)

    async def pre_stop(self, command: StopContainer) -> float:
        """Run the preStop hook, if there is one, within the grace period; the seconds that are left of it.

        A second stop of the container waits for the hook that the first one runs, and may cut it short.
        """
        deadline = asyncio.get_running_loop().time() + command.grace
        self._begin_sidecars(command)
        earlier = self._stopping.get(command.container_id)
        if earlier is not None:
            earlier.shorten(deadline)
            await earlier.over.wait()
        if self._early.pop(command.container_id, None) is not None or earlier is not None:
            return self._left(command, deadline)
        container = container_of(self._vault.get(command.uid), command.container)
        hook = container.lifecycle.pre_stop if container and container.lifecycle else None
        if container is None or hook is None or command.grace <= 0 or not await self._runs(command):
            return command.grace
        call = _Call(command.slot, command.uid, container, command.container_id)
        return self._left(command, await self._stop(hook, call, deadline))

    def _begin_sidecars(self, command: StopContainer) -> None:
        """When a pod ends, the preStop hooks of its sidecars begin with the first stop of a container.

        The sidecars' own stops come after those of the main containers, within the same grace period.
        """
        gen = self._generation(command.slot, command.uid)
        if gen is None or gen.ending is None or self._group is None:
            return
        self._early = {key: pod for key, pod in self._early.items() if self._generation(*pod) is not None}
        left = gen.ending.grace - (self._clock.now() - gen.ending.at) / 1e6
        deadline = asyncio.get_running_loop().time() + left
        pod = self._vault.get(command.uid)
        for container in pod.spec.init_containers if pod else ():
            record = record_of(gen, container.name)
            hook = container.lifecycle.pre_stop if container.lifecycle else None
            if hook is None or not record.running or record.id == command.container_id:
                continue
            if record.id in self._stopping:
                self._stopping[record.id].shorten(deadline)
            elif left > 0 and record.id not in self._early and record.name not in gen.pending:
                self._early[record.id] = (command.slot, command.uid)
                call = _Call(command.slot, command.uid, container, record.id)
                self._group.create_task(self._stop(hook, call, deadline))

    async def _stop(self, hook: LifecycleHandler, call: _Call, deadline: float) -> float:
        """Run the hook until the deadline at most, which may have moved by then."""
        stopping = _Stopping(deadline, asyncio.timeout_at(deadline))
        try:
            async with stopping.limit:
                self._stopping[call.container_id] = stopping
                await self._run(hook, call, max(0.0, deadline - asyncio.get_running_loop().time()))
        except HookFault as fault:
            self._failed(call, "PreStop", str(fault))
        except TimeoutError:
            self._failed(call, "PreStop", "the hook did not end within the grace period")
        finally:
            stopping.over.set()
            self._stopping.pop(call.container_id, None)
        return stopping.deadline

    async def _run(self, hook: LifecycleHandler, call: _Call, seconds: float) -> None:
        try:
            await self._do(hook, call, seconds)
        except (HookFault, TimeoutError):
            raise
        except Exception as error:
            raise HookFault(f"{type(error).__name__}: {error}") from error

    async def _do(self, hook: LifecycleHandler, call: _Call, seconds: float) -> None:
        if hook.exec is not None:
            await self._exec(hook.exec.command, call, seconds)
        elif hook.http_get is not None and not self._runtime.info.simulated:
            await self._http_get(hook.http_get, call)
        elif hook.sleep is not None:
            await self._clock.sleep(hook.sleep.seconds)
        elif hook.http_get is None:
            raise HookFault("only exec, httpGet and sleep are carried out as hooks")

    async def _http_get(self, action: HTTPGetAction, call: _Call) -> None:
        """Any answer will do."""
        host = action.host or self._address(call)
        try:
            await self._http.get(action, host, port_of(action.port, call.container))
        except (HttpFault, NoSuchPort) as fault:
            raise HookFault(str(fault)) from fault

    async def _exec(self, words: tuple[str, ...], call: _Call, seconds: float) -> None:
        try:
            result = await self._runtime.exec_sync(call.container_id, words, seconds)
        except RuntimeFault as fault:
            raise HookFault(fault.message) from fault
        if result.exit_code != 0:
            output = result.output.decode(errors="replace").strip()
            raise HookFault(f"the command exited with {result.exit_code}: {output}")

    async def _runs(self, command: StopContainer) -> bool:
        shown = await self._runtime.container_status(command.container_id)
        return shown is not None and shown.phase is ContainerPhase.RUNNING

    def _left(self, command: StopContainer, deadline: float) -> float:
        left = min(float(command.grace), deadline - asyncio.get_running_loop().time())
        return float(command.grace) if command.grace <= 0 else max(LEAST_GRACE, left)

    def _address(self, call: _Call) -> str:
        gen = self._generation(call.slot, call.uid)
        found = addresses(gen, self._reducer.node) if gen is not None else ()
        if not found:
            raise HookFault("the pod has no address")
        return found[0]

    def _generation(self, slot: SlotKey, uid: PodUid) -> Generation | None:
        known = self._reducer.slots.get(slot)
        return known.find(uid) if known else None

    def _forget(self, command: StartContainer) -> None:
        held = self._starting.get((command.slot, command.uid), {})
        held.pop(command.container, None)
        if not held:
            self._starting.pop((command.slot, command.uid), None)

    def _failed(self, call: _Call, which: str, why: str) -> str:
        """Tell of a hook that failed, without secrets."""
        said = self._vault.redact_words(call.uid, why)[:MESSAGE_CHARACTERS]
        _log.warning("hook failed", pod=call.slot, container=call.container.name, hook=which, error=said)
        self._told(
            call.slot, call.uid, call.container.name, f"Failed{which}Hook", f"{which}Hook failed: {said}"
        )
        return said
