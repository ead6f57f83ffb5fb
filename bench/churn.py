"""How long a change of the manifest folder takes, stage by stage, for many pods at once or at a rate.

`--pods N --interval-ms I` creates N pods with I between them, edits every one, then deletes them, with the
neutral method: a container's first instruction touches a file on a hostPath, and its TERM trap another. The
stages before come from the agent's journal, Ready from a watcher at its API server. On docker, the floor
(bare engine calls, see `floor`) is measured before and after, and what is told is also given as a ratio to
it. `--rate` changes a full folder instead, with a seeded mix of create, edit, touch, rename, break, mend and
delete.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec

from bench import floor
from bench._agentproc import ENDPOINTS, AgentRun
from bench._apiwatch import PodWatch, version_of, watching
from bench._pictures import curves
from bench._podfiles import Change, Folder, mark_time, wait_for_marks
from bench._rates import sustain
from bench._results import Results, quantiles, say, show
from bench._stages import Course, Journey, follow

MATRIX = [(pods, pause) for pods in (10, 35, 90) for pause in (0, 100, 300)]
AT_ONCE = 4
"""how many starts the floor gives the engine at a time, as the agent does at first"""
SETTLE = 3.0
PATIENCE = 180.0


class Phase(msgspec.Struct):
    """One phase of a run: its changes, what the agent used meanwhile, and what is told of it."""

    what: str
    changes: list[Change]
    agent: AgentRun
    folder: Folder
    watch: PodWatch
    used: dict[str, Any]
    missing: int = 0


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench churn", description=__doc__)
    add = parser.add_argument
    add("--runtime", choices=list(ENDPOINTS), default="docker")
    add("--pods", type=int, default=10, help="(default 10)")
    add("--interval-ms", type=int, default=0, help="between two changes (default 0)")
    add("--matrix", action="store_true", help="upstream's densities: 10, 35, 90 pods x 0, 100, 300 ms")
    add("--rate", type=float, help="changes a second, in a folder of --pods pods")
    add("--seconds", type=float, default=60, help="of changes at that rate (default 60)")
    add("--seed", type=int, default=1, help="of the mix (default 1)")
    add("--latency-ms", type=float, default=20, help="of a call to the simulated runtime (default 20)")
    add("--no-floor", action="store_true", help="leave the bare engine out")
    add("--save", type=Path, help="a file for the JSON")
    add("--pictures", type=Path, help="a directory for latency curves, one SVG a phase")
    add("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    results: Results = {}
    if options.rate:
        results |= sustain(options.pods, options.rate, options.seconds, options.seed, options.latency_ms)
    else:
        for pods, pause in MATRIX if options.matrix else [(options.pods, options.interval_ms)]:
            bare = options.runtime == "docker" and not options.no_floor
            results |= density(options.runtime, pods, pause / 1000, bare=bare, latency_ms=options.latency_ms)
    if options.pictures:
        _draw(results, options.pictures)
    show(results, options.output, options.save)
    return 0


def _draw(results: Results, directory: Path) -> None:
    """A picture for each phase, with a curve for each of its stages."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in [name for name in results if ":" not in name and " floor " not in name]:
        stages = {
            key.partition(": ")[2]: values for key, values in results.items() if key.startswith(f"{name}: ")
        }
        file = directory / f"{name.replace(' ', '-')}.svg"
        file.write_text(curves(f"{name}: from the change of the file to …", stages), encoding="utf-8")
        say(f"drew {file}")


def density(runtime: str, pods: int, pause: float, *, bare: bool, latency_ms: float = 20) -> Results:
    """One cell of the matrix."""
    name = f"{runtime} {pods}x{pause * 1000:g}ms"
    times = floor.FloorTimes()
    if bare:
        say(f"{name}: the floor, {AT_ONCE} at a time …")
        asyncio.run(floor.measure(times, pods, AT_ONCE))
    results = agent_cell(runtime, name, pods, pause, latency_ms)
    if bare:
        say(f"{name}: the floor again …")
        asyncio.run(floor.measure(times, pods, AT_ONCE))
        found = times.results(f"{name} floor", pods, AT_ONCE)
        if pause == 0:
            _add_ratios(results, name, times)
        results |= found
    return results


def agent_cell(runtime: str, name: str, pods: int, pause: float, latency_ms: float) -> Results:
    """The agent's part: create, edit, delete."""
    endpoint = f"simulated://?seed=1&latency={latency_ms:g}ms" if runtime == "simulated" else ""
    with AgentRun(runtime, pods=pods, endpoint=endpoint) as agent:
        folder = Folder(agent.manifests, agent.base / "out", plain=runtime == "simulated")
        names = [f"churn-{number:04}" for number in range(pods)]
        with watching(agent.root / "kubeconfig") as watch:
            phases = [
                _phase(agent, folder, watch, what, names=names, pause=pause)
                for what in ("create", "edit", "delete")
            ]
        agent.stop()
        journey = follow(agent.records())
        results: Results = {}
        for phase in phases:
            results |= _told(phase, journey, name)
        return results


