"""Certificates that have ended on either side, and are renewed while the client goes on."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from minikubelet.apiclient.apicertwish import key_pem, new_key
from minikubelet.apiclient.apiconnection import Connection, Material
from minikubelet.apiclient.apierrors import ApiUnreachable
from minikubelet.apiclient.apirequests import ApiClient
from minikubelet.stubapi.stubcerts import ensure_identity, leaf_builder, load_authority
from tests.running import run

LONG_AGO = datetime.now(UTC) - timedelta(days=3 * 365)


@asynccontextmanager
async def server(context: ssl.SSLContext) -> AsyncIterator[str]:
    """An API server of one answer."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Node"})

    app = web.Application()
    app.router.add_get("/n", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_a_server_whose_certificate_has_ended_is_not_trusted_until_it_has_a_new_one(tmp_path: Path) -> None:
    async def main() -> None:
        context = ensure_identity(tmp_path, "127.0.0.1", LONG_AGO).server_context()
        async with server(context) as url:
            client = ApiClient(Connection(url, ca=Material("ca", path=tmp_path / "ca.crt")))
            try:
                with pytest.raises(ApiUnreachable, match="not trusted: certificate has expired"):
                    await client.get_object("/n")
                identity = ensure_identity(tmp_path, "127.0.0.1", datetime.now(UTC))
                context.load_cert_chain(identity.cert_file, identity.key_file)
                assert await client.get_object("/n") == {"kind": "Node"}
            finally:
                await client.aclose()

    run(main())


def pair(folder: Path, begins: datetime) -> bytes:
    """A client's certificate of a year, with its key."""
    authority, authority_key = load_authority(folder)
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n1")])
    life = (begins, begins + timedelta(days=365))
    builder = leaf_builder(subject, authority, key.public_key(), life, frozenset({"client auth"}))
    made = builder.sign(authority_key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM) + key_pem(key)


def test_a_client_whose_certificate_has_ended_gets_in_with_the_next_one(tmp_path: Path) -> None:
    """The file is read again; nothing is started anew."""

    async def main() -> None:
        time = [0.0]
        context = ensure_identity(tmp_path, "127.0.0.1", datetime.now(UTC)).server_context()
        context.verify_mode = ssl.CERT_REQUIRED
        file = tmp_path / "current.pem"
        file.write_bytes(pair(tmp_path, LONG_AGO))
        async with server(context) as url:
            both = Material("client-certificate", path=file)
            connection = Connection(
                url, ca=Material("ca", path=tmp_path / "ca.crt"), certificate=both, key=both
            )
            client = ApiClient(connection, clock=lambda: time[0])
            try:
                with pytest.raises(ApiUnreachable, match="cannot reach"):
                    await client.get_object("/n")
                file.write_bytes(pair(tmp_path, datetime.now(UTC) - timedelta(hours=1)))
                time[0] += 10
                assert await client.get_object("/n") == {"kind": "Node"}
            finally:
                await client.aclose()

    run(main())
