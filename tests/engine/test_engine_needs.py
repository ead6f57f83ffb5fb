"""The needs of tests: skipped where absent, an error where required; and the tests' own helpers."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import docker_probe
from tests.engine.required import required
from tests.running import eventually, run

ROOT = Path(__file__).resolve().parents[2]


def test_required_names_are_split_and_trimmed() -> None:
    assert required({"MINIKUBELET_REQUIRE": " docker, kubectl,"}) == {"docker", "kubectl"}
    assert required({}) == frozenset()


def test_an_unknown_required_name_is_an_error_that_lists_the_known() -> None:
    """A typing error in CI must not switch a requirement off."""
    with pytest.raises(ValueError, match=r"names dokcer; known are docker, kubectl, registry, dbus"):
        required({"MINIKUBELET_REQUIRE": "dokcer"})


@pytest.mark.parametrize(
    ("require", "outcome"), [("", "skipped"), ("docker", "error"), ("kubectl", "skipped")]
)
def test_without_an_engine_a_docker_test_is_skipped_unless_required(
    tmp_path: Path, require: str, outcome: str
) -> None:
    """Runs a docker test in a pytest of its own, against an address where nothing listens."""
    planted = tmp_path / "test_planted.py"
    planted.write_text("import pytest\n\n@pytest.mark.docker\ndef test_planted(): pass\n", encoding="utf-8")
    environment = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "MINIKUBELET_REQUIRE": require}
    environment["PATH"] = os.environ["PATH"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml",
         "--rootdir", ROOT, "--confcutdir", ROOT, "-p", "tests.conftest", planted],
        cwd=ROOT,
        env=environment,
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert f"1 {outcome}" in done.stdout, done.stdout + done.stderr
    assert "no Docker engine answers" in done.stdout


@pytest.mark.docker
def test_the_engine_runs_the_image_of_the_tests(
    docker_host: str, busybox: str, docker_namespace: str
) -> None:
    """A container of the test's namespace is found by its label and removed by force."""
    label = f"{docker_probe.POD_NAMESPACE_LABEL}={docker_namespace}"
    subprocess.run(
        ["docker", "-H", docker_host, "run", "-d", "--label", label, busybox, "sleep", "600"],
        check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    assert [container["State"] for container in docker_probe.containers(label)] == ["running"]
    docker_probe.remove_containers(label)
    assert docker_probe.containers(label) == []


def test_the_state_directory_is_private_and_short(state_dir: Path) -> None:
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert len(str(state_dir)) < 30


def test_a_task_left_behind_fails_the_run() -> None:
    """Law of the house: no orphan tasks."""

    async def careless() -> None:
        strays.append(asyncio.create_task(asyncio.sleep(3600), name="stray"))

    strays: list[asyncio.Task[None]] = []
    with pytest.raises(AssertionError, match=r"1 tasks were left behind.*stray"):
        run(careless())


def test_eventually_takes_plain_and_awaitable_conditions_and_names_what_never_came() -> None:
    async def answer() -> int:
        return 42

    async def main() -> None:
        assert await eventually(lambda: "yes", "a word") == "yes"
        assert await eventually(answer, "an answer") == 42
        with pytest.raises(AssertionError, match="waiting for rain"):
            await eventually(lambda: False, "rain", patience=0.05)

    run(main())
