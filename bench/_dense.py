"""A full node on Docker, measured in one run: 90 pods at once, 110 pods idle, ends told, 90 unlinked.

Belongs here: one agent's way through these, so that the pods are made once. The bars are `bars`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import aiodocker

from bench import floor
from bench._agentproc import AgentRun
from bench._apiwatch import PodWatch, watching
from bench._podfiles import Change, Folder, mark_time, wait_for_marks
from bench._results import Results, quantiles, say

FULL, MORE = 90, 20
_KILLS = 30
_IDLE = 20.0
_PAUSE = 0.1
PATIENCE = 300.0
PROBE = '{"httpGet": {"path": "/", "port": 8080}}'


def dense() -> Results:
    """All of it; the floor is measured before and after."""
    times, together = floor.FloorTimes(), floor.FloorTimes()
    say(f"the floor: {FULL} pods, 4 at a time, then all at once …")
    asyncio.run(floor.measure(times, FULL, 4, replace=False))
    asyncio.run(floor.measure(together, FULL, FULL, replace=False))
    with AgentRun("docker", pods=FULL + MORE) as agent:
        results = _node(agent)
    say("the floor again …")
    asyncio.run(floor.measure(times, FULL, 4, replace=False))
    results |= times.results("floor, 4 at a time", FULL, 4)
    return results | together.results("floor, all at once", FULL, FULL)


def probed() -> Results:
    """Processor time of 110 pods with an HTTP readiness probe every 10 s each."""
    with AgentRun("docker", pods=FULL + MORE) as agent:
        folder = Folder(agent.manifests, agent.base / "out")
        _create(agent, folder, range(FULL + MORE), probe=PROBE)
        return {f"{FULL + MORE} pods probed": _idle(agent)}


def _node(agent: AgentRun) -> Results:
    folder = Folder(agent.manifests, agent.base / "out")
    with watching(agent.root / "kubeconfig") as watch:
        changes = _create(agent, folder, range(FULL))
        seconds = [mark_time(folder.out, each.mark) - each.at for each in changes]
        results: Results = {"create 90": {**quantiles(seconds), "batch": round(max(seconds), 3)}}
        _create(agent, folder, range(FULL, FULL + MORE))
        results[f"{FULL + MORE} pods idle"] = _idle(agent)
        say("ending containers one by one …")
        results["engine event to status"] = quantiles(asyncio.run(_ends(agent, watch)), 5)
    say(f"unlinking {FULL} manifests …")
    changes = []
    for number in range(FULL):
        changes.append(folder.remove(f"dense-{number:04}", f"dense-{number:04}.1.term"))
        time.sleep(_PAUSE)
    left = wait_for_marks(folder.out, (each.mark for each in changes), agent.alive, 60)
    seconds = [mark_time(folder.out, each.mark) - each.at for each in changes if each.mark not in left]
    results["unlink to SIGTERM"] = {
        "missing": len(left),
        "interval_ms": _PAUSE * 1000,
        **quantiles(seconds, 5),
    }
    return results


def _create(agent: AgentRun, folder: Folder, numbers: range, probe: str = "") -> list[Change]:
    say(f"creating {len(numbers)} pods …")
    changes = []
    for number in numbers:
        name = f"dense-{number:04}"
        changes.append(folder.put("create", name, folder.text(name, 1, probe), f"{name}.1.up"))
    left = wait_for_marks(folder.out, (each.mark for each in changes), agent.alive, PATIENCE)
    if left:
        raise RuntimeError(f"{len(left)} containers did not start\n{agent.tail()}")
    return changes


def _idle(agent: AgentRun) -> dict[str, Any]:
    agent.until(lambda: agent.ask("/status")["untold"] == 0, "the API server to be told")
    time.sleep(10)
    say(f"leaving {FULL + MORE} pods alone for {_IDLE:g} s …")
    before = agent.usage()
    time.sleep(_IDLE)
    after = agent.usage()
    return {
        "rss_mib": round(after.rss_mib, 1),
        "peak_mib": round(after.peak_mib, 1),
        "idle_cpu_percent": round((after.cpu_s - before.cpu_s) / _IDLE * 100, 2),
    }


async def _ends(agent: AgentRun, watch: PodWatch) -> list[float]:
    """Seconds from the engine's own time of a container's end until a watcher is told of it."""
    items = agent.ask("/pods")["items"]
    ids = [item["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2] for item in items]
    died: dict[str, float] = {}
    async with aiodocker.Docker() as docker:
        hearing = asyncio.create_task(_hear(docker, died))
        await asyncio.sleep(1)
        for container_id in ids[:_KILLS]:
            await docker.containers.container(container_id).kill()
            await _until(lambda: container_id in watch.ended and container_id in died)  # noqa: B023 - waits at once
            await asyncio.sleep(0.2)
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
    return [watch.ended[one] - died[one] for one in ids[:_KILLS] if one in watch.ended and one in died]


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - another thread makes it true
        await asyncio.sleep(0.01)


async def _hear(docker: aiodocker.Docker, died: dict[str, float]) -> None:
    # The engine's own time of an event, to the nanosecond; aiodocker's wrapper of this call rounds it.
    async with docker._query("events", params={"filters": '{"event": ["die"]}'}) as answer:  # noqa: SLF001 - see above
        async for line in answer.content:
            event = json.loads(line)
            died[event["Actor"]["ID"]] = event["timeNano"] / 1e9
