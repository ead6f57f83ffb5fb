"""What is asked of a running container: probes and lifecycle hooks with their handlers.

Belongs here: questions and their timing. May not be here: asking them, or counting answers.
"""

from __future__ import annotations

from enum import Enum

from minikubelet.model.podbase import ApiStruct, IntOrString


class ExecAction(ApiStruct, frozen=True, kw_only=True):
    """Run a command in the container, without a shell; exit code 0 is success."""

    command: tuple[str, ...] = ()


class HTTPHeader(ApiStruct, frozen=True, kw_only=True):
    """One header of a request."""

    name: str
    value: str


class HTTPGetAction(ApiStruct, frozen=True, kw_only=True):
    """An HTTP request; `host` empty is the pod's address, `port` a number or a port's name."""

    port: IntOrString
    path: str = ""
    host: str = ""
    scheme: str = ""
    http_headers: tuple[HTTPHeader, ...] = ()


class TCPSocketAction(ApiStruct, frozen=True, kw_only=True):
    """Open a TCP connection; `host` empty is the pod's address."""

    port: IntOrString
    host: str = ""


class GRPCAction(ApiStruct, frozen=True, kw_only=True):
    """Ask the gRPC health service."""

    port: int
    service: str = ""


class SleepAction(ApiStruct, frozen=True, kw_only=True):
    """Wait so many seconds."""

    seconds: int


class ProbeKind(Enum):
    """What a probe is asked for; the values are upstream's words for its Events."""

    STARTUP = "Startup"
    READINESS = "Readiness"
    LIVENESS = "Liveness"


class Probe(ApiStruct, frozen=True, kw_only=True):
    """A question asked again and again: exactly one handler, with its timing in seconds.

    Timing of 0 is unset (1 s timeout, 10 s period, 1 success, 3 failures once defaults are filled in).
    """

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    initial_delay_seconds: int = 0
    timeout_seconds: int = 0
    period_seconds: int = 0
    success_threshold: int = 0
    failure_threshold: int = 0
    termination_grace_period_seconds: int | None = None


class LifecycleHandler(ApiStruct, frozen=True, kw_only=True):
    """What a hook does: exactly one of these."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(ApiStruct, frozen=True, kw_only=True):
    """Hooks after start and before stop, and the signal that stops."""

    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str = ""
