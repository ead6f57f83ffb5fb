"""The image, built once from the tree as it is, and agents that are removed with all they started."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.container.container_world import IMAGE, ContainerAgent, command

MakeAgent = Callable[[], ContainerAgent]


@pytest.fixture(scope="session")
def image() -> str:
    command("tools/image.sh", IMAGE)
    return IMAGE


@pytest.fixture
def make_agent(image: str, state_dir: Path) -> Iterator[MakeAgent]:
    made: list[ContainerAgent] = []

    def make() -> ContainerAgent:
        made.append(ContainerAgent(state_dir))
        return made[-1]

    yield make
    for agent in made:
        print(agent.logs()[-6000:])  # noqa: T201 - pytest shows it beside a failure
        agent.remove()
