"""What an agent costs its API server, and how fast that learns: calls for each pod, times, the way back.

`--pods N` pods are put into the folder at once, run, and are taken away: the calls that this took, by kind,
and the time from the manifest to Ready, and from its unlink to DELETED, in a watcher's stream. With
`--outage SECONDS` the API server is cut off instead, every manifest is changed meanwhile, and the time is
taken from its return until the watcher has seen every pod Ready with its new definition. The counting door
between agent and server costs a little itself; `churn` has the times without it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench._agentproc import ENDPOINTS, AgentRun
from bench._apiwatch import PodWatch, watching
from bench._podfiles import Folder
from bench._results import Results, quantiles, say, show
from bench._stubproxy import CountedStub

BACKGROUND = ("leases", "nodes", "nodes/status", "services")
"""what an idle agent calls as well"""
QUIET = 3.0
PATIENCE = 300.0


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench api", description=__doc__)
    add = parser.add_argument
    add("--runtime", choices=list(ENDPOINTS), default="docker")
    add("--pods", type=int, nargs="+", default=[10], help="(default 10); several numbers are several runs")
    add("--outage", type=float, default=0, help="seconds without an API server")
    add("--latency-ms", type=float, default=20, help="of a call to the simulated runtime (default 20)")
    add("--save", type=Path, help="a file for the JSON")
    add("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    results: Results = {}
    for pods in options.pods:
        results |= measured(options.runtime, pods, options.outage, options.latency_ms)
    show(results, options.output, options.save)
    return 0


def measured(runtime: str, pods: int, outage: float, latency_ms: float) -> Results:
    """One run: of an outage where there is to be one, else of pods that come and go."""
    endpoint = f"simulated://?seed=1&latency={latency_ms:g}ms" if runtime == "simulated" else ""
    agent = AgentRun(runtime, pods=pods, endpoint=endpoint)
    with CountedStub(agent.base) as stub:
        agent.joined(stub.kubeconfig)
        with agent, watching(stub.direct) as watch:
            run = _Run(agent, stub, watch, pods)
            return run.outage(outage) if outage else run.come_and_go()


class _Run:
    """An agent, its API server and a watcher."""

    def __init__(self, agent: AgentRun, stub: CountedStub, watch: PodWatch, pods: int) -> None:
        self._agent = agent
        self._stub = stub
        self._watch = watch
        self._names = [f"api-{number:04}" for number in range(pods)]
        self._folder = Folder(agent.manifests, agent.base / "out", plain=agent.runtime == "simulated")
        self._about = {"runtime": agent.runtime, "simulated": agent.runtime == "simulated"}
        self._title = f"{agent.runtime} {pods}"

    def come_and_go(self) -> Results:
        """Calls and times of a start and of an end."""
        time.sleep(QUIET)
        self._stub.take()
        put = self._put(1)
        ready = self._until(lambda: self._ready(1), "every pod to be Ready")
        time.sleep(QUIET)
        started = self._stub.take()
        gone_at = {name: self._folder.remove(name).at for name in self._names}
        gone = self._until(self._gone, "every pod to be gone")
        time.sleep(QUIET)
        ended = self._stub.take()
        return {
            f"{self._title} started": self._calls(started),
            f"{self._title} manifest to Ready": self._times(put, ready),
            f"{self._title} ended": self._calls(ended),
            f"{self._title} unlink to DELETED": self._times(gone_at, gone),
        }

    def outage(self, seconds: float) -> Results:
        """The way back from an outage in which everything has changed."""
        self._put(1)
        self._until(lambda: self._ready(1), "every pod to be Ready")
        say(f"{self._title}: {seconds:g} s without an API server …")
        self._stub.cut()
        self._put(2)
        time.sleep(seconds)
        self._stub.take()
        returned = time.time()
        self._stub.mend()
        ready = self._until(lambda: self._ready(2), "every pod to be Ready again")
        time.sleep(QUIET)
        after = dict.fromkeys(self._names, returned)
        return {
            f"{self._title} back after {seconds:g} s": self._times(after, ready),
            f"{self._title} calls of the way back": self._calls(self._stub.take()),
        }

    def _put(self, generation: int) -> dict[str, float]:
        return {
            name: self._folder.put("create", name, self._folder.text(name, generation)).at
            for name in self._names
        }

    def _until(self, seen: Callable[[], dict[str, float]], what: str) -> dict[str, float]:
        self._agent.until(lambda: len(seen()) == len(self._names), what, PATIENCE)
        return seen()

    def _ready(self, generation: int) -> dict[str, float]:
        found = self._watch.ready
        keys = {name: (f"{name}-{self._agent.node}", str(generation)) for name in self._names}
        return {name: found[key] for name, key in keys.items() if key in found}

    def _gone(self) -> dict[str, float]:
        gone = {name: at for (name, _), at in list(self._watch.gone.items())}
        keys = {name: f"{name}-{self._agent.node}" for name in self._names}
        return {name: gone[key] for name, key in keys.items() if key in gone}

    def _times(self, begun: dict[str, float], ended: dict[str, float]) -> dict[str, Any]:
        seconds = quantiles(ended[name] - begun[name] for name in self._names)
        return {**self._about, **seconds, "batch": round(max(ended.values()) - min(begun.values()), 3)}

    def _calls(self, calls: Counter[str]) -> dict[str, Any]:
        """Those for pods, without the node's own."""
        mine = {kind: count for kind, count in calls.items() if kind.split()[1] not in BACKGROUND}
        each = {kind: round(count / len(self._names), 2) for kind, count in sorted(mine.items())}
        return {
            **self._about,
            "calls_per_pod": round(sum(mine.values()) / len(self._names), 2),
            "by_kind": each,
        }
