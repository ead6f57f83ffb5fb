"""What recording costs a live agent: processor time with the journal on disk, beside one in memory only.

Two agents run side by side on the simulated runtime, each with its own folder of pods with probes, of which
some crash in a loop. Once everything is up, both folders see the same edits for a while. Told are percents of
one core, taken from the processes' own time, so what else runs on the machine does not count; and, of each
agent, the parts of recording: encoding records and snapshots, taking them in, and the thread that writes.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from bench._results import say, show
from minikubelet.agent import assembly
from minikubelet.agent.inspect import NoAgent, ask
from minikubelet.cli import main as minikubelet
from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.journal.memoryjournal import MemoryJournal
from minikubelet.ports.journalport import OpenedJournal, Survey
from minikubelet.shell import loop

KINDS = ("memory", "disk")
_PATIENCE = 120.0  # seconds until everything is up
_POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: pod-{number:03}, labels: {{revision: "{revision}"}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: registry.example/main:1
    command: [{command}]
    readinessProbe: {{exec: {{command: ["true"]}}, periodSeconds: 10}}
    livenessProbe: {{exec: {{command: ["true"]}}, periodSeconds: 10}}
"""
_EVERY_CRASHING = 10
_CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxPods: 500
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 0%}
"""
_PARTS = {
    "encode_event": "encode events",
    "encode_command": "encode commands",
    "encode_snapshot": "encode snapshots",
    "append": "take in",
    "_write": "write",
}
P = ParamSpec("P")
T = TypeVar("T")


# ── the agent's side ──


class Spent:
    """Seconds of processor time by part, and how often each was used."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    def timed(self, part: str, function: Callable[P, T]) -> Callable[P, T]:
        """The same function, its thread's time taken."""
        self.seconds[part], self.calls[part] = 0.0, 0

        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            begun = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[part] += time.thread_time() - begun
                self.calls[part] += 1

        return run

    def told(self) -> dict[str, Any]:
        """What was spent so far."""
        return {"cpu": time.process_time(), "parts": dict(self.seconds), "calls": dict(self.calls)}


class _InMemory:
    """Stands in for `DiskJournal`."""

    @staticmethod
    def open(*_args: object, **_named: object) -> OpenedJournal:
        """An empty journal."""
        return OpenedJournal(MemoryJournal(), Survey(), None, iter(()))


def agent(kind: str, root: Path) -> int:
    """Run an agent in this process; a line on the standard input asks what it has spent so far."""
    spent = Spent()
    timed: list[tuple[object, str]] = [
        (loop, name) for name in ("encode_event", "encode_command", "encode_snapshot")
    ]
    if kind == "memory":
        timed += [(MemoryJournal, "append")]
    else:
        timed += [(DiskJournal, "append"), (DiskJournal, "_write")]
    for holder, name in timed:
        setattr(holder, name, spent.timed(_PARTS[name], getattr(holder, name)))
    if kind == "memory":
        setattr(assembly, DiskJournal.__name__, _InMemory)

    def answer() -> None:
        for _ in sys.stdin:
            print(json.dumps(spent.told()), flush=True)

    threading.Thread(target=answer, daemon=True).start()
    return minikubelet(
        [
            *("run", "--standalone", "--config", str(root / "config.yaml")),
            *("--pod-manifest-path", str(root / "manifests"), "--root-dir", str(root / "state")),
            *("--container-runtime-endpoint", "simulated://?seed=1&latency=20ms"),
            *("--hostname-override", f"bench-{kind}"),
        ]
    )


# ── the side that measures ──


