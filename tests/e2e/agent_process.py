"""The real command as a process of its own, with a node's name, a folder and a state directory of its own.

Belongs here: starting, ending and asking an agent, and removing whatever it leaves behind. May not be
here: expectations; nothing is read from the log but in order to show it when a test fails.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from minikubelet.agent.inspect import NoAgent, ask
from tests.engine import docker_probe

T = TypeVar("T")
PATIENCE = 90.0
COMMAND = (sys.executable, "-m", "minikubelet")
CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: m
podLogsDir: logs
fileCheckFrequency: 1s
evictionHard: {memory.available: 0%}
---
apiVersion: minikubelet.dev/v1alpha1
kind: AgentConfiguration
stateDir: s
"""


class AgentProcess:
    """One node: its agent may be started, killed and started again on the same state."""

    def __init__(self, base: Path, runtime: str, *, standalone: bool = False, endpoint: str = "") -> None:
        self.base = base
        self.runtime = runtime
        self.node = f"n{secrets.token_hex(4)}"
        self.root = base / "s"
        self.manifests = base / "m"
        self.log = base / "agent.log"
        self.kubeconfig = self.root / "kubeconfig"
        self.flags = ["--standalone"] if standalone else []
        self.endpoint = endpoint or _endpoint(runtime)
        self.env: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.manifests.mkdir()
        (base / "kubelet.yaml").write_text(CONFIG, encoding="utf-8")

    def arguments(self) -> list[str]:
        """The command line of the agent."""
        return [
            *COMMAND, "run", "--config", str(self.base / "kubelet.yaml"), "--hostname-override", self.node,
            "--container-runtime-endpoint", self.endpoint, *self.flags,
        ]  # fmt: skip

    def launch(self) -> None:
        """Start the process, and do not wait for anything."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.arguments(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **self.env},
            )  # fmt: skip

    def start(self) -> AgentProcess:
        """Start the process and wait until its socket answers and its sources have been read."""
        self.launch()
        self.until(self._ready, "the agent to answer, with its sources read")
        return self

    def _ready(self) -> bool:
        status = self.try_ask("/status")
        return status is not None and sorted(status["synced"]) == sorted(status["sources"])

    def try_ask(self, path: str) -> Any:
        """What the agent's socket answers, None while there is no answer."""
        try:
            return ask(self.root, path)
        except NoAgent:
            return None

    def until(self, condition: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
        """The first truthy value of a condition; an agent that ends meanwhile ends the wait."""
        deadline = time.monotonic() + patience
        while True:
            value = condition()
            if value:
                return value
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(
                    f"the agent ended with {self.process.returncode}, waited for: {what}\n{self.tail()}"
                )
            if time.monotonic() > deadline:
                raise AssertionError(f"gave up waiting for {what}; last seen: {value!r}\n{self.tail()}")
            time.sleep(0.05)

    def tail(self) -> str:
        """The end of what the agent wrote."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-6000:] if self.log.exists() else ""

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        return self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, and wait until it is dead."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def write(self, name: str, text: str) -> Path:
        """Put a manifest into the folder the way editors do: beside it first, then renamed."""
        hidden = self.manifests / f".{name}.new"
        hidden.write_text(text, encoding="utf-8")
        return hidden.rename(self.manifests / name)

    def pods(self) -> dict[str, Any]:
        """The agent's pods by name; two of one name show their newest generation last."""
        answer = self.try_ask("/pods")
        return {pod["metadata"]["name"]: pod for pod in answer["items"]} if answer else {}

    def name(self, pod: str) -> str:
        """What a static pod is called on this node."""
        return f"{pod}-{self.node}"

    def phase(self, name: str) -> str:
        """The phase of a pod, empty when it is not known."""
        pod = self.pods().get(name)
        return str(pod.get("status", {}).get("phase", "")) if pod else ""

    def running(self, *pods: str) -> dict[str, str]:
        """Wait until these static pods run; the container ids by `pod/container`."""
        return self.running_names(*(self.name(pod) for pod in pods))

    def running_names(self, *names: str) -> dict[str, str]:
        """Wait until the pods of these full names have all containers running; as `running`."""
        return self.until(lambda: self._ids(names), f"{', '.join(names)} to run")

    def _ids(self, names: Sequence[str]) -> dict[str, str]:
        pods, ids = self.pods(), dict[str, str]()
        for name in names:
            statuses = pods.get(name, {}).get("status", {}).get("containerStatuses", [])
            if not statuses or not all("running" in s["state"] for s in statuses):
                return {}
            ids |= {f"{name}/{s['name']}": s["containerID"] for s in statuses}
        return ids

    def gone(self, *names: str) -> None:
        """Wait until the agent knows the pods of these full names no more."""
        self.until(lambda: not set(names) & set(self.pods()), f"{', '.join(names)} to be gone")

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command of minikubelet, on this agent's state."""
        return subprocess.run(
            [*COMMAND, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
            check=False, env={**os.environ, "MINIKUBELET_ROOT_DIR": str(self.root)},
        )  # fmt: skip

    def kubectl(self, *words: str, code: int | None = 0, said: str = "", **env: str) -> str:
        """What a stock kubectl prints that is `said` something; `code` is its exit code, None for any."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self.kubeconfig, *words], input=said,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
            env={**os.environ, "HOME": str(self.base), "KUBECACHEDIR": str(self.base / "cache"), **env},
        )  # fmt: skip
        assert code in (None, done.returncode), f"kubectl {words}: {done.stdout}{done.stderr}\n{self.tail()}"
        return done.stdout + done.stderr

    def get(self, *words: str) -> Any:
        """`kubectl get … -o json`, decoded; None when it is not found."""
        text = self.kubectl("get", *words, "-o", "json", code=None)
        return json.loads(text) if text.startswith("{") else None

    def verified(self) -> None:
        """`minikubelet replay --verify` passes on this agent's journal."""
        done = self.command("replay", "--verify", str(self.root / "journal"))
        assert done.returncode == 0, done.stdout + done.stderr + self.tail()

    def remove_everything(self) -> None:
        """End the agent and all that it started; nothing of other nodes is touched."""
        if self.process is not None:
            self.kill()
        if self.runtime == "docker":
            docker_probe.remove_containers(f"minikubelet.dev/node={self.node}")
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)

    def left(self) -> list[int]:
        """The processes of the process runtime below this state directory, supervisors included."""
        mark = f"{self.root}/process/".encode()
        return [int(d.name) for d in Path("/proc").iterdir() if d.name.isdecimal() and _names(d, mark)]


def _endpoint(runtime: str) -> str:
    return (
        f"docker://{docker_probe.docker_host().removeprefix('unix://')}"
        if runtime == "docker"
        else "process://"
    )


def _names(process: Path, mark: bytes) -> bool:
    try:
        return mark in (process / "cmdline").read_bytes() or mark in (process / "environ").read_bytes()
    except OSError:
        return False


MakeAgent = Callable[..., AgentProcess]
"""The fixture `make_agent`: `make_agent(runtime="process", *, standalone=False, endpoint="")`."""
