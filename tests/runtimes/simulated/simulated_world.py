"""A simulated engine for the contract, and a clock that only moves when told."""

import asyncio
import heapq
import time
from pathlib import Path

from minikubelet.ports.runtimeport import Runtime
from minikubelet.runtimes.simulated.simulatedengine import SimulatedEngine
from minikubelet.runtimes.simulated.simulatedoptions import SimulationOptions
from minikubelet.runtimes.simulated.simulatedruntime import SimulatedRuntime
from tests.runtimes.contract.contract_world import Ability


class RealClock:
    """The machine's own time."""

    def now(self) -> int:
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """Time that passes by `advance` only; sleepers wake in the order of their times."""

    def __init__(self) -> None:
        self._now = 1_700_000_000_000_000
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> int:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        self._count += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + int(seconds * 1_000_000), self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let that much time pass, giving every waker its turns before the next."""
        end = self._now + int(seconds * 1_000_000)
        await turns()
        while self._sleepers and self._sleepers[0][0] <= end:
            when, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now = max(self._now, when)
                future.set_result(None)
                await turns()
        self._now = end
        await turns()


async def turns() -> None:
    """Let everything run that can run now: no chain of callbacks here is nearly as long."""
    for _ in range(50):
        await asyncio.sleep(0)


class SimulatedWorld:
    """Drivers of two nodes over one simulated engine on the machine's own clock."""

    abilities = frozenset({Ability.IMAGES})
    image = "app:1"
    namespace = "default"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._clock = RealClock()
        self._engine = SimulatedEngine(self._clock, images={self.image: 1})

    def driver(self) -> SimulatedRuntime:
        return SimulatedRuntime(SimulationOptions(), self._clock, node="ours", engine=self._engine)

    def stranger(self) -> SimulatedRuntime:
        return SimulatedRuntime(SimulationOptions(), self._clock, node="theirs", engine=self._engine)

    async def abandon(self, driver: Runtime) -> None:
        assert isinstance(driver, SimulatedRuntime)
        driver.abandon()

    def sleeps(self) -> tuple[str, ...]:
        return ("sleep", "3600")

    def exits(self, code: int) -> tuple[str, ...]:
        return ("exit", str(code))

    def exits_when(self, path: Path, code: int) -> tuple[str, ...]:
        return ("when", str(path), "exit", str(code))

    def ignores_term(self) -> tuple[str, ...]:
        return ("ignore-term",)

    def shell(self, script: str) -> tuple[str, ...]:
        raise NotImplementedError(f"a simulated container runs no programs: {script}")

    def missing(self) -> tuple[str, ...]:
        return ("missing",)
