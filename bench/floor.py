"""The floor: the same pods made by bare engine calls, with no agent.

Belongs here: sandbox and container per pod through the Docker API, timed as `churn` times them: from the
call to the container's first instruction, from the stop to the first instruction of the container that takes
its place, and from the stop to its TERM trap. May not be here: the agent.
usage: python -m bench floor [--pods 10] [--at-once 4] [--rounds 1] [-o json]
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiodocker
import msgspec

from bench._results import Results, quantiles, say, show

IMAGE = "busybox:1.36"
SCRIPT = "trap 'touch /out/{name}.term; exit 0' TERM; touch /out/{name}.up; sleep 100000 & wait"
GRACE = 5
Pair = tuple[Any, Any]


class FloorTimes(msgspec.Struct):
    """Seconds of each pod, from the moment at which all of them were asked for; batches to the last."""

    created: list[float] = msgspec.field(default_factory=list)
    replaced: list[float] = msgspec.field(default_factory=list)
    stopped: list[float] = msgspec.field(default_factory=list)
    batches: list[float] = msgspec.field(default_factory=list)

    def results(self, name: str, pods: int, at_once: int) -> Results:
        """As the benchmarks show them."""
        about = {"runtime": "docker", "agent": "none", "pods": pods, "at_once": at_once}
        found: Results = {f"{name} create": {**about, **quantiles(self.created)}}
        found[f"{name} create"]["batch"] = round(max(self.batches), 3)
        if self.replaced:
            found[f"{name} stop and create"] = {**about, **quantiles(self.replaced)}
        found[f"{name} stop"] = {**about, **quantiles(self.stopped)}
        return found


def main(argv: list[str]) -> int:
    """Run the bench and print its table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench floor", description=__doc__)
    parser.add_argument("--pods", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("-o", "--output", choices=["json"], default="")
    options = parser.parse_args(argv)
    times = asyncio.run(_rounds(options.pods, options.at_once, options.rounds))
    show(times.results("floor", options.pods, options.at_once), options.output)
    return 0


async def _rounds(pods: int, at_once: int, rounds: int) -> FloorTimes:
    times = FloorTimes()
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        await measure(times, pods, at_once)
    return times


async def measure(times: FloorTimes, pods: int, at_once: int, *, replace: bool = True) -> None:
    """One round: create all, replace all if asked for, stop all at once as an agent does."""
    with tempfile.TemporaryDirectory(prefix="bench-floor-") as out:
        async with _bare(Path(out)) as bare:
            await bare.round(times, pods, at_once, replace=replace)


@asynccontextmanager
async def _bare(out: Path) -> AsyncIterator[_Bare]:
    async with aiodocker.Docker() as docker:
        bare = _Bare(docker, out)
        try:
            yield bare
        finally:
            await bare.remove_all()


class _Bare:
    def __init__(self, docker: aiodocker.Docker, out: Path) -> None:
        self._docker = docker
        self._out = out
        self._mark = secrets.token_hex(3)
        self._made: list[Pair] = []

    async def round(self, times: FloorTimes, pods: int, at_once: int, *, replace: bool) -> None:
        names = [f"floor-{self._mark}-{number}" for number in range(pods)]
        turns = asyncio.Semaphore(at_once)
        began = time.time()
        pairs = await asyncio.gather(*(_in_turn(turns, self._create, name) for name in names))
        times.created += await self._marks(began, names, "up")
        times.batches.append(max(times.created[-pods:]))
        if replace:
            again = [f"{name}-again" for name in names]

            async def change(old: Pair, name: str) -> Pair:
                await old[1].stop(t=GRACE)
                return await self._create(name)

            began = time.time()
            changes = zip(pairs, again, strict=True)
            pairs = await asyncio.gather(*(_in_turn(turns, change, old, name) for old, name in changes))
            times.replaced += await self._marks(began, again, "up")
            names = again
        asked = time.time()
        await asyncio.gather(*(container.stop(t=GRACE) for _, container in pairs))
        times.stopped += await self._marks(asked, names, "term")

    async def _create(self, name: str) -> Pair:
        sandbox = await self._docker.containers.create(
            {"Image": IMAGE, "Cmd": ["sleep", "100000"], "HostConfig": {"IpcMode": "shareable"}},
            name=f"{name}-sandbox",
        )
        await sandbox.start()
        joined = f"container:{sandbox.id}"
        container = await self._docker.containers.create(
            {
                "Image": IMAGE,
                "Cmd": ["sh", "-c", SCRIPT.format(name=name)],
                "HostConfig": {"NetworkMode": joined, "IpcMode": joined, "Binds": [f"{self._out}:/out"]},
            },
            name=name,
        )
        self._made.append((sandbox, container))
        await container.start()
        return sandbox, container

    async def _marks(self, began: float, names: Iterable[str], kind: str) -> list[float]:
        """Seconds until each container touched its file."""
        found = []
        for name in names:
            path = self._out / f"{name}.{kind}"
            while not path.exists():  # noqa: ASYNC110 - the file is made by a container
                await asyncio.sleep(0.01)
            found.append(path.stat().st_mtime_ns / 1e9 - began)
        return found

    async def remove_all(self) -> None:
        turns = asyncio.Semaphore(4)

        async def remove(pair: Pair) -> None:
            for each in reversed(pair):
                await each.delete(force=True)

        await asyncio.gather(*(_in_turn(turns, remove, pair) for pair in self._made))


async def _in_turn(turns: asyncio.Semaphore, act: Callable[..., Awaitable[Any]], *given: Any) -> Any:
    async with turns:
        return await act(*given)
