"""The Docker driver keeps the contract, on the engine of the tests."""

from pathlib import Path

import pytest

from minikubelet.runtimes.docker import DockerRuntime
from tests.running import run
from tests.runtimes.contract import contract_programs
from tests.runtimes.contract.contract_cases import Case, cases_for
from tests.runtimes.docker.docker_world import ABILITIES, DockerWorld

assert contract_programs.__name__, "its import adds the cases with programs"


@pytest.mark.docker
@pytest.mark.parametrize("case", cases_for(ABILITIES), ids=lambda case: str(case.__name__))
def test_docker_keeps_the_contract(
    case: Case, docker_host: str, busybox: str, docker_namespace: str, state_dir: Path
) -> None:
    run(case(DockerWorld(docker_host, busybox, docker_namespace, state_dir)), patience=110)


def test_the_driver_is_a_runtime(state_dir: Path) -> None:
    """Checked by mypy rather than by running."""
    from minikubelet.ports.runtimeport import Runtime  # noqa: PLC0415 - only this test speaks of it

    runtime: Runtime = DockerRuntime("unix:///nowhere", node="a", state_dir=state_dir)
    assert runtime.info.name == "docker"
