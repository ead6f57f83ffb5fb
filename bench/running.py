"""How long until so many simulated pods run, on one agent process with its own API server.

All manifests are written at once. `containers` ends with the last container started, `api` with the last pod
that a watcher sees Ready; the simulated runtime answers at once, so that all of the time is the agent's.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from bench._agentproc import AgentRun, running
from bench._apiwatch import watching
from bench._podfiles import Folder
from bench._results import Results, say, show
from bench._stages import follow

PATIENCE = 240.0


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench running", description=__doc__)
    parser.add_argument("--pods", type=int, default=10_000, help="(default 10000)")
    parser.add_argument("--standalone", action="store_true", help="without an API server")
    parser.add_argument("--save", type=Path, help="a file for the JSON")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    show(many(options.pods, standalone=options.standalone), options.output, options.save)
    return 0


def many(pods: int, *, standalone: bool = False) -> Results:
    """Create so many pods, and wait until all run."""
    with AgentRun("simulated", pods=pods, standalone=standalone) as agent:
        folder = Folder(agent.manifests, agent.base / "out", plain=True)
        say(f"{pods:,} simulated pods …")
        before, began = agent.usage(), time.time()
        names = [f"many-{number:05}" for number in range(pods)]
        if standalone:
            _write(folder, names)
            agent.until(lambda: _look(agent) == pods, "the pods to run", patience=PATIENCE)
            told = 0.0
        else:
            with watching(agent.root / "kubeconfig") as watch:
                _write(folder, names)
                agent.until(lambda: len(watch.ready) >= pods, "the pods to be Ready", patience=PATIENCE)
                told = max(watch.ready.values())
        after = agent.usage()
        agent.stop()
        started = max(course.started for course in follow(agent.records()).by_uid.values())
    used = after.cpu_s - before.cpu_s
    return {
        f"{pods} simulated pods": {
            "runtime": "simulated",
            "simulated": True,
            "standalone": standalone,
            "containers_s": round(started - began, 1),
            "api_s": round(told - began, 1) if told else None,
            "cpu_s": round(used, 1),
            "cpu_ms_per_pod": round(used / pods * 1000, 2),
            "rss_mib": round(after.rss_mib, 1),
        }
    }


def _write(folder: Folder, names: list[str]) -> None:
    for name in names:
        folder.put("create", name, folder.text(name, 1))


def _look(agent: AgentRun) -> int:
    time.sleep(2)
    return running(agent)
