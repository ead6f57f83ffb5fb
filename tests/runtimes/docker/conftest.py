"""The engine of the tests as a world, for every test of the Docker driver."""

from pathlib import Path

import pytest

from tests.runtimes.docker.docker_world import DockerWorld


@pytest.fixture
def world(docker_host: str, busybox: str, docker_namespace: str, state_dir: Path) -> DockerWorld:
    return DockerWorld(docker_host, busybox, docker_namespace, state_dir)
