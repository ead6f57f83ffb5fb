"""How soon each planted bug is found, and how small it becomes, in `docs/planted.md`.

Belongs here: running the bugs and writing the table, `python -m tests.simulation.planted_table`. May not be
here: the bugs (`planted` and its neighbours).
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from minikubelet.simulation.simcommands import FAULTS
from minikubelet.simulation.simrun import run
from minikubelet.simulation.simscenario import Scenario, scenario
from minikubelet.simulation.simshrink import Shrinker
from tests.simulation.planted import BUGS, RARE, Plant
from tests.simulation.planted_bounds import BOUND_BUGS
from tests.simulation.planted_probes import PROBE_BUGS, RARE_PROBE_BUGS
from tests.simulation.planted_slips import SLIPS
from tests.simulation.planted_statuses import STATUS_BUGS

DURATION = 20
PODS = 3
TABLE: Final = Path(__file__).parents[2] / "docs" / "planted.md"
IN_SUITE: Final[tuple[Plant, ...]] = (*BUGS, *PROBE_BUGS, *BOUND_BUGS, *SLIPS, *STATUS_BUGS)
EVERY: Final[tuple[Plant, ...]] = (*IN_SUITE, *RARE, *RARE_PROBE_BUGS)
MOST: Final = 4000
"""seeds that are tried for one bug"""
TRIES: Final = 200
"""runs that shrinking one scenario may take"""
_HEAD: Final = """\
# Planted bugs

A simulation that finds nothing proves nothing. Each line is a bug planted into the agent, a small patch
that only the tests apply, and what the simulation made of it with all faults, 20 seconds and three pods:
the promise that was broken, how many seeds it took from seed 0 on, and how many actions the scenario had
that broke it, before and after shrinking.

Written by `python -m tests.simulation.planted_table`. The suite checks that no bug is missing here, and
finds all but those that take hundreds of seeds.

| bug | promise broken | seeds | actions | shrunk to |
|---|---|---:|---:|---:|
"""


class Found(NamedTuple):
    """The scenario that shows a bug, its promise, and how many seeds it took."""

    scenario: Scenario
    promise: str
    seeds: int


def breaks(tried: Scenario) -> str:
    """The promise that a scenario breaks, or nothing."""
    violations = run(tried).violations
    return violations[0].promise if violations else ""


def find(first: int, most: int) -> Found | None:
    """The first seed from `first` on, among `most`, that breaks a promise."""
    for number in range(most):
        tried = scenario(first + number, duration=DURATION, pods=PODS, faults=FAULTS)
        promise = breaks(tried)
        if promise:
            return Found(tried, promise, number + 1)
    return None


def spelled(bug: Plant) -> str:
    """The bug in words."""
    return bug.__name__.replace("_", " ")


def row(bug: Plant) -> str:
    """The bug's line of the table; AssertionError where nothing finds it."""
    with pytest.MonkeyPatch.context() as patch:
        bug(patch)
        found = find(0, MOST)
        assert found is not None, f"{spelled(bug)}: not found in {MOST} seeds; a judge or a fault is missing"
        small = Shrinker(breaks, found.promise, TRIES).shrink(found.scenario)
    before, after = len(found.scenario.actions), len(small.actions)
    return f"| {spelled(bug)} | {found.promise} | {found.seeds} | {before} | {after} |\n"


def main() -> None:
    """Write the table anew."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        TABLE.write_text(_HEAD + "".join(pool.map(row, EVERY)))


if __name__ == "__main__":
    main()
