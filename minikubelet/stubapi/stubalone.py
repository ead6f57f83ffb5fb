"""The stub API server as a program of its own: runs until SIGTERM or SIGINT.

Signals and the kubeconfig only; what the server does is in `stubserver`.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from minikubelet.stubapi.stubnodes import GRACE_SECONDS
from minikubelet.stubapi.stubsecurity import NO_SECRETS, SecuritySetup
from minikubelet.stubapi.stubserver import StubServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def _nothing(_: StubServer) -> None:
    """Say nothing."""


async def serve_alone(
    state_dir: Path,
    host: str,
    port: int,
    kubeconfig_path: Path,
    *,
    node_grace: float = GRACE_SECONDS,
    security: SecuritySetup = NO_SECRETS,
    on_started: Callable[[StubServer], None] = _nothing,
) -> None:
    """Serve until asked to stop; `on_started` is told once clients can connect.

    Raises:
        OSError: as of `StubServer.start`.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    server = StubServer(state_dir, host=host, port=port, node_grace=node_grace, security=security)
    try:
        await server.start()
        server.write_kubeconfig(kubeconfig_path)
        on_started(server)
        await stopping.wait()
    finally:
        await server.stop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
