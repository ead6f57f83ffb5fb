"""tools/image.sh --remove, on an engine that only writes down what it is told."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.container.container_world import ROOT

ENGINE = """\
#!/bin/sh
echo "$@" >>"$(dirname "$0")/told"
case "$*" in
  "image inspect minikubelet/pause:1") exit 1 ;;
  "image rm minikubelet:used") exit 1 ;;
esac
"""


@pytest.mark.parametrize(
    ("image", "base", "removed", "said"),
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
    tmp_path: Path, image: str, base: str, removed: list[str], said: str
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
        [tmp_path / "tools/image.sh", "--remove", image], capture_output=True, text=True, timeout=60,
        check=True, env={"PATH": f"{engine.parent}:/usr/bin:/bin", "BASE": base},
    )  # fmt: skip
    assert done.stderr == said
    told = (engine.parent / "told").read_text(encoding="utf-8").splitlines()
    assert [line.removeprefix("image rm ") for line in told if line.startswith("image rm")] == removed
    assert told[-1] == "image prune --force --filter label=org.opencontainers.image.title=minikubelet"
    assert [path.name for path in (tmp_path / "build").iterdir()] == ["bin"]
