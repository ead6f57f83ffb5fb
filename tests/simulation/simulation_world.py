"""How much is simulated in the suite, and scenarios written by hand."""

from __future__ import annotations

from typing import Final

from minikubelet.simulation.simrun import Report, run
from minikubelet.simulation.simscenario import Action, Kind, Scenario

CHUNK: Final = 25
CHUNKS: Final = 8
"""so many seeds in one test, and so many such tests: more take longer than a suite may"""


def at(seconds: float, kind: Kind, target: str = "", number: int = 0, detail: int = 0) -> Action:
    """One action."""
    return Action(round(seconds * 1_000_000), kind, target, number, detail)


def play(*actions: Action, duration: float = 20, has_api: bool = True) -> Report:
    """Run a scenario in which nothing happens but these."""
    return run(Scenario(seed=0, duration=duration, actions=actions, has_api=has_api))
