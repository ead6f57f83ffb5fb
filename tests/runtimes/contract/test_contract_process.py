"""The runtime contract on the process driver."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import run
from tests.runtimes.contract import contract_programs
from tests.runtimes.contract.contract_cases import Case, cases_for
from tests.runtimes.contract.contract_world import Ability
from tests.runtimes.process.process_world import ProcessWorld, mounts_work

ABILITIES = frozenset({Ability.PROGRAMS} | ({Ability.ROOTS} if mounts_work() else set()))


@pytest.fixture
def world(state_dir: Path) -> Iterator[ProcessWorld]:
    made = ProcessWorld(state_dir)
    yield made
    made.clean()


def test_the_cases_that_need_programs_are_among_those_run() -> None:
    assert contract_programs.exec_gives_exit_code_and_output in cases_for(ABILITIES)


@pytest.mark.parametrize("case", cases_for(ABILITIES), ids=lambda case: case.__name__)
def test_the_process_driver_keeps_the_contract(case: Case, world: ProcessWorld) -> None:
    run(case(world))
