"""A prober around the core's world, on a clock that a test moves: probes answer as the test says.

Belongs here: driving time and answers. May not be here: assertions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from minikubelet.core.commands import AnyCommand
from minikubelet.core.events import AnyEvent, ContainerProbed
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.pod import Container, Pod, Probe, ProbeKind, TCPSocketAction
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.probehandlers import Answer, Outcome, Target
from minikubelet.shell.prober import Prober
from minikubelet.shell.vault import Vault
from tests.core.core_world import SECOND, World, container, static_pod

TURNS = 30
"""turns of the loop after which nothing more happens without time passing"""
PORTS = {ProbeKind.STARTUP: 1, ProbeKind.READINESS: 2, ProbeKind.LIVENESS: 3}


def probe(kind: ProbeKind, **fields: Any) -> Probe:
    """A probe whose port tells what kind it is; asked every second, once is enough."""
    timing = {"period_seconds": 1, "failure_threshold": 1, "success_threshold": 1}
    return Probe(tcp_socket=TCPSocketAction(port=PORTS[kind]), **{**timing, **fields})


def probed(name: str = "web", **kinds: dict[str, Any]) -> Container:
    """A container with probes: `probed(readiness={"period_seconds": 5})`."""
    made = {
        f"{kind.value.lower()}_probe": probe(kind, **kinds[kind.value.lower()])
        for kind in ProbeKind
        if kind.value.lower() in kinds
    }
    return container(name, **made)


class HandClock:
    """Time that passes when a test says so."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self.slept = 0

    def now(self) -> int:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.at + round(seconds * SECOND), self.slept, woken))
        await woken

    def next(self) -> int | None:
        """When the next sleeper wakes."""
        self.sleepers = [one for one in self.sleepers if not one[2].cancelled()]
        return min(self.sleepers)[0] if self.sleepers else None

    def wake(self) -> None:
        """Wake all that are due."""
        due = sorted(one for one in self.sleepers if one[0] <= self.at)
        self.sleepers = [one for one in self.sleepers if one[0] > self.at]
        for _, _, woken in due:
            if not woken.done():
                woken.set_result(None)


class ProbeWorld(World):
    """A node with a prober; `answers` are what each kind of probe says, `asked` when each was asked."""

    def __init__(self, directory: Path) -> None:
        self.prober: Prober | None = None
        super().__init__()
        self.clock = HandClock(self.now)
        self.vault = Vault(PodPaths(directory / "state", directory / "logs"))
        self.answers: dict[ProbeKind, Answer | None] = {}
        self.asked: list[tuple[float, str, ProbeKind]] = []
        self.told: list[tuple[str, str]] = []
        self.results: list[ContainerProbed] = []
        self.waiting: list[AnyEvent] = []
        self.began = self.now
        self.jitter = 0.0

    async def ask(self, probe: Probe, target: Target) -> Answer:
        """Answer as the test says; None hangs."""
        assert probe.tcp_socket is not None
        kind = next(kind for kind, port in PORTS.items() if port == probe.tcp_socket.port)
        self.asked.append(((self.clock.at - self.began) / SECOND, target.container.name, kind))
        answer = self.answers.get(kind, Answer(Outcome.PASSED))
        if answer is None:
            await asyncio.Event().wait()
        assert answer is not None
        return answer

    def feed(self, event: AnyEvent) -> list[AnyCommand]:
        commands = super().feed(event)
        if self.prober is not None:
            self.prober.seen(event)
        return commands

    def renew_prober(self) -> Prober:
        """The prober of a life of the agent."""
        self.prober = Prober(
            self.reducer, self.vault, self, self.clock, self.waiting.append,
            told=self._tell, jitter=lambda: self.jitter,
        )  # fmt: skip
        return self.prober

    def _tell(self, slot: SlotKey, uid: PodUid, name: str, reason: str, message: str) -> None:
        self.told.append((reason, message))

    async def settle(self) -> None:
        """Let everything happen that needs no time; results reach the state."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
            while self.waiting:
                event = self.waiting.pop(0)
                assert isinstance(event, ContainerProbed)
                self.results.append(event)
                self.feed(event)
                self.run_until_idle()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, sleeper by sleeper."""
        await self.settle()
        end = self.clock.at + round(seconds * SECOND)
        while (due := self.clock.next()) is not None and due <= end:
            self.now = self.clock.at = max(self.clock.at, due)
            self.clock.wake()
            await self.settle()
        self.now = self.clock.at = end

    async def bring_up(self, *containers: Container, **spec: Any) -> Pod:
        """A pod of these containers comes up."""
        pod = static_pod(*containers, **spec)
        await self.vault.store(pod)
        self.offer(pod)
        self.run_until_idle()
        await self.settle()
        return pod

    def times(self, kind: ProbeKind) -> list[float]:
        """When a kind of probe was asked, in seconds since the beginning."""
        return [at for at, _, asked in self.asked if asked is kind]

    def told_results(self) -> list[tuple[ProbeKind, bool]]:
        """The results so far."""
        return [(one.probe, one.passed) for one in self.results]


@asynccontextmanager
async def probing(directory: Path) -> AsyncIterator[ProbeWorld]:
    """A world whose prober runs."""
    world = ProbeWorld(directory)
    task = asyncio.create_task(world.renew_prober().run())
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.wait([task])
