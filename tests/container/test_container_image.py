"""The image made again is the same; its removal, on an engine that only writes down what it is told."""

import json
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.container.container_world import ROOT, command, docker
from tests.engine import docker_probe

ENGINE = """\
#!/bin/sh
echo "$@" >>"$(dirname "$0")/told"
case "$*" in
  "image inspect minikubelet/pause:1") exit 1 ;;
  "image rm minikubelet:used") exit 1 ;;
esac
"""


@pytest.mark.docker
@pytest.mark.timeout(400)
def test_the_same_wheels_give_the_same_layers(image: str) -> None:
    """Nothing is taken from the builder's cache; no other build of this tree changes the wheels meanwhile."""
    name = f"minikubelet-again:{secrets.token_hex(4)}"
    build = ["docker", "-H", docker_probe.docker_host(), "build", "--no-cache", "--force-rm", "--quiet"]
    try:
        command(
            "flock", "build/lock", *build, "--build-arg", "BASE=minikubelet-base:local", "--tag", name,
            "--file", "build/image/Containerfile", "build/image",
        )  # fmt: skip
        first, second = json.loads(docker("image", "inspect", image, name))
        assert first["RootFS"] == second["RootFS"]
    finally:
        docker("image", "rm", name, code=None)


@pytest.mark.parametrize(
    ("name", "base", "removed", "said"),
    [
        ("minikubelet:local", "", ["minikubelet:local", "minikubelet-base:local"], ""),
        (
            "minikubelet:used",
            "debian:12",
            ["minikubelet:used"],
            "image: minikubelet:used is in use, and stays\n",
        ),
    ],
)
def test_what_was_made_is_removed(
    tmp_path: Path, name: str, base: str, removed: list[str], said: str
) -> None:
    """A base that was only named is somebody else's; of the directory of builds, what is not ours stays."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "image.sh", tmp_path / "tools")
    for directory in ("image", "wheels/own", "bin"):
        (tmp_path / "build" / directory).mkdir(parents=True)
    engine = tmp_path / "build/bin/docker"
    engine.write_text(ENGINE, encoding="utf-8")
    engine.chmod(0o755)
    done = subprocess.run(
        [tmp_path / "tools/image.sh", "--remove", name], capture_output=True, text=True, timeout=60,
        check=True, env={"PATH": f"{engine.parent}:/usr/bin:/bin", "BASE": base},
    )  # fmt: skip
    assert done.stderr == said
    told = (engine.parent / "told").read_text(encoding="utf-8").splitlines()
    assert [line.removeprefix("image rm ") for line in told if line.startswith("image rm")] == removed
    assert told[-1] == "image prune --force --filter label=org.opencontainers.image.title=minikubelet"
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["bin"]
