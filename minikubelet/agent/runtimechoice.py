"""The choice of a runtime driver by the scheme of `containerRuntimeEndpoint`.

Belongs here: which driver, and the sentence that says why. May not be here: what a driver does.
Drivers are imported when they are chosen.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from minikubelet.agent.agentplan import AgentPlan, StartFault
from minikubelet.ports.clockport import Clock
from minikubelet.ports.runtimeport import Runtime
from minikubelet.ports.streamport import StreamRuntime

DOCKER_SOCKET = Path("/var/run/docker.sock")


class Choice(NamedTuple):
    """The driver, why it was chosen, its streams if it has any, and what to look at once it is connected."""

    runtime: Runtime
    why: str
    streams: StreamRuntime | None = None
    check: Callable[[], Awaitable[None]] | None = None


def choose_runtime(plan: AgentPlan, clock: Clock, before: str = "") -> Choice:
    """The driver for the plan's endpoint; raises StartFault for one that there is no driver for.

    `before` is the runtime on which pods of an earlier life are, empty if there are none. An engine that is
    late at the start of a machine must not have all its containers started once more as processes.
    """
    if not plan.endpoint:
        if _answers(DOCKER_SOCKET):
            return _docker(plan, f"unix://{DOCKER_SOCKET}", f"its socket {DOCKER_SOCKET} answers")
        if before == "docker":
            why = f"pods of this node are there, though no Docker answers at {DOCKER_SOCKET} now"
            return _docker(plan, f"unix://{DOCKER_SOCKET}", why)
        return _process(plan, f"no Docker answers at {DOCKER_SOCKET}")
    try:
        parts = urlsplit(plan.endpoint)
        _ = parts.port  # reading it is what checks it
    except ValueError as error:
        raise StartFault(f"containerRuntimeEndpoint {plan.endpoint} is no URL: {error}") from error
    why = f"containerRuntimeEndpoint is {plan.endpoint}"
    match parts.scheme:
        case "docker":
            path = parts.path or str(DOCKER_SOCKET)
            host = f"tcp://{parts.netloc}" if parts.netloc else f"unix://{path}"
            return _docker(plan, host, why)
        case "process":
            return _process(plan, why)
        case "simulated":
            return Choice(_simulated(plan.endpoint, clock), why)
        case "unix":
            raise StartFault(
                f"containerRuntimeEndpoint {plan.endpoint}: there is no CRI driver yet; use docker://PATH, "
                "process:// or simulated://"
            )
        case _:
            raise StartFault(
                f"containerRuntimeEndpoint {plan.endpoint}: unknown scheme {parts.scheme!r}; use "
                "docker://PATH, process:// or simulated://"
            )


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.settimeout(2)
        probe.connect(str(path))
        return True
    return False


def _docker(plan: AgentPlan, host: str, why: str) -> Choice:
    from minikubelet.runtimes.docker.dockerruntime import DockerRuntime  # noqa: PLC0415 - only when chosen
    from minikubelet.runtimes.docker.dockerstreams import DockerStreams  # noqa: PLC0415 - as above

    pause = plan.settings.agent.pause_image or None
    runtime = DockerRuntime(host, node=plan.node_name, state_dir=plan.places.root, pause_image=pause)
    return Choice(runtime, why, DockerStreams(host), runtime.check_paths)


def _process(plan: AgentPlan, why: str) -> Choice:
    from minikubelet.runtimes.process.processruntime import ProcessRuntime  # noqa: PLC0415 - only when chosen
    from minikubelet.runtimes.process.processstreams import ProcessStreams  # noqa: PLC0415 - as above

    runtime = ProcessRuntime(plan.places.root, node=plan.node_name, ip=plan.node_ips[0])
    return Choice(runtime, why, ProcessStreams(plan.places.root, node=plan.node_name))


def _simulated(endpoint: str, clock: Clock) -> Runtime:
    from minikubelet.runtimes.simulated.simulatedoptions import parse_endpoint  # noqa: PLC0415 - only when chosen
    from minikubelet.runtimes.simulated.simulatedruntime import SimulatedRuntime  # noqa: PLC0415 - as above

    try:
        return SimulatedRuntime(parse_endpoint(endpoint), clock)
    except ValueError as error:
        raise StartFault(f"containerRuntimeEndpoint: {error}") from error
