"""An agent under measurement: the real command as a process of its own, on a node and in a place of its own.

Belongs here: starting, asking and ending it, what it uses, and reading its journal afterwards.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from minikubelet.agent.inspect import NoAgent, ask
from minikubelet.journal.journalreader import JournalReader
from minikubelet.ports.journalport import Record

PATIENCE = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")
_CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: m
podLogsDir: logs
maxPods: {most}
port: 0
imageGCHighThresholdPercent: 100
evictionHard: {{memory.available: 0%}}
---
apiVersion: minikubelet.dev/v1alpha1
kind: AgentConfiguration
stateDir: s
journal: {{maxSize: 4Gi}}
"""
ENDPOINTS = {"docker": "docker://", "process": "process://", "simulated": "simulated://?seed=1"}


class Usage(msgspec.Struct, frozen=True):
    """What a process used so far: seconds of processor time, MiB of memory now and at most, open files."""

    cpu_s: float
    rss_mib: float
    peak_mib: float
    files: int


def end_process(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL when its time to end is over; it is gone then."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class AgentRun:
    """One agent; use it as a context manager, which removes all that it made."""

    def __init__(
        self, runtime: str, *, pods: int = 1000, endpoint: str = "", standalone: bool = False
    ) -> None:
        self.runtime = runtime
        self.base = Path(tempfile.mkdtemp(prefix="bench-"))
        self.node = f"bench-{secrets.token_hex(3)}"
        self.root, self.manifests = self.base / "s", self.base / "m"
        self._endpoint = endpoint or ENDPOINTS[runtime]
        self._flags = ["--standalone"] if standalone else []
        self.process: subprocess.Popen[bytes] | None = None
        self.began = 0.0
        self.manifests.mkdir()
        (self.base / "kubelet.yaml").write_text(_CONFIG.format(most=pods + 10), encoding="utf-8")

    def __enter__(self) -> Self:
        """Start it and wait until it has read its sources."""
        self.launch()
        self.until(self._ready, "the agent to have read its sources")
        return self

    def joined(self, kubeconfig: Path) -> Self:
        """The same, to report to this API server instead of an embedded one."""
        self._flags += ["--kubeconfig", str(kubeconfig)]
        return self

    def launch(self) -> None:
        """Start the process without waiting for it."""
        words = ["run", "--config", str(self.base / "kubelet.yaml"), "--hostname-override", self.node]
        words += ["--container-runtime-endpoint", self._endpoint, *self._flags]
        self.began = time.time()
        with (self.base / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "minikubelet", *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it and whatever it started."""
        self.stop()
        if self.runtime == "docker":
            _remove_containers(self.node)
        self._kill_processes()
        shutil.rmtree(self.base, ignore_errors=True)

    def stop(self) -> None:
        """SIGTERM, after which its journal is complete."""
        if self.process is not None:
            end_process(self.process)
            self.process = None

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self.process is not None
        return self.process.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def ask(self, path: str) -> Any:
        """What it answers on its socket, None while it does not."""
        try:
            return ask(self.root, path)
        except NoAgent:
            return None

    def until(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Wait for a condition; RuntimeError with the end of its log if the agent ends, or in the end."""
        deadline = time.monotonic() + patience
        while not (value := condition()):
            ended = self.process is not None and self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"waited in vain for {what}\n{self.tail()}")
            time.sleep(0.02)
        return value

    def tail(self) -> str:
        """The end of what it wrote."""
        return (self.base / "agent.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    def usage(self) -> Usage:
        """What it used so far."""
        return usage(self.pid)

    def journal_bytes(self) -> int:
        """The size of its journal."""
        return sum(path.stat().st_size for path in (self.root / "journal").glob("*.mkj"))

    def records(self) -> Iterator[Record]:
        """Its journal's records."""
        return JournalReader(self.root / "journal").records()

    def _ready(self) -> bool:
        status = self.ask("/status")
        return status is not None and sorted(status["synced"]) == sorted(status["sources"])

    def _kill_processes(self) -> None:
        mark = f"{self.root}/process/".encode()
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                if mark in (entry / "cmdline").read_bytes() or mark in (entry / "environ").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue


def running(agent: AgentRun) -> int:
    """How many of its pods it shows as Running; asking costs it some time for each."""
    items = (agent.ask("/pods") or {}).get("items", ())
    return sum(pod.get("status", {}).get("phase") == "Running" for pod in items)


def usage(pid: int) -> Usage:
    """What a process used so far, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    )
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS,
        rss_mib=int(status["VmRSS"].split()[0]) / 1024,
        peak_mib=int(status["VmHWM"].split()[0]) / 1024,
        files=len(os.listdir(f"/proc/{pid}/fd")),  # noqa: PTH208 - only their number counts
    )


def _remove_containers(node: str) -> None:
    """Remove what this node has on the engine, and nothing else."""
    listing = ["docker", "ps", "-aq", "--no-trunc", "--filter", f"label=minikubelet.dev/node={node}"]
    ids = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
    if ids:
        subprocess.run(["docker", "rm", "-fv", *ids], capture_output=True, check=False)
