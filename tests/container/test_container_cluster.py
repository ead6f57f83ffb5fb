"""tools/cluster.sh on a real engine: three nodes on one engine, gone without a trace."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.container.container_world import ROOT, command, docker, running, until
from tests.engine import docker_probe

pytestmark = [pytest.mark.docker, pytest.mark.kubectl, pytest.mark.timeout(400)]


class Cluster:
    """A cluster with a name, a network and a directory of its own."""

    def __init__(self, base: Path) -> None:
        self.name = f"mkt{secrets.token_hex(3)}"
        self.home = base
        self.base = base / "clusters"
        self.base.mkdir()
        self.nodes = [f"{self.name}-{letter}" for letter in "abc"]
        self.newer = f"minikubelet:{self.name}"
        self.env = {
            "MINIKUBELET_CLUSTER": self.name,
            "MINIKUBELET_CLUSTER_DIR": str(self.base),
            "MINIKUBELET_CLUSTER_GRACE": "15s",
            "MINIKUBELET_CLUSTER_NET": f"10.{secrets.randbelow(56) + 200}.{secrets.randbelow(256)}",
        }

    def do(self, word: str, **env: str) -> str:
        return command("tools/cluster.sh", word, env=self.env | env)

    def get(self, kind: str) -> dict[str, dict[str, Any]]:
        """Objects by name, as a stock kubectl gets them."""
        found = json.loads(self.kubectl("get", kind, "-A", "-o", "json"))
        return {each["metadata"]["name"]: each for each in found["items"]}

    def kubectl(self, *words: str) -> str:
        """What a stock kubectl says."""
        kubeconfig = ROOT / "build" / self.name / "kubeconfig"
        done = subprocess.run(
            ["kubectl", "--kubeconfig", kubeconfig, *words], capture_output=True, text=True, timeout=100,
            check=False, env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ready(self, kind: str) -> set[str]:
        """The names of those whose condition Ready is True."""
        return {
            name
            for name, each in self.get(kind).items()
            if {"Ready": "True"}.items()
            <= {c["type"]: c["status"] for c in each["status"].get("conditions", ())}.items()
        }

    def silent(self) -> set[str]:
        """The names of the nodes that kubectl shows as NotReady."""
        lines = self.kubectl("get", "nodes", "--no-headers").splitlines()
        return {line.split()[0] for line in lines if line.split()[1] == "NotReady"}

    def daemons(self) -> set[str]:
        """The names of the DaemonSet's pods, once there is one for each node."""
        pods = self.get("pods")
        found = {name for name, pod in pods.items() if pod["metadata"].get("generateName") == "each-node-"}
        return found if len(found) == len(self.nodes) else {"not yet"}

    def left(self) -> list[str]:
        """Whatever bears the cluster's name in the engine."""
        kinds = (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
        return [line for words in kinds for line in docker(*words).splitlines() if self.name in line]


@pytest.fixture
def cluster(image: str, state_dir: Path) -> Iterator[Cluster]:
    made = Cluster(state_dir)
    yield made
    made.do("down")
    docker("image", "rm", made.newer, code=None)


def test_three_nodes_with_pods_of_their_own_and_agents_that_come_and_go(image: str, cluster: Cluster) -> None:
    """Static pods bear their node's name; the node of a killed agent is NotReady, and its pods go on.

    Agents that come back, newer ones too, restart nothing; what was made is gone in the end.
    """
    assert f"kubectl --kubeconfig build/{cluster.name}/kubeconfig" in cluster.do("up")
    static = {f"web-{node}" for node in cluster.nodes}
    until(lambda: cluster.ready("nodes") == set(cluster.nodes), lambda: f"nodes {cluster.get('nodes')}")
    until(lambda: cluster.ready("pods") == static | cluster.daemons(), lambda: f"pods {cluster.get('pods')}")
    on = {name: pod["spec"]["nodeName"] for name, pod in cluster.get("pods").items()}
    daemons = cluster.daemons()
    assert {name: node for name, node in on.items() if name in static} == {
        f"web-{node}": node for node in cluster.nodes
    }
    assert sorted(on[name] for name in daemons) == cluster.nodes
    for node in cluster.nodes:
        assert cluster.kubectl("exec", "-n", "kube-system", f"web-{node}", "--", "echo", "there") == "there\n"
        assert "GET / HTTP" in cluster.kubectl("logs", "-n", "kube-system", f"web-{node}")
    ids = {node: running(node) for node in cluster.nodes}
    docker("kill", cluster.nodes[1])
    until(lambda: cluster.silent() == {cluster.nodes[1]}, lambda: f"nodes {cluster.get('nodes')}")
    assert running(cluster.nodes[1]) == ids[cluster.nodes[1]]
    before = _agents(cluster)
    cluster.do("up", MINIKUBELET_IMAGE=_newer(image, cluster))
    assert not before & _agents(cluster)
    of_image = {docker("inspect", "--format", "{{.Config.Image}}", node) for node in cluster.nodes}
    assert of_image == {cluster.newer}
    until(lambda: cluster.ready("nodes") == set(cluster.nodes), lambda: f"nodes {cluster.get('nodes')}")
    until(lambda: cluster.ready("pods") == static | daemons, lambda: f"pods {cluster.get('pods')}")
    assert {node: running(node) for node in cluster.nodes} == ids

    first = f"web-{cluster.nodes[0]}"
    status = cluster.get("pods")[first]["status"]["containerStatuses"][0]
    docker("kill", status["containerID"].removeprefix("docker://"))
    until(
        lambda: (
            cluster.get("pods")[first]["status"]["containerStatuses"][0]["restartCount"] > 0
            and first in cluster.ready("pods")
        ),
        lambda: f"pods {cluster.get('pods')[first]}",
    )

    cluster.do("down")
    assert cluster.left() == []
    assert [node for node in cluster.nodes if docker_probe.containers(f"minikubelet.dev/node={node}")] == []
    assert not cluster.base.exists()
    assert not (ROOT / "build" / cluster.name).exists()


def _newer(image: str, cluster: Cluster) -> str:
    """An image of the same agent that is another for the engine."""
    context = cluster.home / "newer"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {image}\nLABEL newer=yes\n", encoding="utf-8")
    docker("build", "--tag", cluster.newer, context)
    return cluster.newer


def _agents(cluster: Cluster) -> set[str]:
    return {docker("inspect", "--format", "{{.Id}}", node) for node in cluster.nodes}
