"""The floor: the same pods made by bare engine calls, with no agent.

Belongs here: sandbox and container per pod through the Docker API, timed as `churn` times them: from the
call to the container's first instruction, and from the stop to its TERM trap. May not be here: the agent.
usage: python -m bench floor [--pods 10] [--at-once 4] [--rounds 1] [-o json]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiodocker

from bench._results import say, show

IMAGE = "busybox:1.36"
SCRIPT = "touch /out/{name}.up; trap 'touch /out/{name}.term; exit 0' TERM; sleep 100000 & wait"


def main(argv: list[str]) -> int:
    """Run the bench and print its table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench floor", description=__doc__)
    parser.add_argument("--pods", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("-o", "--output", choices=["json"], default="")
    options = parser.parse_args(argv)
    show(asyncio.run(_rounds(options.pods, options.at_once, options.rounds)), options.output)
    return 0


async def _rounds(pods: int, at_once: int, rounds: int) -> dict[str, Any]:
    created: list[float] = []
    stopped: list[float] = []
    async with aiodocker.Docker() as docker:
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            with tempfile.TemporaryDirectory() as out:
                await _round(docker, Path(out), pods, at_once, created=created, stopped=stopped)
    about = {"runtime": "docker", "agent": "none", "pods": pods, "at_once": at_once}
    return {"floor": about, "create": _percentiles(created), "stop": _percentiles(stopped)}


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {"p50": round(statistics.median(ordered), 3), "p99": round(p99, 3), "max": round(ordered[-1], 3)}


async def _round(
    docker: aiodocker.Docker,
    out: Path,
    pods: int,
    at_once: int,
    *,
    created: list[float],
    stopped: list[float],
) -> None:
    turns = asyncio.Semaphore(at_once)
    names = [f"floor-{number}" for number in range(pods)]
    began = time.time()
    made = await asyncio.gather(*(_create(docker, out, name, turns) for name in names))
    created += [_mtime(out / f"{name}.up") - began for name in names]
    for sandbox, container in made:
        asked = time.time()
        await container.stop(t=5)
        stopped.append(_mtime(out / f"{(await container.show())['Name'].strip('/')}.term") - asked)
        await container.delete(force=True)
        await sandbox.delete(force=True)


async def _create(
    docker: aiodocker.Docker, out: Path, name: str, turns: asyncio.Semaphore
) -> tuple[Any, Any]:
    async with turns:
        sandbox = await docker.containers.create(
            {"Image": IMAGE, "Cmd": ["sleep", "100000"], "HostConfig": {"IpcMode": "shareable"}},
            name=f"{name}-sandbox",
        )
        await sandbox.start()
        joined = f"container:{sandbox.id}"
        container = await docker.containers.create(
            {
                "Image": IMAGE,
                "Cmd": ["sh", "-c", SCRIPT.format(name=name)],
                "HostConfig": {"NetworkMode": joined, "IpcMode": joined, "Binds": [f"{out}:/out"]},
            },
            name=name,
        )
        await container.start()
    while not (out / f"{name}.up").exists():  # noqa: ASYNC110 - the file is made by a container
        await asyncio.sleep(0.01)
    return sandbox, container


def _mtime(path: Path) -> float:
    return path.stat().st_mtime_ns / 1e9
