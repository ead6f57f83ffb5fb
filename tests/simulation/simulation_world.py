"""How much is simulated in the suite, and scenarios written by hand."""

from __future__ import annotations

from collections import Counter
from typing import Final

from minikubelet.runtimes.simulated.simulatedoptions import SimulationOptions
from minikubelet.simulation.simcommands import FAULTS
from minikubelet.simulation.simrun import Report, run
from minikubelet.simulation.simscenario import Action, Kind, Scenario, scenario

CALM: Final = SimulationOptions()
"""a runtime that fails at nothing, and tells all in order"""
CHUNK: Final = 25
CHUNKS: Final = 10
FILES: Final = 4
"""so many seeds in one test, so many such tests in a file, and so many such files, for workers to share"""


def first_seeds(file: int) -> range:
    """The first seed of each test in a file, which are numbered from 0."""
    assert file < FILES
    return range(file * CHUNK * CHUNKS, (file + 1) * CHUNK * CHUNKS, CHUNK)


def keep_every_promise(first: int) -> None:
    """Run the seeds of one test: all faults at once, each seed with those that it draws."""
    broken = []
    seen: Counter[str] = Counter()
    for seed in range(first, first + CHUNK):
        report = run(scenario(seed, duration=12, pods=3, faults=FAULTS))
        broken += [(seed, violation) for violation in report.violations]
        seen.update(kind for kind, _ in report.coverage.elements())
    assert not broken
    assert seen["PodObserved"] > CHUNK
    assert seen["ContainerStarted"] > CHUNK


def at(seconds: float, kind: Kind, target: str = "", number: int = 0, detail: int = 0) -> Action:
    """One action."""
    return Action(round(seconds * 1_000_000), kind, target, number, detail)


def play(*actions: Action, runtime: SimulationOptions = CALM) -> Report:
    """Run a scenario in which nothing happens but these."""
    return run(Scenario(seed=0, duration=20, actions=actions, runtime=runtime))
