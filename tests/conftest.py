"""What every test has: its needs checked, a short state directory, logs as they were, few examples.

Fixtures of one package's tests belong beside those tests, not here.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.engine import docker_probe
from tests.engine.required import NEEDS, required

hypothesis.settings.register_profile(
    "here", deadline=None, max_examples=40, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# The same examples on every run: a red build is the change's doing, not the draw's.
hypothesis.settings.register_profile(
    "ci", parent=hypothesis.settings.get_profile("here"), derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_report_header() -> list[str]:
    """One line per need: there, or why not."""
    return [f"{need}: {absent() or 'there'}" for need, absent in NEEDS.items()]


def pytest_configure() -> None:
    try:
        required()
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test whose need is not there, or fails it where the need is required."""
    for need, absent in NEEDS.items():
        if item.get_closest_marker(need) is None:
            continue
        reason = absent()
        if reason is None:
            continue
        if need in required():
            pytest.fail(f"MINIKUBELET_REQUIRE names {need}, but {reason}", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """No test sees the log set-up or the bound values of another."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """An empty directory of the test's own (0700) with a path so short that sockets fit beneath it.

    A Unix socket's path ends at 107 bytes, which pytest's tmp_path alone comes near to.
    """
    path = Path(tempfile.mkdtemp(prefix="mk-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def docker_host() -> str:
    """The engine's address as DOCKER_HOST writes it; for tests marked `docker`."""
    return docker_probe.docker_host()


@pytest.fixture
def busybox() -> str:
    """An image that the engine of the tests has: busybox with all its applets."""
    return docker_probe.BUSYBOX


@pytest.fixture
def docker_namespace() -> Iterator[str]:
    """A pod namespace no one else uses; its containers are removed by force when the test has ended."""
    name = f"mk-{secrets.token_hex(4)}"
    yield name
    docker_probe.remove_containers(f"{docker_probe.POD_NAMESPACE_LABEL}={name}")
