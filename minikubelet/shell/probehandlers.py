"""Handlers: one question to a container, by command, HTTP, TCP or gRPC, and what was answered.

Belongs here: asking once, within the probe's timeout, and what upstream takes an answer for (pkg/probe).
May not be here: when to ask, or how often an answer must come before it counts.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from minikubelet.model.pod import Container, ExecAction, GRPCAction, HTTPGetAction, Probe, TCPSocketAction
from minikubelet.ports.runtimeport import Runtime, RuntimeFault
from minikubelet.shell import probergrpc
from minikubelet.shell.proberwords import HttpAnswer, HttpFault, dial_error

if TYPE_CHECKING:
    from minikubelet.shell.proberhttp import ProbeHttp

ENGINE_SECONDS: Final = 10.0
"""how much longer than a command may take the engine has to say that it took too long"""
_SIMULATED: Final = ExecAction(command=("true",))
"""asked instead of a network that is not there, of a runtime that only simulates containers"""
_NO_ADDRESS: Final = "the pod has no address yet"


class Outcome(Enum):
    """What one answer says; UNKNOWN says nothing of the container and is not counted."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Answer(NamedTuple):
    """An outcome, and why."""

    outcome: Outcome
    message: str = ""


class Target(NamedTuple):
    """Whom to ask: the full definition, the running instance, and the pod's address (may be empty)."""

    container: Container
    container_id: str
    address: str


class NoSuchPort(Exception):
    """A port's name that the container does not have."""


class _LateHttp:
    """A `ProbeHttp` that reads its library with the first request, so that no start of an agent does."""

    def __init__(self) -> None:
        self._http: ProbeHttp | None = None

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def get(self, action: HTTPGetAction, host: str, port: int) -> HttpAnswer:
        if self._http is None:
            from minikubelet.shell.proberhttp import ProbeHttp  # noqa: PLC0415 - see above

            self._http = ProbeHttp()
        return await self._http.get(action, host, port)


class ProbeHandlers:
    """Asks; also the hands of hooks."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.http = _LateHttp()

    async def aclose(self) -> None:
        """Let go of what is open."""
        await self.http.aclose()

    async def ask(self, probe: Probe, target: Target) -> Answer:
        """Ask once; returns within the probe's timeout, save for an engine that hangs."""
        try:
            return await self._ask(probe, target, float(probe.timeout_seconds or 1))
        except NoSuchPort as error:
            return Answer(Outcome.UNKNOWN, str(error))
        except Exception as error:  # noqa: BLE001 - a probe that no library takes must not end the agent of a node
            return Answer(Outcome.UNKNOWN, f"{type(error).__name__}: {error}")

    async def _ask(self, probe: Probe, target: Target, seconds: float) -> Answer:
        if probe.exec is not None:
            return await self._exec(probe.exec, target, seconds)
        if self._runtime.info.simulated:
            return await self._exec(_SIMULATED, target, seconds)
        if probe.http_get is not None:
            return await self._http(probe.http_get, target, seconds)
        if probe.tcp_socket is not None:
            return await _tcp(probe.tcp_socket, target, seconds)
        if probe.grpc is not None:
            return await _grpc(probe.grpc, target, seconds)
        return Answer(Outcome.UNKNOWN, "the probe has no handler")

    async def _exec(self, action: ExecAction, target: Target, seconds: float) -> Answer:
        try:
            async with asyncio.timeout(seconds + ENGINE_SECONDS):
                result = await self._runtime.exec_sync(target.container_id, action.command, seconds)
        except RuntimeFault as fault:
            if fault.reason == "DeadlineExceeded" and not fault.unreachable:
                return Answer(Outcome.FAILED, f"command timed out after {seconds:g}s")
            return Answer(Outcome.UNKNOWN, fault.message)
        except TimeoutError:
            return Answer(Outcome.UNKNOWN, "the container runtime did not answer in time")
        if result.exit_code == 0:
            return Answer(Outcome.PASSED)
        output = result.output.decode(errors="replace").strip()
        return Answer(Outcome.FAILED, output or f"command exited with {result.exit_code}")

    async def _http(self, action: HTTPGetAction, target: Target, seconds: float) -> Answer:
        host = action.host or target.address
        if not host:
            return Answer(Outcome.UNKNOWN, _NO_ADDRESS)
        port = port_of(action.port, target.container)
        try:
            async with asyncio.timeout(seconds):
                answer = await self.http.get(action, host, port)
        except HttpFault as fault:
            return Answer(Outcome.FAILED, str(fault))
        except TimeoutError:
            return Answer(Outcome.FAILED, f"Get on {host}:{port}: no answer within {seconds:g}s (timeout)")
        if answer.elsewhere:
            return Answer(Outcome.WARNED, f"Probe terminated redirects, Response body: {answer.body}")
        if 200 <= answer.status < 400:  # noqa: PLR2004 - the successful statuses of the contract
            return Answer(Outcome.PASSED)
        return Answer(Outcome.FAILED, f"HTTP probe failed with statuscode: {answer.status}")


async def _tcp(action: TCPSocketAction, target: Target, seconds: float) -> Answer:
    host = action.host or target.address
    if not host:
        return Answer(Outcome.UNKNOWN, _NO_ADDRESS)
    port = port_of(action.port, target.container)
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Answer(Outcome.FAILED, f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Answer(Outcome.FAILED, dial_error(host, port, error))
    writer.transport.abort()
    return Answer(Outcome.PASSED)


async def _grpc(action: GRPCAction, target: Target, seconds: float) -> Answer:
    if not target.address:
        return Answer(Outcome.UNKNOWN, _NO_ADDRESS)
    try:
        await probergrpc.check(target.address, action.port, action.service, seconds)
    except probergrpc.GrpcMissing as missing:
        return Answer(Outcome.UNKNOWN, str(missing))
    except probergrpc.GrpcFault as fault:
        return Answer(Outcome.FAILED, str(fault))
    return Answer(Outcome.PASSED)


def port_of(port: int | str, container: Container) -> int:
    """A port's number: as it stands, by its name in the container, or written as text; raises NoSuchPort."""
    if isinstance(port, int):
        return port
    for one in container.ports:
        if one.name == port:
            return one.container_port
    if port.isascii() and port.isdecimal():
        return int(port)
    raise NoSuchPort(f"container {container.name} has no port named {port!r}")
