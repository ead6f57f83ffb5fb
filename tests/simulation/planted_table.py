"""How soon each planted bug is found, and how small it becomes: `python -m tests.simulation.planted_table`.

Belongs here: running the bugs and printing the table. May not be here: the bugs (`planted`).
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from minikubelet.simulation.simcommands import FAULTS
from minikubelet.simulation.simrun import run
from minikubelet.simulation.simscenario import Scenario, scenario
from minikubelet.simulation.simshrink import Shrinker
from tests.simulation.planted import BUGS, RARE
from tests.simulation.planted_bounds import BOUND_BUGS
from tests.simulation.planted_probes import PROBE_BUGS, RARE_PROBE_BUGS

DURATION = 20
PODS = 3


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


def main(names: list[str]) -> None:
    """Print a line for each bug."""
    sys.stdout.write("| bug | promise broken | seeds | actions, shrunk |\n|---|---|---|---|\n")
    for bug in [
        each
        for each in (*BUGS, *PROBE_BUGS, *BOUND_BUGS, *RARE, *RARE_PROBE_BUGS)
        if not names or each.__name__ in names
    ]:
        with pytest.MonkeyPatch.context() as patch:
            bug(patch)
            found = find(0, 200)
            shown = "not found | 200 | "
            if found is not None:
                small = Shrinker(breaks, found.promise, 60).shrink(found.scenario)
                shown = f"{found.promise} | {found.seeds} | {len(small.actions)}"
        sys.stdout.write(f"| {bug.__name__.replace('_', ' ')} | {shown} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
