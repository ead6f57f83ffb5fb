"""Seeds run clean: whatever the world does to it, the agent keeps its promises."""

import pytest

from minikubelet.simulation.simcommands import FAULTS
from minikubelet.simulation.simrun import run
from minikubelet.simulation.simscenario import GROUPS, scenario
from tests.simulation.simulation_world import first_seeds, keep_every_promise


@pytest.mark.parametrize("first", first_seeds(0))
def test_seeds_keep_every_promise(first: int) -> None:
    """The other seeds are in files of their own, for other workers."""
    keep_every_promise(first)


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_one_kind_of_fault_alone(group: str) -> None:
    """Where the world is otherwise kind, nothing may go wrong either."""
    for seed in range(4):
        assert not run(scenario(seed, duration=12, pods=2, faults=(group,))).violations


def test_the_command_knows_every_group() -> None:
    assert set(FAULTS) == set(GROUPS)


def test_a_world_without_faults_settles_at_once() -> None:
    report = run(scenario(1, duration=10, pods=3, faults=()))
    assert not report.violations
    assert report.lives == 1
    assert report.coverage["ContainerStarted", "active"] >= 1
