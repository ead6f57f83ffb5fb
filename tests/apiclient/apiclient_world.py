"""A world for the client's tests: an authority, certificates, and a loopback server with a test's handler."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from minikubelet.apiclient.apiconnection import Connection, Material
from tests.running import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from minikubelet.ports.apiport import JsonObject, WatchItem

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    certificate: bytes
    key: bytes


class Authority:
    """Signs certificates; everything is made in memory."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = self._builder(self._name, self._key).add_extension(constraints, critical=True)
        self.pem = certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, hosts: tuple[str, ...] = ()) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(subject, key).add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return Pair(
            builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@cache
def authority() -> Authority:
    return Authority("test-ca")


@cache
def server_pair() -> Pair:
    return authority().issue("api", ("127.0.0.1", "api.test"))


@dataclass(frozen=True, slots=True)
class Running:
    url: str

    def connection(self, **more: Any) -> Connection:
        """A connection that trusts the test's authority, with whatever else is said."""
        if self.url.startswith("https"):
            more.setdefault("ca", Material("certificate-authority", inline=authority().pem))
        return Connection(server=self.url, **more)


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    folder: Path,
    *,
    pair: Pair | None = None,
    tls: bool = True,
) -> AsyncIterator[Running]:
    """Run a server on loopback whose every request goes to the handler."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_server_tls(folder, pair) if tls else None)
        await site.start()
        port = runner.addresses[0][1]
        yield Running(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    finally:
        await runner.cleanup()


def _server_tls(folder: Path, pair: Pair | None) -> ssl.SSLContext:
    pair = pair or server_pair()
    certificate, key, ca = folder / "server.crt", folder / "server.key", folder / "server-ca.crt"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    ca.write_bytes(authority().pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def caller_of(request: web.Request) -> str:
    """Who the server takes a request to come from: its client certificate's name, its token, or nobody."""
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if certificate:
        return f"certificate {certificate['subject'][0][0][1]}"
    return request.headers.get("Authorization", "nobody").removeprefix("Bearer ")


def pod(name: str, version: str, **more: Any) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "resourceVersion": version},
        **more,
    }


def pod_list(*pods: JsonObject, version: str, more: str = "") -> JsonObject:
    meta = {"resourceVersion": version, **({"continue": more} if more else {})}
    bare = [{key: value for key, value in item.items() if key not in {"kind", "apiVersion"}} for item in pods]
    return {"apiVersion": "v1", "kind": "PodList", "metadata": meta, "items": bare}


async def take(items: AsyncGenerator[WatchItem, None], count: int) -> list[WatchItem]:
    """Read so many items and close the stream."""
    taken: list[WatchItem] = []
    async with asyncio.timeout(PATIENCE), aclosing(items):
        async for item in items:
            taken.append(item)
            if len(taken) == count:
                break
    return taken
