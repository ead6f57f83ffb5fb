"""Bugs of the agent that seeds have found, each as the smallest scenario that showed it.

Each was mended by a behaviour: without it the scenario breaks its promise still, with today's it keeps all.
A scenario lies in `scenarios/`, as `minikubelet simulate --save` writes it.
"""

from pathlib import Path
from typing import Final

import msgspec
import pytest

from minikubelet.core.behaviours import TODAY, Behaviour
from minikubelet.simulation import simlife
from minikubelet.simulation.simrun import run
from minikubelet.simulation.simscenario import Scenario

SCENARIOS: Final = Path(__file__).parent / "scenarios"
FOUND: Final = {
    "clock_set_back": (Behaviour.WAITS_BEGAN_BEFORE, "liveness"),
    "created_comes_up": (Behaviour.CREATED_HOLDS_BACK, "one-generation"),
    "failed_stop": (Behaviour.FAILED_STOPS_ARE_GIVEN_UP, "quiet"),
    "first_pull_waits": (Behaviour.PULLS_COUNT_APART, "liveness"),
    "gone_from_a_sound_list": (Behaviour.SOUND_LISTS_ARE_REMEMBERED, "unwanted-start"),
    "init_waits_ready": (Behaviour.STATUSES_AGREE, "untrue-status"),
    "late_look": (Behaviour.LOOKS_ARE_OF_THIS_LIFE, "liveness"),
    "unclaimed_as_it_ends": (Behaviour.UNCLAIMED_WHILE_ENDING, "liveness"),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_bug_that_a_seed_has_found_is_mended_and_would_be_found_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    behaviour, promise = FOUND[name]
    found = msgspec.json.decode((SCENARIOS / f"{name}.json").read_bytes(), type=Scenario)
    assert not run(found).violations
    monkeypatch.setattr(simlife, "TODAY", tuple(one for one in TODAY if one is not behaviour))
    assert [violation.promise for violation in run(found).violations] == [promise]


def test_every_scenario_has_its_behaviour() -> None:
    assert sorted(path.stem for path in SCENARIOS.iterdir()) == sorted(FOUND)
