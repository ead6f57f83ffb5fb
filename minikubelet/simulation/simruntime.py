"""The driver of one life: its calls have fates, and go on in the engine when the agent that made them dies.

Belongs here: fates that turn kind in the end, and calls that outlive a life. May not be here: what exists
(`simengine`).
"""

from __future__ import annotations

import asyncio
import types
from collections import Counter
from collections.abc import Coroutine, Generator, Sequence
from functools import partial
from random import Random
from typing import Any, Final, TypeVar

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ObservedPod
from minikubelet.ports.clockport import Clock
from minikubelet.ports.runtimeport import (
    ContainerConfig,
    ExecResult,
    RegistryAuth,
    RuntimeFault,
    SandboxConfig,
)
from minikubelet.runtimes.simulated.simulatedoptions import Draws, Fate, SimulationOptions
from minikubelet.runtimes.simulated.simulatedruntime import SimulatedRuntime
from minikubelet.simulation.simengine import NODE, WatchedEngine
from minikubelet.simulation.simloop import SECOND, LifeEnded, outside
from minikubelet.simulation.simprobes import SimProbes

_T = TypeVar("_T")
_ROUNDS: Final = 5


class CalmingDraws(Draws):
    """Fates that turn kind once the faults end."""

    def __init__(self, options: SimulationOptions) -> None:
        super().__init__(options)
        self.calm = False
        self.down = False
        self.no_pulls = False
        self.failed_pulls: Counter[str] = Counter()
        self._kind = Draws(SimulationOptions(seed=options.seed, latency=0.01))

    def fate(self, call: str, subject: str) -> Fate:
        """What becomes of the next call."""
        if self.calm:
            return self._kind.fate(call, subject)
        fate = super().fate(call, subject)
        if self.down or (self.no_pulls and call == "pull_image"):
            fate = Fate(fate.seconds, fails_before=True)
        if call == "pull_image" and (fate.fails_before or fate.fails_after):
            self.failed_pulls[subject] += 1
        return fate

    def deliveries(self, subject: str) -> list[float]:
        """When the next event is delivered."""
        return [0.0] if self.calm else super().deliveries(subject)


class LifeRuntime(SimulatedRuntime):
    """The driver of one life: what it has asked of the engine goes on when it dies, or half of it does."""

    def __init__(
        self, engine: WatchedEngine, probes: SimProbes, draws: CalmingDraws, clock: Clock, random: Random
    ) -> None:
        super().__init__(SimulationOptions(), clock, node=NODE, engine=engine)
        self._watched = engine
        self._probes = probes
        self._draws = draws
        self._random = random
        self._waiting: list[asyncio.Future[None]] = []
        self.over = False

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        """Make a sandbox."""

        async def run() -> str:
            async with self._call("run_pod_sandbox", config.uid):
                self._name_is_free(self._watched.has_sandbox(config))
                add = self._watched.add_orphan if self.over else partial(self._watched.add_sandbox, NODE)
                return add(config)

        return await self._outlive(run())

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Kill what is in the sandbox."""
        await self._outlive(super().stop_pod_sandbox(sandbox_id))

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox."""
        await self._outlive(super().remove_pod_sandbox(sandbox_id))

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container."""

        async def create() -> str:
            async with self._call("create_container", f"{config.uid} {config.name} {config.attempt}"):
                there = sandbox_id in self._watched.sandboxes
                self._name_is_free(there and self._watched.holder(sandbox_id, config) is not None)
                return self._watched.add_container(sandbox_id, config)

        return await self._outlive(create())

    async def start_container(self, container_id: str) -> None:
        """Start a container."""
        await self._outlive(super().start_container(container_id))

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """Stop a container and wait for its end."""
        instance = self._watched.latest(container_id)
        if instance is not None and instance.running:
            self._watched.judge.ordered(instance, grace_seconds)
        await super().stop_container(container_id, grace_seconds)

    async def remove_container(self, container_id: str) -> None:
        """Remove a container."""

        async def remove() -> None:
            async with self._call("remove_container", container_id):
                instance = self._watched.latest(container_id)
                if instance is not None and container_id in self._watched.containers:
                    self._watched.count("remove")
                    self._watched.judge.remove(instance)
                self._watched.lose(container_id)

        await self._outlive(remove())

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        """Pull an image."""
        return await self._outlive(super().pull_image(image, auth))

    async def list_pods(self, uid: PodUid | None = None) -> Sequence[ObservedPod]:
        """What exists now, or did when the call was made: an answer may be on its way for long."""
        self._watched.settle()
        before = self._watched.pods(NODE, uid)
        now = await self._count(super().list_pods(uid))
        return before if self._random.random() < 1 / 2 else now

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout_seconds: float
    ) -> ExecResult:
        """Ask a container as a probe does, or carry a hook out."""
        probes, kind = self._probes, self._probes.kind_of(command)
        if kind is None:
            return await self._hook(container_id, command, timeout_seconds)
        probes.asked(container_id, kind)
        try:
            result = await super().exec_sync(container_id, probes.words(container_id, kind), timeout_seconds)
        except RuntimeFault as fault:
            if fault.reason == "DeadlineExceeded":
                probes.answered(container_id, kind, False)
            raise
        probes.answered(container_id, kind, result.exit_code == 0)
        return result

    async def _hook(self, container_id: str, command: Sequence[str], seconds: float) -> ExecResult:
        try:
            result = await super().exec_sync(container_id, self._probes.hook_words(command), seconds)
        except RuntimeFault:
            self._probes.failed(container_id)
            raise
        if result.exit_code:
            self._probes.failed(container_id)
        return result

    async def _count(self, call: Coroutine[Any, Any, _T]) -> _T:
        self._watched.under_way += 1
        try:
            return await call
        finally:
            self._watched.under_way -= 1

    def _name_is_free(self, taken: bool) -> None:
        """A driver replaces what is dead and in its way; what is left of a killed one is a single call."""
        if taken and self.over:
            raise RuntimeFault("Conflict", "the name is in use")

    def _stir(self) -> None:
        """Have all who wait look again."""
        waiting, self._waiting = self._waiting, []
        for woken in waiting:
            _wake(woken)

    async def _until(self, when: int | None) -> None:
        """Wait for a time or any change as the driver does, without a task for each: it is done all the time.

        What changed is heard a few rounds later, so that others who act in the same moment come first.
        """
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        self._waiting.append(woken)
        timer = None
        if when is not None:
            timer = loop.call_later(max(0, when - self._clock.now()) / SECOND, _wake, woken)
        try:
            await woken
        finally:
            if timer is not None:
                timer.cancel()
        await _some_rounds()

    async def _outlive(self, call: Coroutine[Any, Any, _T]) -> _T:
        """Make a call that is under way in the engine whatever becomes of who made it."""
        if self.over:
            call.close()
            raise LifeEnded("this life of the agent is over")
        task = outside(self._count(call))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._random.random() < 1 / 2:
                task.cancel()
            task.add_done_callback(_heard)
            raise


@types.coroutine
def _some_rounds() -> Generator[None, None, None]:
    for _ in range(_ROUNDS):
        yield


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _heard(task: object) -> None:
    if isinstance(task, asyncio.Task) and not task.cancelled():
        failure = task.exception()
        if failure is not None and not isinstance(failure, RuntimeFault):
            raise failure
