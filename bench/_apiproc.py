"""A stub API server as a process of its own, as any cluster's is: what it uses is not counted as the agent's.

Belongs here: starting and ending it, and where it is reached.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench._agentproc import PATIENCE, Usage, end_process, usage


class ApiProcess:
    """One server; use it as a context manager, which removes all that it made."""

    def __init__(self) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="bench-api-"))
        self.kubeconfig = self._base / "kubeconfig"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Serve: its kubeconfig is written once clients can connect."""
        words = ["apiserver", "--root-dir", str(self._base), "--secure-port", "0"]
        with (self._base / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "minikubelet", *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not self.kubeconfig.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_text = (self._base / "server.log").read_text(encoding="utf-8", errors="replace")
                self.__exit__(None, None, None)
                raise RuntimeError(f"the API server did not start\n{log_text[-3000:]}")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        if self._process is not None:
            end_process(self._process)
        shutil.rmtree(self._base, ignore_errors=True)

    def usage(self) -> Usage:
        """What it used so far."""
        assert self._process is not None
        return usage(self._process.pid)
