"""Pods for the benchmarks: manifests in a folder, and the files that their containers touch.

The method is neutral: a container's first instruction touches a file on a hostPath, so does its TERM
trap. Both files' times and that of a manifest's rename come from one clock, so any agent can be measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

IMAGE = "busybox:1.36"
GRACE = 5
_SCRIPT = "trap 'touch {out}/{mark}.term; exit 0' TERM; touch {out}/{mark}.up; sleep 100000 & wait"


class Change(msgspec.Struct, frozen=True):
    """One change of the folder: what was done to which pod's file, when, and the content's hash."""

    what: str
    name: str
    at: float
    content: str = ""
    mark: str = ""


class Folder:
    """The manifest folder of an agent. `plain` pods touch no files: for runtimes that run nothing real."""

    def __init__(self, path: Path, out: Path, *, namespace: str = "default", plain: bool = False) -> None:
        self.path = path
        self.out = out
        self.namespace = namespace
        self._plain = plain
        out.mkdir(exist_ok=True)

    def text(self, name: str, generation: int, probe: str = "") -> str:
        """A manifest of that pod; each generation is another one."""
        mark = f"{name}.{generation}"
        container: dict[str, Any] = {
            "name": "main",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "env": [{"name": "GENERATION", "value": str(generation)}],
            "command": ["sh", "-c", _SCRIPT.format(out=self.out, mark=mark)],
            "volumeMounts": [{"name": "out", "mountPath": str(self.out)}],
        }
        volumes = [{"name": "out", "hostPath": {"path": str(self.out), "type": "Directory"}}]
        if self._plain:
            del container["command"], container["volumeMounts"]
            volumes = []
        if probe and not self._plain:
            # Something that answers: the container's own web server, over the folder of marks.
            serving = f"httpd -p 8080 -h {self.out}; " + container["command"][2]
            container["command"] = ["sh", "-c", serving]
        if probe:
            container["readinessProbe"] = {**json.loads(probe), "periodSeconds": 10}
        labels = {"app": "bench", "generation": str(generation)}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": labels},
            "spec": {"terminationGracePeriodSeconds": GRACE, "containers": [container], "volumes": volumes},
        }
        return json.dumps(pod)

    @staticmethod
    def text_of(name: str, generation: int, probe: str = "") -> str:
        """A manifest of a pod that needs no folder."""
        return Folder(Path(), Path(), plain=True).text(name, generation, probe)

    def put(self, what: str, name: str, text: str, mark: str = "", file: str = "") -> Change:
        """Write beside it, then rename, as editors do; the moment is that of the rename."""
        hidden = self.path / f".{name}.new"
        hidden.write_text(text, encoding="utf-8")
        at = time.time()
        hidden.rename(self.path / (file or f"{name}.yaml"))
        return Change(what, name, at, f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", mark)

    def remove(self, name: str, mark: str = "", file: str = "") -> Change:
        """Unlink a manifest."""
        at = time.time()
        (self.path / (file or f"{name}.yaml")).unlink()
        return Change("delete", name, at, "", mark)


def wait_for_marks(out: Path, marks: Iterable[str], alive: Callable[[], bool], patience: float) -> set[str]:
    """Wait until all files are there, at most so many seconds while the agent lives; those that are not."""
    left, deadline = set(marks), time.monotonic() + patience
    while left and time.monotonic() < deadline and alive():
        time.sleep(0.02)
        left -= {entry.name for entry in os.scandir(out)}
    return left


def mark_time(out: Path, mark: str) -> float:
    """When a container touched that file."""
    return (out / mark).stat().st_mtime_ns / 1e9