def _phase(
    agent: AgentRun, folder: Folder, watch: PodWatch, what: str, *, names: list[str], pause: float
) -> Phase:
    say(f"{agent.runtime}: {what} {len(names)} pods …")
    generation = {"create": 1, "edit": 2, "delete": 2}[what]
    before, size = agent.usage(), agent.journal_bytes()
    writes, began = version_of(agent.root / "kubeconfig"), time.monotonic()
    changes = []
    for name in names:
        mark = f"{name}.{generation}.{'term' if what == 'delete' else 'up'}"
        if what == "delete":
            changes.append(folder.remove(name, mark))
        else:
            changes.append(folder.put(what, name, folder.text(name, generation), mark))
        if pause:
            time.sleep(pause)
    missing = _wait(agent, folder, watch, changes)
    took, after = time.monotonic() - began, agent.usage()
    time.sleep(SETTLE)
    used = {
        "cpu_s": round(after.cpu_s - before.cpu_s, 2),
        "rss_mib": round(after.rss_mib, 1),
        "journal_bytes": agent.journal_bytes() - size,
        "api_writes": version_of(agent.root / "kubeconfig") - writes,
        "changes_per_s": round(len(names) / took, 2),
    }
    return Phase(what, changes, agent, folder, watch, used, missing)


def _wait(agent: AgentRun, folder: Folder, watch: PodWatch, changes: list[Change]) -> int:
    """Wait until containers and watcher have told of all changes; how many did not come to that."""
    left = set[str]()
    if agent.runtime != "simulated":
        left = wait_for_marks(folder.out, (change.mark for change in changes), agent.alive, PATIENCE)
    keys = {_key(agent, change) for change in changes}
    deadline = time.monotonic() + PATIENCE
    told = watch.gone if changes[0].what == "delete" else watch.ready
    while not keys <= told.keys() and time.monotonic() < deadline and agent.alive():
        time.sleep(0.02)
    return max(len(left), len(keys - told.keys()))


def _key(agent: AgentRun, change: Change) -> tuple[str, str]:
    return f"{change.name}-{agent.node}", change.mark.split(".")[1]


def _told(phase: Phase, journey: Journey, name: str) -> Results:
    """The time to the first instruction (on delete, to the trap), and what it took to get there."""
    agent, folder, watch = phase.agent, phase.folder, phase.watch
    stages: dict[str, list[float]] = {}
    ends: list[float] = []
    latest = {slot: course for (slot, _), course in journey.by_content.items()}
    for change in phase.changes:
        slot = f"default/{change.name}-{agent.node}"
        deleted = phase.what == "delete"
        course = latest.get(slot) if deleted else journey.by_content.get((slot, change.content))
        told = (watch.gone if deleted else watch.ready).get(_key(agent, change), 0.0)
        moments = _moments(course, deleted=deleted) | {"api": told}
        if agent.runtime != "simulated" and (folder.out / change.mark).exists():
            moments["instruction"] = mark_time(folder.out, change.mark)
        for stage, at in moments.items():
            if at:
                stages.setdefault(stage, []).append(at - change.at)
        ends.append(moments.get("instruction") or moments.get("started") or moments.get("cleaned") or 0.0)
    headline = stages.get("instruction") or stages.get("started") or stages.get("cleaned") or []
    about = {"runtime": agent.runtime, "simulated": agent.runtime == "simulated", "missing": phase.missing}
    batch = round(max(ends) - min(change.at for change in phase.changes), 3)
    whole = {**about, **quantiles(headline), "batch": batch, **phase.used}
    ordered = sorted(stages.items(), key=lambda item: sorted(item[1])[len(item[1]) // 2])
    return {f"{name} {phase.what}": whole} | {
        f"{name} {phase.what}: {stage}": quantiles(values) for stage, values in ordered
    }


def _moments(course: Course | None, *, deleted: bool) -> dict[str, float]:
    if course is None:
        return {}
    if deleted:
        return {"decided": course.stop, "cleaned": course.cleaned}
    return {
        "seen": course.seen, "decided": course.decided, "sandbox": course.sandbox, "started": course.started,
    }  # fmt: skip


def _add_ratios(results: Results, name: str, times: floor.FloorTimes) -> None:
    """Every latency also as a ratio to that of the bare engine in the same run."""
    bare = {"create": times.created, "edit": times.replaced, "delete": times.stopped}
    for what, seconds in bare.items():
        base, mine = quantiles(seconds), results[f"{name} {what}"]
        ratios: dict[str, float] = {
            each: round(mine[each] / base[each], 2) for each in ("p50", "p99") if each in mine
        }
        if what == "create":
            ratios["batch"] = round(mine["batch"] / (sum(times.batches) / len(times.batches)), 2)
        mine["to_floor"] = ratios
