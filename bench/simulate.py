"""How many seeds `minikubelet simulate` runs in a second, the whole command, as a person runs it.

`suite`: seeds as `make test` runs them by default, 20 s of faults over up to 3 static pods and as many of the
API. `long`: five minutes of faults over up to 8 of each, about 2,000 events a seed.
"""

import argparse
import resource
import subprocess
import sys
import time
from typing import Any

import msgspec

from bench._results import say, show

_SIZES = {"suite": (100, "20s", 3), "long": (4, "5m", 8)}


def measure(name: str, seeds: int, jobs: int) -> dict[str, Any]:
    """Run the command; seeds and events a second by the clock, and by the processor time of one core."""
    _, duration, pods = _SIZES[name]
    say(f"{name}: {seeds} seeds with {jobs} process{'es' if jobs > 1 else ''} …")
    command = [sys.executable, "-m", "minikubelet", "simulate", "--seeds", str(seeds), "-o", "json"]
    command += ["--duration", duration, "--pods", str(pods), "--jobs", str(jobs)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    found = msgspec.json.decode(done.stdout)
    assert done.returncode == 0, found["failures"]
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seeds": found["seeds"],
        "jobs": jobs,
        "events": found["events"],
        "events_per_seed": round(found["events"] / found["seeds"]),
        "lives": found["lives"],
        "simulated_hours": round(found["simulated_seconds"] / 3600, 2),
        "seconds": round(took, 2),
        "seeds_per_s": round(found["seeds"] / took, 1),
        "events_per_s": round(found["events"] / took),
        "cpu_s": round(used, 2),
        "seeds_per_cpu_s": round(found["seeds"] / used, 1),
        "events_per_cpu_s": round(found["events"] / used),
    }


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench simulate", description=__doc__)
    parser.add_argument("--size", choices=list(_SIZES), action="append", help="which (default: each of them)")
    parser.add_argument("--seeds", type=int, help="of each size (default: 100 and 4)")
    parser.add_argument("--jobs", type=int, action="append", help="processes, may be given again (default 1)")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    results: dict[str, Any] = {}
    for name in options.size or list(_SIZES):
        for jobs in options.jobs or [1]:
            seeds = options.seeds or _SIZES[name][0]
            results[f"{name}, jobs {jobs}"] = measure(name, seeds, jobs)
    show(results, options.output)
    return 0
