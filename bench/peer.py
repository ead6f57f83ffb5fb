"""Any agent that reads a static pod directory, by the neutral method alone.

The container's first instruction touches a file on a hostPath and its TERM trap another; nothing is asked of
the agent, so kubelet, podman and minikubelet are measured alike: pods are created, edited and deleted.

    python -m bench peer --directory /etc/kubernetes/manifests          an agent that runs already
    python -m bench peer --directory DIR --start 'kubelet --config …'   one that is started and ended here
    python -m bench peer --podman                                       `podman kube play` for each change
    python -m bench peer --minikubelet docker                           this project's own agent
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench._agentproc import ENDPOINTS, AgentRun, usage
from bench._podfiles import Change, Folder, mark_time, wait_for_marks
from bench._results import Results, quantiles, say, show

_SETTLE = 5.0


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(
        prog="bench peer", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--directory", type=Path, help="the static pod directory that the agent reads")
    which.add_argument("--podman", action="store_true", help="podman kube play as the agent")
    which.add_argument("--minikubelet", choices=list(ENDPOINTS), help="this project's agent on that runtime")
    add("--start", default="", help="the agent's command line, started before and ended after")
    add("--warm-up", type=float, default=10, help="seconds that a started agent is given (default 10)")
    add("--pods", type=int, default=10, help="(default 10)")
    add("--interval-ms", type=int, default=0, help="between two changes (default 0)")
    add("--timeout", type=float, default=180, help="seconds until a phase is given up (default 180)")
    add("--save", type=Path, help="a file for the JSON")
    add("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="bench-peer-") as base, contextlib.ExitStack() as stack:
        peer = _peer(options, Path(base), stack)
        results = _measure(peer, options.pods, options.interval_ms / 1000, options.timeout)
    show(results, options.output, options.save)
    return 0


class _Peer(msgspec.Struct, frozen=True):
    """An agent: its folder, whether it lives, and who puts a change into effect where it does not itself."""

    name: str
    folder: Folder
    alive: Callable[[], bool] = lambda: True
    hands: Callable[[str, Path], None] | None = None


def _peer(options: argparse.Namespace, base: Path, stack: contextlib.ExitStack) -> _Peer:
    if options.minikubelet:
        agent = stack.enter_context(AgentRun(options.minikubelet))
        folder = Folder(agent.manifests, agent.base / "out")
        return _Peer(f"minikubelet on {options.minikubelet}", folder, agent.alive)
    if options.podman:
        if shutil.which("podman") is None:
            raise SystemExit("bench peer: there is no podman on PATH")
        (base / "manifests").mkdir()
        folder = Folder(base / "manifests", base / "out")
        return _Peer("podman kube play", folder, hands=_podman)
    folder = Folder(options.directory, base / "out")
    if not options.start:
        return _Peer("peer", folder)
    alive = stack.enter_context(_started(options.start, options.warm_up))
    return _Peer(Path(shlex.split(options.start)[0]).name, folder, alive)


@contextlib.contextmanager
def _started(command: str, warm_up: float) -> Iterator[Callable[[], bool]]:
    process = subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        time.sleep(warm_up)
        say(f"the agent uses {usage(process.pid).rss_mib:.1f} MiB after {warm_up:g} s")
        yield lambda: process.poll() is None
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def _podman(what: str, file: Path) -> None:
    """Podman has no agent: whoever writes a manifest plays it, and plays its end before unlinking it."""
    words = {"create": ["play"], "edit": ["play", "--replace"], "delete": ["down"]}[what]
    subprocess.run(["podman", "kube", *words, str(file)], capture_output=True, check=False)


def _measure(peer: _Peer, pods: int, pause: float, timeout: float) -> Results:
    """Create, edit, delete."""
    results: Results = {}
    out = peer.folder.out
    for phase, generation, kind in (("create", 1, "up"), ("edit", 2, "up"), ("delete", 2, "term")):
        say(f"{peer.name}: {phase} {pods} pods …")
        changes = []
        for number in range(pods):
            pod = f"peer-{number:04}"
            changes.append(_change(peer, phase, pod, generation, f"{pod}.{generation}.{kind}"))
            time.sleep(pause)
        left = wait_for_marks(out, (each.mark for each in changes), peer.alive, timeout)
        seconds = [mark_time(out, each.mark) - each.at for each in changes if each.mark not in left]
        told: dict[str, Any] = {"agent": peer.name, "pods": pods, "missing": len(left), **quantiles(seconds)}
        results[f"{peer.name} {phase}"] = told
        if phase != "delete":
            time.sleep(_SETTLE)
    return results


def _change(peer: _Peer, phase: str, pod: str, generation: int, mark: str) -> Change:
    folder, file = peer.folder, peer.folder.path / f"{pod}.yaml"
    if phase != "delete":
        change = folder.put(phase, pod, folder.text(pod, generation), mark)
        if peer.hands is not None:
            peer.hands(phase, file)
        return change
    at = time.time()
    if peer.hands is not None:
        peer.hands(phase, file)
    return Change("delete", pod, at, "", folder.remove(pod, mark).mark)
