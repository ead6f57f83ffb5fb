"""How long a start takes: `--help`, and from `run` to the first command for a container.

The folder holds one manifest when the agent starts; the moment of its first command is in the journal. With
the embedded API server, its certificates are made in the first start and found in the others.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

from bench._agentproc import ENDPOINTS, AgentRun, running
from bench._podfiles import Folder
from bench._results import quantiles, say, show
from bench._stages import follow


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench startup", description=__doc__)
    parser.add_argument("--runtime", choices=list(ENDPOINTS), default="simulated")
    parser.add_argument("--runs", type=int, default=5, help="(default 5)")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    show(measure(options.runtime, options.runs), options.output)
    return 0


def measure(runtime: str, runs: int) -> dict[str, Any]:
    """All of it."""
    say("starting …")
    bare, helps = [], []
    for _ in range(runs):
        bare.append(_timed([sys.executable, "-c", "pass"]))
        helps.append(_timed([sys.executable, "-m", "minikubelet", "--help"]))
    results: dict[str, Any] = {"python alone": quantiles(bare), "--help": quantiles(helps)}
    for standalone in (True, False):
        kind = "standalone" if standalone else "embedded API server"
        seconds = [first_command(runtime, standalone=standalone) for _ in range(runs)]
        results[f"run to first command, {kind}"] = {"runtime": runtime, **quantiles(seconds)}
    return results


def _timed(words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def first_command(runtime: str, *, standalone: bool) -> float:
    """Seconds from starting the process to its first command, with one manifest in the folder."""
    agent = AgentRun(runtime, standalone=standalone)
    folder = Folder(agent.manifests, agent.base / "out", plain=runtime == "simulated")
    folder.put("create", "first", folder.text("first", 1))
    with agent:
        agent.until(lambda: running(agent) == 1, "the pod to run")
        agent.stop()
        courses = [course for course in follow(agent.records()).by_uid.values() if course.decided]
        return min(course.decided for course in courses) - agent.began
