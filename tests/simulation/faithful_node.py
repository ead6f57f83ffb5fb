"""One node: the agent's real parts on whatever runtime, and hands that do to it what agents do not.

Belongs here: wiring, as in `agent.lifetime`, and the two kinds of engines. May not be here: what happens to a
pod (`faithful_scripts`). Sources and the API server are the test's own: what they say is the same either way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

import anyio.to_thread

from minikubelet.agent.agentplan import AgentPlan, Places, Upstream
from minikubelet.agent.assembly import History, assemble
from minikubelet.agent.reports import Reports
from minikubelet.core.commands import AnyCommand
from minikubelet.core.events import AnyEvent
from minikubelet.core.reducer import Reducer
from minikubelet.journal.memoryjournal import MemoryJournal
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.settings import Settings
from minikubelet.ports.clockport import Clock
from minikubelet.ports.journalport import RecordKind
from minikubelet.ports.runtimeport import RuntimeEvent
from minikubelet.ports.sourceport import SourceListed
from minikubelet.runtimes.simulated.simulatedoptions import SimulationOptions
from minikubelet.runtimes.simulated.simulatedruntime import SimulatedRuntime
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.systemclock import SystemClock
from minikubelet.shell.vault import Vault
from minikubelet.simulation.simengine import NODE, WatchedEngine
from minikubelet.simulation.simloop import AgentClock, VirtualLoop, WorldClock, blocking
from minikubelet.simulation.simprobes import SimProbes
from minikubelet.simulation.simruntime import CalmingDraws, LifeRuntime
from minikubelet.wire.records import decode_command, decode_event
from tests.engine import docker_probe
from tests.runtimes.docker.docker_world import TrappedRuntime
from tests.simulation.faithful_programs import CUES, IMAGE, OUT_OF_MEMORY

T = TypeVar("T")


class Hands(Protocol):
    """What happens to an engine's containers from outside."""

    def cue(self, container_id: str, code: int) -> None:
        """A serving program ends with that exit code."""

    def oom(self, container_id: str) -> None:
        """It takes more memory than its limit."""

    def kill(self, container_id: str) -> None:
        """`docker kill`."""

    def remove(self, container_id: str) -> None:
        """`docker rm -f`."""

    def kill_sandbox(self, sandbox_id: str) -> None:
        """`docker kill` of the sandbox."""

    def remove_sandbox(self, sandbox_id: str) -> None:
        """`docker rm -f` of the sandbox."""


class DockerHands:
    """A person at the engine's command line."""

    def cue(self, container_id: str, code: int) -> None:
        self._kill(container_id, CUES[code])

    def oom(self, container_id: str) -> None:
        self._kill(container_id, OUT_OF_MEMORY)

    def kill(self, container_id: str) -> None:
        self._kill(container_id, "KILL")

    def kill_sandbox(self, sandbox_id: str) -> None:
        self._kill(sandbox_id, "KILL")

    def remove(self, container_id: str) -> None:
        answer, found = docker_probe.ask("DELETE", f"/containers/{container_id}?force=1&v=1")
        assert answer < 300, found

    def remove_sandbox(self, sandbox_id: str) -> None:
        self.remove(sandbox_id)

    def _kill(self, container_id: str, signal: str) -> None:
        answer, found = docker_probe.ask("POST", f"/containers/{container_id}/kill?signal={signal}")
        assert answer < 300, found


class SimulatedHands:
    """The world of the simulation."""

    def __init__(self, engine: WatchedEngine) -> None:
        self._engine = engine

    def cue(self, container_id: str, code: int) -> None:
        self._engine.exit(container_id, code)

    def oom(self, container_id: str) -> None:
        self._engine.exit(container_id, 137, "OOMKilled")

    def kill(self, container_id: str) -> None:
        self._engine.exit(container_id, 137)

    def remove(self, container_id: str) -> None:
        self._engine.lose(container_id)

    def kill_sandbox(self, sandbox_id: str) -> None:
        self._engine.kill_sandbox(sandbox_id)

    def remove_sandbox(self, sandbox_id: str) -> None:
        self._engine.lose_sandbox(sandbox_id)


async def heard(
    events: AsyncGenerator[RuntimeEvent, None], deaf: set[PodUid]
) -> AsyncGenerator[RuntimeEvent, None]:
    """The events but those about some pods."""
    async with contextlib.aclosing(events):
        async for event in events:
            if event.uid not in deaf:
                yield event


