"""Hours of churn in simulated time: does anything of the agent grow?

The agent's own parts run in the simulated world on a virtual clock; pods' files are put, broken, renamed and
removed, containers crash. Every simulated half hour the memory that the agent's code holds (tracemalloc, the
world's own records left out), its tasks, the process's open files and the journal's size are noted. Growth
per hour is the slope of a line through all but the first quarter, in which caches and the journal fill.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import shutil
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec

from bench._results import say, show
from minikubelet.simulation import simrun, simscenario
from minikubelet.simulation.simlife import replaced
from minikubelet.simulation.simloop import SECOND, VirtualLoop
from minikubelet.simulation.simworld import World

_FAULTS = ("files", "containers")
_AGENT = ("core", "journal", "model", "reporting", "shell", "sources", "wire")
_EVERY = 1800.0


class Look(msgspec.Struct, frozen=True):
    """How things stood."""

    hours: float
    memory_kib: float
    tasks: int
    files: int
    journal_kib: float
    pods: int


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=6, help="of simulated time (default 6)")
    parser.add_argument("--pods", type=int, default=8, help="names that pods may have (default 8)")
    parser.add_argument("--per-minute", type=float, default=2, help="things that happen (default 2)")
    parser.add_argument("--seed", type=int, default=1, help="(default 1)")
    parser.add_argument("--save", type=Path, help="a file for the JSON")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    show(soak(options.hours, options.pods, options.per_minute, options.seed), options.output, options.save)
    return 0


def soak(hours: float, pods: int, per_minute: float, seed: int) -> dict[str, Any]:
    """Run the world for so long; the looks, and what grew an hour."""
    scenario = _scenario(hours, pods, per_minute, seed)
    root = Path(tempfile.mkdtemp(prefix="bench-soak-"))
    loop, began = VirtualLoop(), time.monotonic()
    tracemalloc.start(1)
    try:
        world = World(scenario, root, loop)
        with simrun.silence(), replaced(world.folder, world.store):
            looks = loop.run_until_complete(_run(world, scenario))
    finally:
        tracemalloc.stop()
        loop.close()
        shutil.rmtree(root, ignore_errors=True)
    assert not world.violations, world.violations
    steady = looks[len(looks) // 4 :]
    grown = {
        f"{name}_per_hour": round(_slope([(each.hours, getattr(each, name)) for each in steady]), 3)
        for name in ("memory_kib", "tasks", "files", "journal_kib")
    }
    about = {"runtime": "simulated", "simulated": True, "hours": hours, "events": world.events}
    last = {
        name: round(getattr(looks[-1], name), 1) for name in ("memory_kib", "tasks", "files", "journal_kib")
    }
    return {
        "soak": {**about, **last, **grown, "took_s": round(time.monotonic() - began, 1)},
        "soak by the half hour": {"looks": [msgspec.to_builtins(each) for each in looks]},
    }


def _scenario(hours: float, pods: int, per_minute: float, seed: int) -> simscenario.Scenario:
    """An even churn without the faults that end a life: one life is what is measured."""
    made = simscenario.scenario(seed, duration=hours * 60 * per_minute, pods=pods, faults=_FAULTS)
    stretch = 60 / per_minute
    actions = tuple(msgspec.structs.replace(each, at=int(each.at * stretch)) for each in made.actions)
    return msgspec.structs.replace(made, duration=hours * 3600, actions=actions, has_api=True)


async def _run(world: World, scenario: simscenario.Scenario) -> list[Look]:
    world.engine.settle_stranger()
    actions = sorted(scenario.actions, key=lambda each: each.at)
    for action in [each for each in actions if each.at == 0]:
        await simrun.act(world, action)
    world.begin_life()
    looks: list[Look] = []
    watching = asyncio.get_running_loop().create_task(_watch(world, scenario.duration, looks))
    for action in [each for each in actions if each.at]:
        await asyncio.sleep(max(0.0, action.at / SECOND - asyncio.get_running_loop().time()))
        if world.violations:
            break
        await simrun.act(world, action)
    await watching
    await world.quiesce()
    return looks


async def _watch(world: World, duration: float, looks: list[Look]) -> None:
    clock = asyncio.get_running_loop().time
    for number in range(1, int(duration / _EVERY) + 1):
        await asyncio.sleep(max(0.0, number * _EVERY - clock()))
        looks.append(_look(world, clock() / 3600))
        say(f"{looks[-1].hours:.1f} h: {looks[-1].memory_kib:,.0f} KiB, {looks[-1].tasks} tasks")


def _look(world: World, hours: float) -> Look:
    gc.collect()
    package = Path(simrun.__file__).parent.parent
    wanted = [tracemalloc.Filter(True, f"{package}/{part}/*") for part in _AGENT]
    held = tracemalloc.take_snapshot().filter_traces(wanted)
    agent = world.agent
    return Look(
        hours=hours,
        memory_kib=sum(each.size for each in held.traces) / 1024,
        tasks=len(agent.life.tasks) if agent is not None else 0,
        files=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - only their number counts
        journal_kib=sum(len(content) for content in world.disk.files().values()) / 1024,
        pods=len(agent.reducer.slots) if agent is not None else 0,
    )


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the line with the least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
