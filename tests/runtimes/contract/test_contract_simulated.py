"""The simulated driver keeps the contract, as far as what is not real can keep it."""

from pathlib import Path

import pytest

from minikubelet.ports.runtimeport import Runtime
from tests.running import run
from tests.runtimes.contract.contract_cases import Case, cases_for
from tests.runtimes.simulated.simulated_world import SimulatedWorld


@pytest.mark.parametrize("case", cases_for(SimulatedWorld.abilities), ids=lambda case: str(case.__name__))
def test_the_simulated_driver_keeps_the_contract(case: Case, state_dir: Path) -> None:
    run(case(SimulatedWorld(state_dir)))


def test_it_is_a_runtime_and_owns_up_to_being_simulated(state_dir: Path) -> None:
    runtime: Runtime = SimulatedWorld(state_dir).driver()
    assert (runtime.info.name, runtime.info.simulated) == ("simulated", True)