class DeafDocker(TrappedRuntime):
    """The real driver, whose events about some pods are lost."""

    deaf: set[PodUid]

    def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        return heard(super().events(), self.deaf)


class DeafSimulated(SimulatedRuntime):
    """The simulated driver, whose events about some pods are lost."""

    deaf: set[PodUid]

    def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        return heard(super().events(), self.deaf)


class DeafLife(LifeRuntime):
    """The driver of a life in the simulated world, whose events about some pods are lost."""

    deaf: set[PodUid]

    def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        return heard(super().events(), self.deaf)


class Node:
    """The agent at work. `deaf` are pods of which the engine's events are lost; relists see them still."""

    def __init__(
        self,
        runtime: DeafDocker | DeafSimulated | DeafLife,
        hands: Hands,
        clock: Clock,
        directory: Path,
        namespace: str,
    ) -> None:
        self.hands = hands
        self.clock = clock
        self.namespace = namespace
        self.deaf = runtime.deaf = set()
        self.simulated = runtime.info.name != "docker"
        self.journal = MemoryJournal()
        self.reducer = Reducer()
        self._runtime = runtime
        self._told: list[AnyEvent | AnyCommand] = []
        plan = AgentPlan(
            settings=Settings(),
            places=Places(directory / "state", directory / "logs", directory / "manifests"),
            node_name=NODE,
            node_ips=("192.0.2.10",),
            upstream=Upstream.JOINED,
            cert_dir=directory / "pki",
        )
        plan.places.root.mkdir()
        vault = Vault(PodPaths(plan.places.root, plan.places.logs))
        history = History(self.journal, self.reducer, "boot", 0, ())
        reports = Reports(plan, None, vault, clock)
        self.parts = assemble(plan, history, runtime, reports, vault, clock=clock).wired

    def told(self, since: int = 0) -> list[AnyEvent | AnyCommand]:
        """What the journal holds from its record number `since` on, events and commands as they came."""
        for record in self.journal.records[len(self._told) :]:
            is_event = record.kind is RecordKind.EVENT
            self._told.append(decode_event(record.body) if is_event else decode_command(record.body))
        return self._told[since:]

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Let the agent run until the block ends."""
        parts = self.parts
        await self._runtime.connect()
        for source in (Source.FILE, Source.API):
            await parts.intake.put(SourceListed(source=source))
        tasks = [asyncio.ensure_future(part) for part in parts.tasks()]
        try:
            yield
        finally:
            failed = [task.exception() for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            parts.timers.cancel_all()
            await parts.handlers.aclose()
            await self._runtime.aclose()
        assert not failed, failed


def docker_node(host: str, directory: Path, namespace: str) -> Node:
    """A node on the engine of the tests."""
    runtime = DeafDocker(host, node=f"node-{namespace}", state_dir=directory)
    return Node(runtime, DockerHands(), SystemClock(), directory, namespace)


def simulated_node(directory: Path, namespace: str, options: SimulationOptions) -> Node:
    """A node with a simulated engine; to be made and used inside `on_virtual_time`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = WorldClock(loop)
    engine = WatchedEngine(clock, images={IMAGE: 1}, real=clock)
    runtime = DeafSimulated(options, clock, node=NODE, engine=engine)
    return Node(runtime, SimulatedHands(engine), clock, directory, namespace)


def life_node(directory: Path, namespace: str, options: SimulationOptions) -> Node:
    """A node with the driver that `minikubelet simulate` has, as `simulated_node`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    clock = AgentClock(loop)
    engine = WatchedEngine(clock, images={IMAGE: 1}, real=WorldClock(loop))
    chance = Random(f"{options.seed} life")
    runtime = DeafLife(engine, SimProbes(options.seed, 0.0), CalmingDraws(options), clock, chance)
    return Node(runtime, SimulatedHands(engine), clock, directory, namespace)


def on_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop whose time passes as soon as nothing else is to be done."""
    loop = VirtualLoop()
    try:
        with _without_threads():
            return loop.run_until_complete(main)
    finally:
        loop.close()


@contextlib.contextmanager
def _without_threads() -> Iterator[None]:
    before = anyio.to_thread.run_sync
    setattr(anyio.to_thread, "run_sync", blocking)  # noqa: B010 - mypy lets no function be assigned
    try:
        yield
    finally:
        setattr(anyio.to_thread, "run_sync", before)  # noqa: B010 - mypy lets no function be assigned
