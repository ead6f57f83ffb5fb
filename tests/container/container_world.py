"""The agent in a container of its own beside the engine of the tests, and the image it is made from.

Belongs here: building, starting, asking and removing. May not be here: expectations.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from minikubelet.agent.inspect import NoAgent, ask
from tests.engine import docker_probe

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
IMAGE = "minikubelet:local"
PATIENCE = 100.0
LABEL = "minikubelet.dev/test"
LEAST_RIGHTS = (
    "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--cap-add", "CHOWN", "--cap-add", "DAC_OVERRIDE", "--cap-add", "FOWNER",
    "--cap-add", "FSETID",
)  # fmt: skip
CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: {manifests}
fileCheckFrequency: 1s
evictionHard: {{memory.available: 0%}}
---
apiVersion: minikubelet.dev/v1alpha1
kind: AgentConfiguration
hostRoot: /host
"""


def command(*words: str | Path, code: int | None = 0, env: Mapping[str, str] | None = None) -> str:
    """What a command prints, errors after the rest; `code` is the expected exit code, None for any."""
    done = subprocess.run(
        words, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE * 4,
        check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert code in (None, done.returncode), (
        f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}"
    )
    return done.stdout + done.stderr


def docker(*words: str | Path, code: int | None = 0) -> str:
    """What the engine's client prints."""
    return command("docker", "-H", docker_probe.docker_host(), *words, code=code).strip()


def until(condition: Callable[[], T | None], what: Callable[[], str]) -> T:
    """The first truthy value of a condition; `what` says what was waited for, and shows what there is."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"gave up waiting for {what()}"
        time.sleep(0.1)
    return value


def running(node: str) -> dict[str, str]:
    """The running containers of a node's pods, sandboxes left out: ids by pod and container."""
    found = docker_probe.containers(f"minikubelet.dev/node={node}")
    named = {f"{_label(c, 'pod.name')}/{_label(c, 'container.name')}": c for c in found}
    return {
        name: c["Id"]
        for name, c in named.items()
        if c["State"] == "running" and _label(c, "docker.type") != "podsandbox"
    }


def _label(container: dict[str, Any], name: str) -> str:
    return str(container["Labels"].get(f"io.kubernetes.{name}", ""))


def manifest(name: str, script: str, host_path: Path | None = None) -> str:
    """A pod of one busybox container; `host_path` is mounted at /data and has to be a directory."""
    container: dict[str, Any] = {
        "name": "main", "image": docker_probe.BUSYBOX, "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
    }  # fmt: skip
    spec: dict[str, Any] = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    if host_path is not None:
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        spec["volumes"] = [{"name": "data", "hostPath": {"path": str(host_path), "type": "Directory"}}]
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


class ContainerAgent:
    """One node; its directories are the same for agent, engine and test."""

    def __init__(self, base: Path) -> None:
        self.node = f"n{secrets.token_hex(4)}"
        self.base = base / self.node
        self.root = self.base / "s"
        self.manifests = self.base / "m"
        for directory in (self.root, self.manifests):
            directory.mkdir(parents=True)
        self.config = self.base / "kubelet.yaml"
        self.config.write_text(CONFIG.format(manifests=self.manifests), encoding="utf-8")

    def write(self, name: str, text: str) -> Path:
        """Put a manifest into the folder: beside it first, then renamed."""
        hidden = self.manifests / f".{name}.new"
        hidden.write_text(text, encoding="utf-8")
        return hidden.rename(self.manifests / name)

    def create(self, *more: str | Path, root: Path | None = None) -> None:
        """Make the agent's container; `root` is where it has its state directory, if not as the host."""
        socket = docker_probe.docker_host().removeprefix("unix://")
        docker(
            "create", "--name", self.node, "--label", f"{LABEL}={self.node}", *LEAST_RIGHTS, *more,
            "--volume", f"{socket}:/var/run/docker.sock", "--volume", f"{self.root}:{root or self.root}",
            "--volume", f"{self.manifests}:{self.manifests}:ro", "--volume", f"{self.config}:/etc/mk.yaml:ro",
            "--volume", "/:/host:ro", "--env", f"MINIKUBELET_ROOT_DIR={root or self.root}",
            "--env", f"MINIKUBELET_HOSTNAME_OVERRIDE={self.node}",
            IMAGE, "run", "--config", "/etc/mk.yaml", "--standalone",
        )  # fmt: skip

    def start(self) -> None:
        """Start the container and wait until the agent's socket answers."""
        docker("start", self.node)
        until(self._answers, lambda: f"the agent to answer\n{self.logs()}")

    def _answers(self) -> bool:
        """The socket lies at the same path on the host."""
        try:
            return bool(ask(self.root, "/healthz") == "ok")
        except NoAgent:
            return False

    def logs(self) -> str:
        """What the agent wrote."""
        return docker("logs", self.node, code=None)

    def runs(self, *pods: str) -> dict[str, str]:
        """Wait until just these pods run; ids as `running` gives them."""
        names = {f"{pod}-{self.node}/main" for pod in pods}

        def found() -> dict[str, str] | None:
            ids = running(self.node)
            return ids if set(ids) == names else None

        return until(found, lambda: f"{pods}, not {running(self.node)}\n{self.logs()}") if pods else {}

    def ended(self) -> tuple[int, str]:
        """Wait until the container has ended; exit code and what the agent wrote."""
        return int(docker("wait", self.node)), self.logs()

    def remove(self) -> None:
        """Remove the agent and all that it started."""
        docker_probe.remove_containers(f"{LABEL}={self.node}")
        docker_probe.remove_containers(f"minikubelet.dev/node={self.node}")
