"""The stub API server as a process of its own, as a cluster's: it can be killed and come back empty."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.agent_process import COMMAND, PATIENCE


class ApiServerProcess:
    """One server on a port of its own, which it takes again."""

    def __init__(self, base: Path, *flags: str) -> None:
        base.mkdir()
        self.base = base
        self.kubeconfig = base / "admin.conf"
        self.flags = flags
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> ApiServerProcess:
        """Start it and wait until clients can connect."""
        self.process = subprocess.Popen(
            [
                *COMMAND, "apiserver", "--root-dir", str(self.base), "--secure-port", str(self.port),
                "--write-kubeconfig", str(self.kubeconfig), *self.flags,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("serving on "), line
        self.port = int(line.rstrip().rpartition(":")[2])
        return self

    def kill(self) -> None:
        """SIGKILL, and wait until it is dead."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate(timeout=PATIENCE)
            self.process = None

    def lose_everything(self) -> None:
        """Forget all objects; authority, token and port stay, as of a server whose store is made anew."""
        (self.base / "apiserver" / "state.log").unlink()

    def remove(self) -> None:
        """End it."""
        self.kill()
        shutil.rmtree(self.base, ignore_errors=True)

    def kubeconfig_with(self, path: Path, token: str) -> Path:
        """Another kubeconfig of this server, with another token."""
        content: dict[str, Any] = yaml.safe_load(self.kubeconfig.read_text(encoding="utf-8"))
        content["users"][0]["user"] = {"token": token}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path
