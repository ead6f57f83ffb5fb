"""The runtimes on which the node API is tested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.ports.streamport import StreamRuntime
from minikubelet.runtimes.docker.dockerstreams import DockerStreams
from minikubelet.runtimes.process.processstreams import ProcessStreams
from tests.runtimes.contract.contract_world import DriverWorld
from tests.runtimes.docker.docker_world import DockerWorld
from tests.runtimes.process.process_world import ProcessWorld

Driver = tuple[DriverWorld, StreamRuntime]


@pytest.fixture
def process_driver(state_dir: Path) -> Iterator[Driver]:
    world = ProcessWorld(state_dir)
    yield world, ProcessStreams(world.state, node="ours")
    world.clean()


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def driver(request: pytest.FixtureRequest, state_dir: Path) -> Driver:
    if request.param == "process":
        made: Driver = request.getfixturevalue("process_driver")
        return made
    host, image, namespace = (
        request.getfixturevalue(name) for name in ("docker_host", "busybox", "docker_namespace")
    )
    return DockerWorld(host, image, namespace, state_dir), DockerStreams(host)
