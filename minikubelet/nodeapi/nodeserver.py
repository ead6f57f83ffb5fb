"""The node's own API over HTTPS: what a kubelet serves on port 10250.

Belongs here: listening, TLS, asking of every request who it is and whether it may, and errors as `Status`.
May not be here: what the endpoints answer (`nodehandlers`, `nodestreaming`).
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from minikubelet.nodeapi.nodecerts import (
    CertificateFault,
    ServingFiles,
    client_context,
    ensure_certificate,
    load_certificate,
    server_context,
    serving_files,
)
from minikubelet.nodeapi.nodeguard import Guard
from minikubelet.nodeapi.nodeidentity import Identities
from minikubelet.nodeapi.nodeinsight import NodeInsight
from minikubelet.nodeapi.nodelookup import NodeView
from minikubelet.nodeapi.nodemetrics import RequestCount
from minikubelet.nodeapi.nodepermission import Permissions
from minikubelet.nodeapi.noderoutes import NodeApiSetup, node_routes
from minikubelet.ports.apiport import Api
from minikubelet.ports.runtimeport import Runtime
from minikubelet.ports.streamport import StreamRuntime

DECLARED_FEATURES: Final = ("ExtendWebSocketsToKubelet",)
"""For the Node's `status.declaredFeatures`: an API server then leaves WebSockets to the node."""

_RENEW_SECONDS: Final = 12 * 3600.0
_SHUTDOWN_SECONDS: Final = 2.0
_TOKEN_BYTES: Final = 32

_log = structlog.get_logger()


class ServedNode:
    """Where the node API listens, and what the API server of the same process needs to call it."""

    def __init__(
        self, address: str, port: int, token: str, files: ServingFiles, context: ssl.SSLContext
    ) -> None:
        self.address = address
        self.port = port
        self.token = token
        self._files = files
        self._context = context

    def __repr__(self) -> str:
        """Show no token."""
        return f"ServedNode({self.address}:{self.port})"

    def client_context(self) -> ssl.SSLContext:
        """A TLS context that believes the serving certificate, as it is on disk now, and no other."""
        return client_context(self._files)

    def use_certificate(self, path: Path) -> None:
        """Serve with this certificate, whose key is in the same file; raises CertificateFault."""
        files = ServingFiles(path, path, made=False)
        load_certificate(self._context, files)
        self._files = files

    async def keep_certificate(self, names: Sequence[str]) -> None:
        """Renew or reload the certificate in time, until cancelled; connections that are open stay."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                await asyncio.to_thread(ensure_certificate, self._files, names, datetime.now(UTC))
                load_certificate(self._context, self._files)
            except CertificateFault as fault:
                _log.warning("the node API's certificate could not be renewed yet", problem=str(fault))


@asynccontextmanager
async def serve_node_api(
    setup: NodeApiSetup,
    view: NodeView,
    runtime: Runtime,
    streams: StreamRuntime | None,
    *,
    api: Api | None,
    insight: NodeInsight,
) -> AsyncIterator[ServedNode]:
    """Serve for as long as the block runs.

    `api` is the API server that is asked about tokens and permissions, None where there is none that knows.

    Raises:
        OSError: the address cannot be listened on.
        CertificateFault: the serving certificate or the client authority cannot be used.
    """
    kubelet = setup.kubelet
    names = (setup.node_name, kubelet.address, *setup.node_ips)
    files = serving_files(setup.directory, kubelet.tls_cert_file, kubelet.tls_private_key_file)
    if setup.issued is not None:
        files = ServingFiles(setup.issued, setup.issued, made=False)
    await asyncio.to_thread(ensure_certificate, files, names, datetime.now(UTC))
    context = server_context(files, kubelet.authentication.x509.client_ca_file)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    guard = Guard(
        Identities(kubelet.authentication, api, token),
        Permissions(kubelet.authorization, api, setup.node_name),
        RequestCount(),
    )
    async with AsyncExitStack() as stack:
        app = node_routes(setup, view, runtime, streams, guard=guard, insight=insight)
        # A client that leaves ends its handler, and with it what the handler started in a container.
        runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        port = await _bind(runner, setup, context)
        stack.push_async_callback(guard.end)
        served = ServedNode(kubelet.address, port, token, files, context)
        renewing = asyncio.create_task(served.keep_certificate(names), name="node-api-certificate")
        stack.push_async_callback(_end, renewing)
        yield served


async def _bind(runner: web.AppRunner, setup: NodeApiSetup, context: ssl.SSLContext) -> int:
    """Listen; the port."""
    wanted = setup.kubelet.port if setup.port is None else setup.port
    address = setup.kubelet.address
    try:
        await web.TCPSite(runner, address, wanted, ssl_context=context).start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not setup.any_port:
            raise
        _log.warning("the node API's port is taken, another one is used", port=wanted)
        await web.TCPSite(runner, address, 0, ssl_context=context).start()
    return int(runner.addresses[0][1])


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
