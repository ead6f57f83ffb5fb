"""Logs and streams of pods, fetched from the API of the node they run on.

Belongs here: choosing node, container and path, and passing bytes on untouched, so that whatever protocol
client and node speak goes through. May not be here: those protocols. Follows upstream's
pkg/registry/core/pod/strategy.go for paths and messages.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp import hdrs, web

from minikubelet.stubapi.stubnodelinks import NodeLink, NodeLinks, authorization, bracketed, link_url
from minikubelet.stubapi.stubstatus import ApiError, bad_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minikubelet.stubapi.stubresources import Obj

_CHUNK: Final = 64 * 1024
_CONNECT_SECONDS: Final = 10.0
_DEFAULT_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
_PASSED_ON: Final = frozenset(
    {"upgrade", "connection", "x-stream-protocol-version", "sec-websocket-key", "sec-websocket-version"}
    | {"sec-websocket-protocol", "sec-websocket-accept", "sec-websocket-extensions", "content-type"}
)
_STREAMS: Final = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
_LOG_PARAMETERS: Final = (
    "follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes", "stream",
)  # fmt: skip


class PodProxy:
    """Passes requests for `pods/log`, `exec`, `attach` and `portforward` on."""

    def __init__(self, nodes: NodeLinks) -> None:
        self._nodes = nodes

    async def handle(self, request: web.Request, pod: Obj, subresource: str) -> web.StreamResponse:
        """The node's answer; raises ApiError."""
        link = self._nodes.find(pod["spec"].get("nodeName", ""))
        path = node_path(pod, subresource, request)
        try:
            if subresource == "log":
                return await _log(request, link, path)
            return await _upgraded(request, link, path)
        except (
            aiohttp.ClientError,
            OSError,
            TimeoutError,
            EOFError,
            ValueError,
            asyncio.LimitOverrunError,
        ) as e:
            if isinstance(e, ConnectionError) and request.transport is None:
                raise
            message = (
                f"the node's API at {link.host}:{link.port} cannot be used: {str(e) or type(e).__name__}"
            )
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", message) from e


def node_path(pod: Obj, subresource: str, request: web.Request) -> str:
    """Path and query at the node; raises ApiError for a container that is not there or not named."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    query = request.query
    if subresource == "portforward":
        ports = [("port", each) for each in query.getall("ports", [])]
        return _spelled(("portForward", namespace, name), ports)
    container = choose_container(pod, query.get("container", ""))
    if subresource == "log":
        wanted = [(key, query[key]) for key in _LOG_PARAMETERS if key in query]
        return _spelled(("containerLogs", namespace, name, container), wanted)
    wanted = [
        (theirs, "1") for ours, theirs in _STREAMS.items() if query.get(ours, "").lower() in {"true", "1"}
    ]
    wanted += [("command", each) for each in query.getall("command", [])]
    return _spelled((subresource, namespace, name, container), wanted)


def _spelled(segments: Sequence[str], query: Sequence[tuple[str, str]]) -> str:
    path = "/" + "/".join(quote(segment, safe="") for segment in segments)
    return f"{path}?{urlencode(query)}" if query else path


def choose_container(pod: Obj, wanted: str) -> str:
    """The container asked for, else the only one, else the one an annotation names; raises ApiError."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    plain = [str(each["name"]) for each in spec.get("containers") or ()]
    first = [str(each["name"]) for each in spec.get("initContainers") or ()]
    others = [str(each["name"]) for each in spec.get("ephemeralContainers") or ()]
    if wanted:
        if wanted not in (*plain, *first, *others):
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(plain) == 1:
        return plain[0]
    default = (pod["metadata"].get("annotations") or {}).get(_DEFAULT_CONTAINER, "")
    if default in plain:
        return str(default)
    more = f" or one of the init containers: [{' '.join(first)}]" if first else ""
    raise bad_request(
        f"a container name must be specified for pod {name}, choose one of: [{' '.join(plain)}]{more}"
    )


async def _log(request: web.Request, link: NodeLink, path: str) -> web.StreamResponse:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
    connector = aiohttp.TCPConnector(ssl=link.context())
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.get(link_url(link, path), headers=authorization(link), allow_redirects=False) as found,
    ):
        answer = web.StreamResponse(status=found.status, headers={hdrs.CONTENT_TYPE: _type_of(found)})
        await answer.prepare(request)
        try:
            async for piece in found.content.iter_any():
                await answer.write(piece)
            await answer.write_eof()
        except aiohttp.ClientPayloadError:
            # Half of a log is not to look like the whole: the client's connection breaks as the node's did.
            if request.transport is not None:
                request.transport.close()
        return answer


def _type_of(found: aiohttp.ClientResponse) -> str:
    return found.headers.get(hdrs.CONTENT_TYPE, "text/plain")


async def _upgraded(request: web.Request, link: NodeLink, path: str) -> web.StreamResponse:
    """Send the same upgrade to the node, answer as it does, and join the two connections."""
    async with asyncio.timeout(_CONNECT_SECONDS):
        reader, writer = await asyncio.open_connection(link.host, link.port, ssl=link.context())
    try:
        writer.write(_head(request, link, path))
        await writer.drain()
        status, headers = _parsed(await reader.readuntil(b"\r\n\r\n"))
        if status != HTTPStatus.SWITCHING_PROTOCOLS:
            body = await reader.readexactly(min(int(headers.get("content-length", "0")), 1 << 20))
            return web.Response(
                body=body,
                status=status,
                headers={hdrs.CONTENT_TYPE: headers.get("content-type", "text/plain")},
            )
        kept = {name: value for name, value in headers.items() if name in _PASSED_ON}
        answer = web.StreamResponse(status=status, headers=kept)
        client = _Client(request)
        await answer.prepare(request)
        answer.force_close()
        await _joined(client.reader, answer, reader, writer)
        return answer
    finally:
        writer.close()


def _head(request: web.Request, link: NodeLink, path: str) -> bytes:
    lines = [f"{request.method} {path} HTTP/1.1", f"Host: {bracketed(link.host)}:{link.port}"]
    lines += [f"{name}: {value}" for name, value in authorization(link).items()]
    lines += [f"{name}: {value}" for name, value in request.headers.items() if name.lower() in _PASSED_ON]
    if request.method == hdrs.METH_POST:
        lines.append("Content-Length: 0")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in rest if line)
    return int(first.split(" ")[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


class _Client:
    """What arrives from the client after its upgrade: aiohttp hands it to the parser that is set."""

    def __init__(self, request: web.Request) -> None:
        self.reader = asyncio.StreamReader(limit=_CHUNK)
        if request.transport is not None:
            self.reader.set_transport(request.transport)  # so that a fast client is held back
        request.protocol.set_parser(cast("Any", self))

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Called by aiohttp."""
        self.reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        """Called by aiohttp."""
        self.reader.feed_eof()


async def _joined(
    client: asyncio.StreamReader,
    answer: web.StreamResponse,
    node: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Pass bytes on in both directions until either side closes."""

    async def up() -> None:
        while data := await client.read(_CHUNK):
            writer.write(data)
            await writer.drain()

    async def down() -> None:
        while data := await node.read(_CHUNK):
            await answer.write(data)

    both = [asyncio.create_task(up()), asyncio.create_task(down())]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        # What breaks here is a connection, whose other end has seen it or is gone.
        await asyncio.gather(*both, return_exceptions=True)