class Agent:
    """An agent in a process of its own, with its folder."""

    def __init__(self, kind: str, root: Path, pods: int) -> None:
        self.kind = kind
        self.root = root
        (root / "manifests").mkdir(parents=True)
        (root / "config.yaml").write_text(_CONFIG)
        for number in range(pods):
            self.edit(number, 0)
        command = [sys.executable, "-m", "bench", "recording", "--agent", kind, "--root", str(root)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(root / "log").open("w"), text=True
        )

    def edit(self, number: int, revision: int) -> None:
        """Write a pod's manifest, whole at once."""
        command = '"sleep", "5", "exit", "1"' if number % _EVERY_CRASHING == 0 else '"serve"'
        path = self.root / "manifests" / f"pod-{number:03}.yaml"
        new = path.with_suffix(".tmp")
        new.write_text(_POD.format(number=number, revision=revision, command=command))
        new.replace(path)

    def status(self) -> dict[str, Any]:
        """What the agent tells of itself; empty before it answers."""
        with contextlib.suppress(NoAgent):
            answer: dict[str, Any] = ask(self.root / "state", "/status")
            return answer
        return {}

    def up(self) -> int:
        """How many pods run or have run."""
        with contextlib.suppress(NoAgent):
            pods = ask(self.root / "state", "/pods")["items"]
            return sum(pod.get("status", {}).get("phase") == "Running" for pod in pods)
        return 0

    def spent(self) -> dict[str, Any]:
        """What it has spent so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told | {"seq": self.status()["seq"], "bytes": self._written()}

    def _written(self) -> int:
        return sum(path.stat().st_size for path in (self.root / "state" / "journal").glob("*.mkj"))

    def end(self) -> None:
        """End it and wait."""
        self._process.terminate()
        self._process.wait(30)


@contextlib.contextmanager
def running(work: Path, pods: int) -> Iterator[list[Agent]]:
    """One agent of each kind, everything up."""
    agents = [Agent(kind, work / kind, pods) for kind in KINDS]
    try:
        until = time.monotonic() + _PATIENCE
        while any(one.up() < pods for one in agents):
            if time.monotonic() > until:
                raise TimeoutError(f"not everything is up: {[one.up() for one in agents]} of {pods}")
            time.sleep(0.5)
        yield agents
    finally:
        for one in agents:
            one.end()


def measure(agents: list[Agent], pods: int, rate: float, seconds: float) -> dict[str, Any]:
    """Let so many edits a second reach both for a while; what each spent meanwhile."""
    begun, before = time.monotonic(), [one.spent() for one in agents]
    edits = 0
    while (now := time.monotonic() - begun) < seconds:
        if rate and edits < now * rate:
            edits += 1
            for one in agents:
                one.edit(edits * 7 % pods, edits)
        time.sleep(0.02)
    took, after = time.monotonic() - begun, [one.spent() for one in agents]
    told = {one.kind: _told(was, now, took) for one, was, now in zip(agents, before, after, strict=True)}
    memory, disk = (told[kind] for kind in KINDS)
    told["recording"] = {
        "edits_per_s": rate,
        "more_on_disk_percent": round(disk["cpu_percent"] - memory["cpu_percent"], 2),
        "all_parts_percent": disk["recording_percent"],
    }
    return told


def _told(before: dict[str, Any], after: dict[str, Any], seconds: float) -> dict[str, Any]:
    parts = {name: after["parts"][name] - spent for name, spent in before["parts"].items()}
    return {
        "cpu_percent": round(100 * (after["cpu"] - before["cpu"]) / seconds, 2),
        "recording_percent": round(100 * sum(parts.values()) / seconds, 2),
        **{
            f"{name.replace(' ', '_')}_percent": round(100 * spent / seconds, 3)
            for name, spent in parts.items()
        },
        "records_per_s": round((after["seq"] - before["seq"]) / seconds, 1),
        "kib_per_s": round((after["bytes"] - before["bytes"]) / seconds / 1024, 1),
    }


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench recording", description=__doc__)
    parser.add_argument("--pods", type=int, default=110, help="(default 110)")
    parser.add_argument("--seconds", type=float, default=60, help="of each measurement (default 60)")
    parser.add_argument(
        "--rate", type=float, action="append", help="edits a second, may be given again (default 0 and 1)"
    )
    parser.add_argument("--agent", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    if options.agent:
        return agent(options.agent, options.root)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-recording-") as name:
        say(f"{options.pods} pods on each of two agents: waiting until they are up …")
        with running(Path(name), options.pods) as agents:
            for rate in options.rate or [0.0, 1.0]:
                say(f"{rate:g} edits a second, {options.seconds:g} s …")
                for kind, told in measure(agents, options.pods, rate, options.seconds).items():
                    results[f"{kind}, {rate:g} edits/s"] = told
    show(results, options.output)
    return 0
