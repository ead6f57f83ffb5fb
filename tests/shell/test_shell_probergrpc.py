"""The gRPC health check against a real server of the same library."""

from __future__ import annotations

import asyncio
import importlib
import socket
from typing import Any

import pytest

from minikubelet.shell import probergrpc
from minikubelet.shell.probergrpc import GrpcFault, check
from tests.running import run

grpc: Any = importlib.import_module("grpc")
aio: Any = importlib.import_module("grpc.aio")
PATIENT = 60.0
ANSWERS = {"": b"\x08\x01", "down": b"\x08\x02", "unset": b"", "odd": b"\xff\xff", "x" * 200: b"\x08\x01"}


async def _health(request: bytes, context: Any) -> bytes:
    """Answers by the service's name, which stands in field 1 behind a tag and its length."""
    name = request[3 if len(request) > 130 else 2 :].decode()
    if name == "silent":
        await asyncio.sleep(PATIENT)
    if name not in ANSWERS:
        await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return ANSWERS[name]


def asked(service: str, *, seconds: float = PATIENT, method: str = "Check") -> str:
    """What is wrong with a service; empty if it serves."""

    async def main() -> str:
        handlers = {method: grpc.unary_unary_rpc_method_handler(_health)}
        server = aio.server()
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            await check("127.0.0.1", port, service, seconds)
        except GrpcFault as fault:
            return str(fault)
        finally:
            await server.stop(0)
        return ""

    return run(main())


@pytest.mark.fields("Probe.grpc", "GRPCAction.port", "GRPCAction.service")
@pytest.mark.parametrize("service", ["", "x" * 200])
def test_a_service_that_serves_passes(service: str) -> None:
    assert asked(service) == ""


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("down", 'service unhealthy (responded with "NOT_SERVING")'),
        ("unset", 'service unhealthy (responded with "UNKNOWN")'),
        ("odd", "malformed response ffff"),
        ("nobody", "NOT_FOUND: unknown service"),
    ],
)
def test_a_service_that_does_not_serve_fails_with_its_status(service: str, words: str) -> None:
    assert words in asked(service)


def test_a_server_without_the_health_protocol_fails_by_name() -> None:
    assert "does not implement the grpc health protocol" in asked("", method="Watch")


def test_a_server_that_stays_silent_fails_in_time() -> None:
    assert "did not complete within 0.2s" in asked("silent", seconds=0.2)


def test_nobody_listening_fails() -> None:
    async def main() -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            await check("127.0.0.1", bound.getsockname()[1], "", 5.0)

    with pytest.raises(GrpcFault, match=r"failed to connect|did not complete"):
        run(main())


def test_lengths_are_spelt_as_varints() -> None:
    assert probergrpc._varint(1) == b"\x01"
    assert probergrpc._varint(300) == b"\xac\x02"
