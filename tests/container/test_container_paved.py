"""The paved road: README, compose file and systemd unit start the same agent, and the README's line works."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.container.container_world import (
    LABEL,
    ROOT,
    ContainerAgent,
    command,
    docker,
    manifest,
    running,
    until,
)
from tests.container.paved import compose_start, readme_start, readme_words, unit
from tests.engine import docker_probe

STAYS = "df -t tmpfs /data; trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"
EXPOSURE = 70
"""The most that `systemd-analyze security` may give the unit, in tenths; deploy/README.md says the rest."""


def test_readme_and_compose_file_start_the_same_container() -> None:
    assert readme_start() == compose_start()


def test_the_systemd_unit_starts_the_same_agent() -> None:
    """With at least the container's rights, and the same directories."""
    service, container = unit(), readme_start()
    assert service["ExecStart"].split()[1:] == container.command
    rights = {name.removeprefix("CAP_") for name in service["CapabilityBoundingSet"].split()}
    assert rights >= set(container.options["--cap-add"])
    state = f"/var/lib/{service['StateDirectory']}"
    assert f"{state}:{state}:rshared" in container.options["--volume"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on PATH")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """Its program is one that is there; the exposure is not above what the documents say."""
    text = (ROOT / "deploy" / "minikubelet.service").read_text(encoding="utf-8")
    file = tmp_path / "minikubelet.service"
    file.write_text(re.sub("ExecStart=[^ ]+", "ExecStart=/bin/true", text), encoding="utf-8")
    said = command("systemd-analyze", "verify", file, code=None)
    assert "minikubelet" not in said, said
    command("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", file)


@pytest.fixture
def shared(state_dir: Path) -> Iterator[Path]:
    """A directory whose mounts the engine sees, as the root of hosts with systemd is."""
    subprocess.run(["mount", "--bind", state_dir, state_dir], check=True)
    subprocess.run(["mount", "--make-shared", state_dir], check=True)
    yield state_dir
    subprocess.run(["umount", "--recursive", "--lazy", state_dir], check=True)


@pytest.mark.docker
@pytest.mark.timeout(400)
def test_the_readmes_line_runs_a_pod_with_a_volume_in_memory(
    make_agent: Callable[[], ContainerAgent], shared: Path
) -> None:
    """As it is written, but for directories, name and node; the volume is gone with its pod."""
    agent = make_agent()
    pod = json.loads(manifest("a", STAYS, agent.base))
    pod["spec"]["volumes"] = [{"name": "data", "emptyDir": {"medium": "Memory"}}]
    file = agent.write("a.yaml", json.dumps(pod))
    socket = docker_probe.docker_host().removeprefix("unix://")
    line = shlex.join(readme_words()[2:])
    for theirs, ours in (
        ("--name minikubelet ", f"--name {agent.node} "),
        ("/var/run/docker.sock:", f"{socket}:"),
        ("/etc/kubernetes/manifests", str(agent.manifests)),
        ("/var/lib/minikubelet", str(agent.root)),
    ):
        assert theirs in line
        line = line.replace(theirs, ours)
    docker(
        "run", "--label", f"{LABEL}={agent.node}", "--env", f"MINIKUBELET_ROOT_DIR={agent.root}",
        "--env", f"MINIKUBELET_HOSTNAME_OVERRIDE={agent.node}", *shlex.split(line),
    )  # fmt: skip
    agent.runs("a")
    (container,) = running(agent.node).values()
    assert "tmpfs" in until(lambda: docker("logs", container), agent.logs)
    assert f"{agent.root}/pods" in Path("/proc/mounts").read_text()
    file.unlink()
    until(lambda: f"{agent.root}/pods" not in Path("/proc/mounts").read_text(), agent.logs)
