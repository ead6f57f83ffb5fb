"""All bars in one table: what is wanted, what was measured, and whether that is met.

One command for a quiet machine, about twelve minutes on two cores with Docker. Latencies on Docker are judged
as ratios to bare engine calls in the same run. `--only` leaves parts out; without an engine, docker is left
out by itself.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench import churn, startup
from bench._dense import dense, probed
from bench._rates import sustain
from bench._results import Results, say, show
from bench.running import many

PARTS = ("startup", "simulated", "docker", "dense", "probed")


class Bar(msgspec.Struct, frozen=True):
    """A promise: how a value is told, what it may be at most, and the value."""

    what: str
    most: float
    unit: str
    value: float

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.value <= self.most


def main(argv: list[str]) -> int:
    """Measure and print; 0 whether the bars are met or not: machines differ, and a person judges."""
    parser = argparse.ArgumentParser(prog="bench bars", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given again")
    parser.add_argument("--save", type=Path, help="a file for the JSON of all measurements")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    parts: dict[str, Callable[[Results], list[Bar]]] = {
        "startup": _startup, "simulated": _simulated, "docker": _docker, "dense": _dense, "probed": _probed,
    }  # fmt: skip
    wanted = options.only or [part for part in PARTS if part in ("startup", "simulated") or _engine()]
    results: Results = {}
    bars: list[Bar] = []
    for part in wanted:
        began = time.monotonic()
        bars += parts[part](results)
        say(f"{part} took {time.monotonic() - began:.0f} s")
    told: dict[str, Any] = {
        bar.what: {"value": bar.value, "most": bar.most, "unit": bar.unit, "met": bar.met} for bar in bars
    }
    if options.output == "json" or options.save:
        show({**told, **results}, options.output, options.save)
    if options.output != "json":
        for bar in bars:
            value = f"{bar.value:.4g} {bar.unit}"
            print(f"{'met ' if bar.met else 'MISS'}  {value:>14}  (at most {bar.most:g})  {bar.what}")
    return 0


def _engine() -> bool:
    try:
        return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _startup(results: Results) -> list[Bar]:
    found = startup.measure("docker" if _engine() else "simulated", 5)
    results |= found
    first = found["run to first command, standalone"]["p50"]
    with_api = found["run to first command, embedded API server"]["p50"]
    return [
        Bar("minikubelet --help, p50", 150, "ms", found["--help"]["p50"] * 1000),
        Bar("start to first container command, standalone, p50", 600, "ms", first * 1000),
        Bar("start to first container command, embedded API server, p50", 600, "ms", with_api * 1000),
    ]


def _simulated(results: Results) -> list[Bar]:
    (fast,) = sustain(500, 100, 30, seed=1, latency_ms=20).items()
    costs: dict[int, float] = {}
    for pods in (10, 100, 1000):
        ((name, found),) = sustain(pods, 20, 15, seed=1, latency_ms=20).items()
        results[name] = found
        costs[pods] = found["cpu_ms_per_change"]
    results[fast[0]] = fast[1]
    found = many(10_000)
    results |= found
    (run,) = found.values()
    return [
        Bar("simulated, 500 pods, 100 changes/s: written to command, p50", 5, "ms", fast[1]["p50"] * 1000),
        Bar("simulated, 500 pods, 100 changes/s: written to command, p99", 30, "ms", fast[1]["p99"] * 1000),
        Bar("processor time of a change, 1,000 pods to 10", 1.3, "x", costs[1000] / costs[10]),
        Bar("10,000 simulated pods: all containers run", 60, "s", run["containers_s"]),
        Bar("10,000 simulated pods: all Ready at the API", 60, "s", run["api_s"]),
    ]


def _docker(results: Results) -> list[Bar]:
    found = churn.density("docker", 10, 0.0, bare=True)
    results |= found
    create, edit = found["docker 10x0ms create"]["to_floor"], found["docker 10x0ms edit"]["to_floor"]
    return [
        Bar("10 pods: create, p50 to the bare engine's", 1.15, "x", create["p50"]),
        Bar("10 pods: edit, p50 to the bare engine's stop and create", 1.3, "x", edit["p50"]),
    ]


def _dense(results: Results) -> list[Bar]:
    found = dense()
    results |= found
    mine, bare = found["create 90"], found["floor, 4 at a time create"]
    together, idle = found["floor, all at once create"], found["110 pods idle"]
    status, unlink = found["engine event to status"], found["unlink to SIGTERM"]
    return [
        Bar("90 pods at once: batch to the bare engine's", 1.05, "x", mine["batch"] / bare["batch"]),
        Bar("90 pods at once: p50 to that of all at once", 0.6, "x", mine["p50"] / together["p50"]),
        Bar("90 pods: unlink to SIGTERM, p99", 50, "ms", unlink["p99"] * 1000),
        Bar("engine event to status at a watcher, p99", 20, "ms", status["p99"] * 1000),
        Bar("110 pods on docker: resident memory", 80, "MiB", idle["rss_mib"]),
        Bar("110 pods on docker: idle processor time", 0.5, "%", idle["idle_cpu_percent"]),
    ]


def _probed(results: Results) -> list[Bar]:
    found = probed()
    results |= found
    (idle,) = found.values()
    return [Bar("110 pods with a 10 s probe each: processor time", 5, "%", idle["idle_cpu_percent"])]
