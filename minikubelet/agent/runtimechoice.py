"""The choice of a runtime driver by the scheme of `containerRuntimeEndpoint`.

Belongs here: which driver, and the sentence that says why. May not be here: what a driver does.
Drivers are imported when they are chosen.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from minikubelet.agent.agentplan import AgentPlan, StartFault
from minikubelet.ports.clockport import Clock
from minikubelet.ports.runtimeport import Runtime
from minikubelet.ports.streamport import StreamRuntime
from minikubelet.shell.inimage import in_image

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
    if not plan.endpoint and in_image():
        return _docker(plan, f"unix://{DOCKER_SOCKET}", _mounted(DOCKER_SOCKET))
    if not plan.endpoint:
        refusal = _refusal(DOCKER_SOCKET)
        if refusal is None:
            return _docker(plan, f"unix://{DOCKER_SOCKET}", f"its socket {DOCKER_SOCKET} answers")
        problem = _spelt(DOCKER_SOCKET, refusal)
        if before == "docker":
            why = f"pods of this node are there, though {problem} now"
            return _docker(plan, f"unix://{DOCKER_SOCKET}", why)
        return _process(plan, problem)
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


def _refusal(path: Path) -> OSError | None:
    """What keeps a socket from being connected to; None where an engine answers."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except OSError as error:
            return error
    return None


def _spelt(path: Path, refusal: OSError) -> str:
    if isinstance(refusal, PermissionError):
        return f"this user may not use {path} (is it in the group docker?)"
    return f"no Docker answers at {path}"


def _mounted(path: Path) -> str:
    """Why the engine outside of the agent's container is taken; raises StartFault where it cannot be.

    An engine that is late is waited for. Pods as processes would end with the agent's container.
    """
    if not path.is_socket():
        is_there = "a directory, as Docker makes for what is not there" if path.is_dir() else "not there"
        raise StartFault(
            f"{path} is {is_there}: the agent in an image drives the engine outside; mount its socket with "
            f"-v {path}:{path}, or name another with --container-runtime-endpoint docker://PATH"
        )
    if isinstance(_refusal(path), PermissionError):
        raise StartFault(
            f"this user may not use {path}; start the container as root, or with --group-add and the "
            "socket's group"
        )
    return f"the agent is in an image, and {path} is mounted into its container"


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
