"""Agents for the tests of this folder: each with a node of its own, removed with all it started."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agent_process import AgentProcess, MakeAgent


@pytest.fixture
def make_agent(state_dir: Path) -> Iterator[MakeAgent]:
    """Makes agents of directories of their own; what they wrote is shown where a test fails."""
    made: list[AgentProcess] = []

    def make(runtime: str = "process", *, standalone: bool = False, endpoint: str = "") -> AgentProcess:
        base = state_dir / str(len(made))
        base.mkdir()
        made.append(AgentProcess(base, runtime, standalone=standalone, endpoint=endpoint))
        return made[-1]

    yield make
    for agent in made:
        agent.remove_everything()
        print(agent.tail())  # noqa: T201 - pytest shows it beside a failure


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def agent(request: pytest.FixtureRequest, make_agent: MakeAgent) -> AgentProcess:
    """An agent that is not started yet, on each real runtime."""
    return make_agent(str(request.param))


@pytest.fixture
def process_agent(make_agent: MakeAgent) -> AgentProcess:
    """An agent that is not started yet, on processes."""
    return make_agent("process")
