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
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.model.settings import KubeletSettings
from minikubelet.nodeapi.nodecerts import (
    CertificateFault,
    ServingFiles,
    client_context,
    ensure_certificate,
    load_certificate,
    server_context,
    serving_files,
)
from minikubelet.nodeapi.nodeconfigz import configuration
from minikubelet.nodeapi.nodehandlers import Reading, json_response
from minikubelet.nodeapi.nodeidentity import Identities
from minikubelet.nodeapi.nodelookup import Lookup, NodeRefusal, NodeView
from minikubelet.nodeapi.nodemetrics import RequestCount
from minikubelet.nodeapi.nodepermission import Permissions
from minikubelet.nodeapi.nodestats import Usage
from minikubelet.nodeapi.nodestreaming import Streaming
from minikubelet.ports.apiport import Api
from minikubelet.ports.runtimeport import Runtime, RuntimeFault
from minikubelet.ports.streamport import StreamRuntime

DECLARED_FEATURES: Final = ("ExtendWebSocketsToKubelet",)
"""For the Node's `status.declaredFeatures`: an API server then leaves WebSockets to the node."""

_RENEW_SECONDS: Final = 12 * 3600.0
_SHUTDOWN_SECONDS: Final = 2.0
_TOKEN_BYTES: Final = 32
_BODY_MAX: Final = 64 * 1024

_log = structlog.get_logger()


class NodeApiSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What the node API is made from.

    `directory` holds the serving certificate (0700) unless `issued` is one with its key, `logs` the container
    logs. `port` None takes the
    settings' own; 0 takes a free one. With `any_port`, a port that is busy is no reason not to start.
    """

    node_name: str
    node_ips: Sequence[str]
    directory: Path
    logs: Path
    issued: Path | None = None
    kubelet: KubeletSettings
    port: int | None = None
    any_port: bool = False


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
        app = _application(setup, view, runtime, streams, guard)
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


class Guard:
    """Asks of every request who it is and whether it may, before its handler sees it."""

    def __init__(self, identities: Identities, permissions: Permissions, requests: RequestCount) -> None:
        self.requests = requests
        self._under_way: set[asyncio.Task[Any]] = set()
        self._identities = identities
        self._permissions = permissions

    @web.middleware
    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The answer, every failure of which is a `Status`."""
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
        self.requests.under_way += 1
        code = 0
        try:
            answer = await self._answer(request, handler)
            code = answer.status
        finally:
            self._under_way -= {task}
            self.requests.under_way -= 1
            self.requests.done(request.method[:8], _route(request), code)
        return answer

    async def end(self) -> None:
        """End all requests that are under way: streams and followed logs would go on for ever."""
        left = list(self._under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            await self._admit(request)
            return await handler(request)
        except NodeRefusal as refusal:
            return _refused(refusal)
        except RuntimeFault as fault:
            return _refused(NodeRefusal(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", fault.message))
        except web.HTTPException as problem:
            reason = HTTPStatus(problem.status).phrase.replace(" ", "")
            return _refused(NodeRefusal(HTTPStatus(problem.status), reason, problem.reason))
        except ConnectionError:
            raise
        except Exception as problem:  # noqa: BLE001 - a bug in one handler must not end the server
            _log.error("a request to the node API failed", path=request.path, problem=repr(problem))
            text = f"{type(problem).__name__} while {request.method} {request.path}"
            return _refused(NodeRefusal(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", text))

    async def _admit(self, request: web.Request) -> None:
        certificate = request.get_extra_info("peercert")
        try:
            caller = await self._identities.identify(certificate, request.headers.get(hdrs.AUTHORIZATION, ""))
            if caller is None:
                raise NodeRefusal(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")
            allowed = await self._permissions.allows(caller, request.method, request.path)
        except (ApiError, ApiUnreachable) as error:
            _log.warning("the API server cannot say who may call the node API", problem=str(error))
            text = "the API server cannot be asked who you are or what you may do; try again later"
            raise NodeRefusal(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", text) from error
        if not allowed:
            text = f'"{caller.name}" may not {request.method} {request.path} of this node'
            raise NodeRefusal(HTTPStatus.FORBIDDEN, "Forbidden", text)


def _refused(refusal: NodeRefusal) -> web.Response:
    answer = json_response(refusal.status(), refusal.code)
    # What is left of a body that was not read would be taken for the next request.
    answer.force_close()
    return answer


def _route(request: web.Request) -> str:
    """The first part of the route, of which there is a fixed number."""
    resource = request.match_info.route.resource
    return (resource.canonical if resource is not None else "").strip("/").partition("/")[0] or "other"


def _application(
    setup: NodeApiSetup, view: NodeView, runtime: Runtime, streams: StreamRuntime | None, guard: Guard
) -> web.Application:
    lookup = Lookup(view, runtime)
    reading = Reading(
        lookup,
        view,
        Usage(view, runtime),
        node_name=setup.node_name,
        logs=setup.logs,
        config=configuration(setup.kubelet),
        requests=guard.requests,
    )
    streaming = Streaming(lookup, runtime, streams)
    app = web.Application(middlewares=[guard.__call__], client_max_size=_BODY_MAX)
    for path, handler in (
        ("/healthz", reading.healthz),
        ("/pods", reading.pods),
        ("/pods/", reading.pods),
        ("/runningpods", reading.running_pods),
        ("/runningpods/", reading.running_pods),
        ("/configz", reading.configz),
        ("/containerLogs/{namespace}/{pod}/{container}", reading.logs),
        ("/stats/summary", reading.stats),
        ("/metrics", reading.metrics),
        ("/metrics/resource", reading.resource_metrics),
    ):
        app.router.add_get(path, handler)
    named, with_uid = "{namespace}/{pod}", "{namespace}/{pod}/{uid}"
    for pod in (named, with_uid):
        app.router.add_post(f"/run/{pod}/{{container}}", streaming.run)
        for method in (hdrs.METH_GET, hdrs.METH_POST):
            app.router.add_route(method, f"/exec/{pod}/{{container}}", streaming.exec)
            app.router.add_route(method, f"/attach/{pod}/{{container}}", streaming.attach)
            app.router.add_route(method, f"/portForward/{pod}", streaming.port_forward)
    return app


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
