"""Timing a short piece of work: repeated until it says something, the best and the median told."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def timed(work: Callable[[], object], *, items: int = 1, runs: int = 7, least: float = 0.1) -> dict[str, Any]:
    """Microseconds of processor time an item; each run repeats the work for `least` seconds."""
    repeats = 1
    while (took := _once(work, repeats)) < least:
        repeats = max(repeats * 2, int(repeats * least / max(took, 1e-6)))
    samples = [_once(work, repeats) / repeats / items * 1e6 for _ in range(runs)]
    return {
        "items": items,
        "best_us": round(min(samples), 2),
        "median_us": round(statistics.median(samples), 2),
        "items_per_s": round(1e6 / min(samples)),
        "samples": [round(each, 3) for each in samples],
    }


def _once(work: Callable[[], object], repeats: int) -> float:
    began = time.process_time()
    for _ in range(repeats):
        work()
    return time.process_time() - began
