"""A rootless engine: an agent in a container on it is at home, one outside is told what it cannot have."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.container_world import ContainerAgent, command, docker, manifest, running, until
from tests.container.rootless_engine import rootless_engine
from tests.engine.required import ROOTLESS_USER

pytestmark = [pytest.mark.docker, pytest.mark.rootless, pytest.mark.timeout(400)]
SERVES = "trap 'exit 0' TERM; while :; do nc -l -p 8080 </dev/null & wait; done"


@pytest.fixture
def base(image: str, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of the engine's user, with the engine that everything in the test asks."""
    assert image
    with rootless_engine(state_dir) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        yield state_dir


def serving() -> str:
    """A critical pod with limits, Ready once it is reached by its address."""
    pod = json.loads(manifest("a", SERVES))
    pod["spec"]["priorityClassName"] = "system-node-critical"
    (container,) = pod["spec"]["containers"]
    container["resources"] = {"limits": {"cpu": "100m", "memory": "64Mi"}}
    container["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    return json.dumps(pod)


def test_an_agent_on_a_rootless_engine(base: Path) -> None:
    """What it lacks is said once each; probes reach pods; the next agent restarts nothing."""
    agent = ContainerAgent(base)
    agent.write("a.yaml", serving())
    for path in agent.base.iterdir():
        shutil.chown(path, ROOTLESS_USER)
    for _ in range(2):
        agent.create("--network", "host")
        agent.start()
        until(
            lambda: "1/1" in docker("exec", agent.node, "minikubelet", "pods"),
            lambda: f"the pod to be ready\n{agent.logs()}",
        )
        ids = running(agent.node)
        docker("stop", "--time", "60", agent.node)
        _, log = agent.ended()
        docker("rm", agent.node)
        assert running(agent.node) == ids
        warnings = [line for line in log.splitlines() if '"level": "warning"' in line]
        assert [("no control groups" in line, "network of its pods" in line) for line in warnings] == [
            (True, False)
        ], log

    told = command(
        ".venv/bin/minikubelet", "run", "--standalone", "--root-dir", base / "outside",
        "--pod-manifest-path", agent.manifests, code=2,
        env={"MINIKUBELET_CONTAINER_RUNTIME_ENDPOINT": f"docker://{base}/run/docker.sock"},
    )  # fmt: skip
    assert "start the agent in a container on that engine, or as user" in told
