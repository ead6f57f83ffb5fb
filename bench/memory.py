"""What an agent uses when nothing happens: resident memory and processor time by the number of pods.

Pods are created, all is told, and then the agent is left alone; its processor time is measured over the
seconds after. With `--probes`, each pod has a readiness probe every 10 s (on docker by exec, which is what a
probe costs most by; a simulated one answers at once).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from bench._agentproc import ENDPOINTS, AgentRun
from bench._podfiles import Folder
from bench._rates import converged
from bench._results import say, show

_PROBE = '{"exec": {"command": ["true"]}, "timeoutSeconds": 5}'


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench memory", description=__doc__)
    add = parser.add_argument
    add("--runtime", choices=list(ENDPOINTS), default="simulated")
    add("--pods", type=int, action="append", help="may be given again (default 0, 10, 110 and 500)")
    add("--idle", type=float, default=15, help="seconds of nothing (default 15)")
    add("--probes", action="store_true", help="a readiness probe every 10 s in each pod")
    add("--save", type=Path, help="a file for the JSON")
    add("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    results: dict[str, Any] = {}
    for pods in options.pods or (0, 10, 110, 500):
        results |= idle(options.runtime, pods, options.idle, probes=options.probes)
    show(results, options.output, options.save)
    return 0


def idle(runtime: str, pods: int, seconds: float, *, probes: bool = False) -> dict[str, Any]:
    """Memory and processor time of an agent with so many pods."""
    say(f"{runtime}: {pods} pods{' with probes' if probes else ''} …")
    with AgentRun(runtime, pods=pods) as agent:
        folder = Folder(agent.manifests, agent.base / "out", plain=runtime == "simulated")
        names = [f"idle-{number:04}" for number in range(pods)]
        for name in names:
            folder.put("create", name, folder.text(name, 1, probe=_PROBE if probes else ""))
        wanted = dict.fromkeys(names, 1)
        agent.until(lambda: converged(agent, wanted, pause=0.5), "the pods to run", patience=900)
        agent.until(lambda: agent.ask("/status")["untold"] == 0, "the API server to be told")
        time.sleep(min(10.0, seconds))
        before = agent.usage()
        time.sleep(seconds)
        after = agent.usage()
    return {
        f"{runtime} {pods} pods{' probed' if probes else ''}": {
            "runtime": runtime,
            "simulated": runtime == "simulated",
            "rss_mib": round(after.rss_mib, 1),
            "peak_mib": round(after.peak_mib, 1),
            "idle_cpu_percent": round((after.cpu_s - before.cpu_s) / seconds * 100, 2),
            "files": after.files,
        }
    }
