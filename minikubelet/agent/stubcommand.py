"""`minikubelet apiserver`: the stub API server alone.

Belongs here: options, the lines it prints, the exit code. May not be here: serving (`stubapi`).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import structlog

from minikubelet.agent.agentlogging import configure_logging
from minikubelet.model.settings import LogFormat, LoggingSettings
from minikubelet.stubapi.stubalone import serve_alone
from minikubelet.stubapi.stubcallers import read_token_file
from minikubelet.stubapi.stubsecurity import SecuritySetup
from minikubelet.stubapi.stubserver import StubServer
from minikubelet.wire.durations import parse_duration

_log = structlog.get_logger()


def run(options: argparse.Namespace) -> int:
    """0 after a signal, 2 when it cannot start as told."""
    form = options.logging_format or LogFormat.TEXT.value
    configure_logging(LoggingSettings(format=form))
    root: Path = options.default_journal.parent
    kubeconfig: Path = options.write_kubeconfig or root / "kubeconfig"

    def told(server: StubServer) -> None:
        command = f"kubectl --kubeconfig {kubeconfig} get pods -A"
        if form == LogFormat.JSON:
            _log.info("serving", url=server.url, kubectl=command)
            return
        sys.stdout.write(f"serving on {server.url}\n{command}\n")
        sys.stdout.flush()

    try:
        grace = _grace(options.node_monitor_grace_period)
        static = read_token_file(options.token_auth_file)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        asyncio.run(
            serve_alone(
                root / "apiserver",
                options.bind_address,
                options.secure_port,
                kubeconfig,
                node_grace=grace,
                security=SecuritySetup(static, options.approve_nodes),
                on_started=told,
            )
        )
    except (OSError, ValueError) as error:
        sys.stderr.write(f"minikubelet: the API server cannot start: {error}\n")
        return 2
    return 0


def _grace(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ValueError(f"--node-monitor-grace-period {text}: {error}") from None
