"""What the benchmarks print: progress on stderr, results as a table or as JSON on stdout or in a file.

A result has a name and values; times are seconds unless a name says otherwise. `samples` are single
measurements, kept in the JSON so that `compare` can tell noise from a change, and left out of the table.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

import minikubelet

Results = dict[str, dict[str, Any]]


def say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)


def show(results: dict[str, Any], output: str, save: Path | None = None) -> None:
    """Results by name, each with its values; `save` takes the JSON whatever is printed."""
    whole = {"environment": environment(), **results}
    if save is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=1))
    if output == "json":
        print(msgspec.json.encode(whole).decode())
        return
    width = max(map(len, results)) + 2
    for key, values in results.items():
        shown = {name: value for name, value in values.items() if not isinstance(value, list)}
        print(f"{key:{width}}" + "  ".join(f"{name}={_spell(value)}" for name, value in shown.items()))


def quantiles(seconds: Iterable[float], digits: int = 4) -> dict[str, Any]:
    """How many, p50, p90, p99, the largest, and the samples themselves."""
    ordered = sorted(seconds)
    if not ordered:
        return {"n": 0}
    return {
        "n": len(ordered),
        "p50": round(quantile(ordered, 0.5), digits),
        "p90": round(quantile(ordered, 0.9), digits),
        "p99": round(quantile(ordered, 0.99), digits),
        "max": round(ordered[-1], digits),
        "samples": [round(each, 5) for each in ordered],
    }


def quantile(ordered: list[float], share: float) -> float:
    """The value below which this share of sorted values lies, between neighbours by distance."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def environment() -> dict[str, Any]:
    """What a result was measured on."""
    return {
        "minikubelet": minikubelet.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processors": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "load": round(os.getloadavg()[0], 2),
    }


def _commit() -> str:
    here = Path(__file__).parent
    words = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _spell(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}:{count:,}" for name, count in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
