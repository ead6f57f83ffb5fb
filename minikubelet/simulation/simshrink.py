"""Shrinking: from a scenario that breaks a promise to a small one that breaks the same.

Belongs here: leaving things out and trying again. May not be here: what a promise is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec.structs import replace

from minikubelet.runtimes.simulated.simulatedoptions import SimulationOptions
from minikubelet.simulation.simapi import ApiFaults
from minikubelet.simulation.simscenario import Action, Scenario

MOST_TRIES: Final = 200

Breaks = Callable[[Scenario], str]
"""Runs a scenario; the name of the promise that it breaks, or nothing."""


class Shrinker:
    """Makes a scenario smaller for as long as it breaks the same promise, in at most so many tries."""

    def __init__(self, breaks: Breaks, promise: str, tries: int = MOST_TRIES) -> None:
        self._breaks = breaks
        self._promise = promise
        self.left = tries

    def shrink(self, scenario: Scenario) -> Scenario:
        """The smallest that was found."""
        scenario = self._without_actions(scenario)
        for change in _simpler(scenario):
            simpler = replace(scenario, **change)
            if simpler != scenario and self._still(simpler):
                scenario = simpler
        for name in ("runtime", "api"):
            scenario = self._without_faults(scenario, name)
        return scenario

    def _still(self, scenario: Scenario) -> bool:
        if self.left <= 0:
            return False
        self.left -= 1
        return self._breaks(scenario) == self._promise

    def _without_actions(self, scenario: Scenario) -> Scenario:
        """Leave out halves of the actions, then quarters, and so on down to single ones."""
        size = max(1, len(scenario.actions) // 2)
        while True:
            before = len(scenario.actions)
            scenario = self._without_chunks(scenario, size)
            if size == 1 and len(scenario.actions) == before:
                return scenario
            size = max(1, size // 2)

    def _without_chunks(self, scenario: Scenario, size: int) -> Scenario:
        start = 0
        while start < len(scenario.actions):
            rest: tuple[Action, ...] = (*scenario.actions[:start], *scenario.actions[start + size :])
            smaller = replace(scenario, actions=rest)
            if self._still(smaller):
                scenario = smaller
            else:
                start += size
        return scenario

    def _without_faults(self, scenario: Scenario, name: str) -> Scenario:
        faults = getattr(scenario, name)
        for field in faults.__struct_fields__:
            if field in ("seed", "latency", "hang", "delay") or not getattr(faults, field):
                continue
            smaller = replace(scenario, **{name: replace(getattr(scenario, name), **{field: 0.0})})
            if self._still(smaller):
                scenario = smaller
        return scenario


def _simpler(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Changes that make a scenario simpler, the greatest first."""
    plain = SimulationOptions(seed=scenario.seed, latency=0.01)
    yield {"runtime": plain, "api": ApiFaults(), "slow_disk": 0.0}
    yield from ({name: 0.0} for name in ("slow_disk", "flaky", "ill"))
    last = max((action.at for action in scenario.actions), default=0)
    yield {"duration": min(scenario.duration, last / 1e6 + 1)}
