"""The gRPC health check (grpc.health.v1.Health/Check) of grpc probes.

Belongs here: the one call, through `grpcio`, which is imported only when a pod has such a probe and is an
extra of the package (`minikubelet[grpc]`). May not be here: what an answer means for a container.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from minikubelet.shell.proberwords import USER_AGENT

_METHOD: Final = "/grpc.health.v1.Health/Check"
_STATUSES: Final = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_LENGTH_DELIMITED: Final = 0x0A
_VARINT: Final = 0x08
_SEVEN_BITS: Final = 0x7F


class GrpcFault(Exception):
    """The service is not healthy, or gave no answer."""


class GrpcMissing(Exception):
    """The library is not installed."""


async def check(host: str, port: int, service: str, seconds: float) -> None:
    """Return when the service says SERVING; raises GrpcFault, or GrpcMissing without the library."""
    try:
        grpc: Any = importlib.import_module("grpc")
        aio: Any = importlib.import_module("grpc.aio")
    except ImportError as error:
        raise GrpcMissing(
            "grpc probes need the library grpcio, which is not installed: pip install 'minikubelet[grpc]'"
        ) from error
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options = (("grpc.primary_user_agent", USER_AGENT), ("grpc.enable_http_proxy", 0))
    async with aio.insecure_channel(target, options=options) as channel:
        ask = channel.unary_unary(_METHOD, request_serializer=_request, response_deserializer=_status)
        try:
            status = await ask(service, timeout=seconds)
        except aio.AioRpcError as error:
            raise GrpcFault(_why(grpc, error, target, seconds)) from error
    if status != "SERVING":
        raise GrpcFault(f'service unhealthy (responded with "{status}")')


def _why(grpc: Any, error: Any, target: str, seconds: float) -> str:
    code = error.code()
    if code is grpc.StatusCode.UNIMPLEMENTED:
        said = error.details()
        return (
            f"error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {said}"
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f'timeout: health rpc to "{target}" did not complete within {seconds:g}s'
    if code is grpc.StatusCode.UNAVAILABLE:
        return f'error: failed to connect service at "{target}": {error.details()}'
    return f"error: health rpc probe failed: {code.name}: {error.details()}"


def _request(service: str) -> bytes:
    """HealthCheckRequest: field 1 is the service's name."""
    name = service.encode()
    return bytes((_LENGTH_DELIMITED,)) + _varint(len(name)) + name if name else b""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > _SEVEN_BITS:
        out.append(number & _SEVEN_BITS | 0x80)
        number >>= 7
    return bytes((*out, number))


def _status(body: bytes) -> str:
    """HealthCheckResponse: field 1 is the status; left out, it is 0."""
    if not body:
        return _STATUSES[0]
    known = len(body) == 2 and body[0] == _VARINT and body[1] < len(_STATUSES)  # noqa: PLR2004 - tag and value
    return _STATUSES[body[1]] if known else f"malformed response {body[:16].hex()}"
