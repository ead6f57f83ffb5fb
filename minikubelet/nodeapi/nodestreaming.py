"""The endpoints that reach into containers: exec, attach, port-forward, run.

Belongs here: choosing the protocol a client speaks, and its options. May not be here: who may (the server's
middleware has asked), or the protocols themselves.
"""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from minikubelet.nodeapi import portforward, spdycommand, wscommand, wsforward
from minikubelet.nodeapi.bytelink import SocketLink, UpgradedLink
from minikubelet.nodeapi.idling import Idle
from minikubelet.nodeapi.nodelookup import Lookup, bad_request
from minikubelet.nodeapi.remotecommand import Call
from minikubelet.ports.runtimeport import Runtime
from minikubelet.ports.streamport import Dialled, StreamOptions, StreamRuntime

SPDY: Final = "SPDY/3.1"
VERSION_HEADER: Final = "X-Stream-Protocol-Version"
RUN_SECONDS: Final = 60.0
_TRUE: Final = frozenset({"1", "true"})


class Streaming:
    """Handlers over a runtime's streams; `streams` None: the runtime has none."""

    def __init__(
        self, lookup: Lookup, runtime: Runtime, streams: StreamRuntime | None, *, idle_seconds: float
    ) -> None:
        self._lookup = lookup
        self._idle_seconds = idle_seconds
        self._runtime = runtime
        self._given = streams

    async def exec(self, request: web.Request) -> web.StreamResponse:
        """`/exec/{ns}/{pod}[/{uid}]/{container}?command=…&input=1&output=1&error=1&tty=1`."""
        options = read_options(request)
        command = request.query.getall("command", [])
        if not command or not command[0]:
            raise bad_request("you must specify at least 1 command argument")
        streams, container_id = self._streams(), await self._container(request)
        call = streams.exec_stream(container_id, command, options)
        return await _serve(request, options, call, Idle(self._idle_seconds))

    async def attach(self, request: web.Request) -> web.StreamResponse:
        """`/attach/{ns}/{pod}[/{uid}]/{container}?input=1&output=1&error=1&tty=1`."""
        options = read_options(request)
        streams, container_id = self._streams(), await self._container(request)
        call = streams.attach_stream(container_id, options)
        return await _serve(request, options, call, Idle(self._idle_seconds))

    async def port_forward(self, request: web.Request) -> web.StreamResponse:
        """`/portForward/{ns}/{pod}[/{uid}]`, over SPDY, or a WebSocket with SPDY or `port=…` in it."""
        names, streams = request.match_info, self._streams()
        sandbox = await self._lookup.sandbox(names["namespace"], names["pod"], names.get("uid", ""))

        async def dial(port: int) -> Dialled:
            return await streams.dial(sandbox, port)

        idle = Idle(self._idle_seconds)
        if _wants_socket(request):
            return await _forward_over_socket(request, dial, idle)
        link = await _upgrade(request, (portforward.PROTOCOL,))
        await portforward.serve_forwarding(link, dial, idle)
        return link.response

    async def run(self, request: web.Request) -> web.Response:
        """`POST /run/{ns}/{pod}[/{uid}]/{container}?cmd=…`: a command's output as plain text."""
        command = request.query.get("cmd", "").split()
        if not command:
            raise bad_request("cmd names no command")
        container_id = await self._container(request)
        result = await self._runtime.exec_sync(container_id, command, RUN_SECONDS)
        code = {} if result.exit_code == 0 else {"X-Exit-Code": str(result.exit_code)}
        return web.Response(body=result.output, content_type="text/plain", headers=code)

    def _streams(self) -> StreamRuntime:
        if self._given is None:
            name = self._runtime.info.name
            raise bad_request(
                f"the {name} runtime has no streams: exec, attach and port-forward need another"
            )
        return self._given

    async def _container(self, request: web.Request) -> str:
        names = request.match_info
        return await self._lookup.running(
            names["namespace"], names["pod"], names["container"], names.get("uid", "")
        )


def read_options(request: web.Request) -> StreamOptions:
    """The streams a client asks for, under the kubelet's names or the API server's; raises NodeRefusal."""

    def asks(*names: str) -> bool:
        return any(request.query.get(name, "").lower() in _TRUE for name in names)

    tty = asks("tty")
    options = StreamOptions(
        stdin=asks("input", "stdin"),
        stdout=asks("output", "stdout"),
        stderr=asks("error", "stderr") and not tty,
        tty=tty,
    )
    if not (options.stdin or options.stdout or options.stderr):
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return options


async def _serve(request: web.Request, options: StreamOptions, call: Call, idle: Idle) -> web.StreamResponse:
    if _wants_socket(request):
        socket = await _socket(request, wscommand.PROTOCOLS)
        await wscommand.serve_socket_command(socket, options, call, idle)
        return socket
    link = await _upgrade(request, spdycommand.PROTOCOLS)
    await spdycommand.serve_spdy_command(link, options, call, idle)
    return link.response


async def _forward_over_socket(
    request: web.Request, dial: portforward.Dial, idle: Idle
) -> web.StreamResponse:
    texts = request.query.getall("port", [])
    try:
        ports = wsforward.read_ports(texts) if texts else []
    except ValueError as error:
        raise bad_request(str(error)) from None
    socket = await _socket(
        request, (portforward.TUNNEL, wsforward.PROTOCOL) if ports else (portforward.TUNNEL,)
    )
    if socket.ws_protocol == portforward.TUNNEL:
        await portforward.serve_forwarding(SocketLink(socket), dial, idle)
    else:
        await wsforward.serve_socket_forwarding(socket, ports, dial, idle)
    await socket.close()
    return socket


def _wants_socket(request: web.Request) -> bool:
    return request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


async def _socket(request: web.Request, protocols: tuple[str, ...]) -> web.WebSocketResponse:
    offered = {each.strip() for each in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")}
    if not offered & set(protocols):
        raise bad_request(f"none of the WebSocket protocols is served; offer {' or '.join(protocols)}")
    socket = web.WebSocketResponse(protocols=protocols, compress=False)
    await socket.prepare(request)
    return socket


async def _upgrade(request: web.Request, protocols: tuple[str, ...]) -> UpgradedLink:
    if request.headers.get(hdrs.UPGRADE, "").lower() != SPDY.lower():
        raise bad_request("the request has to upgrade to WebSocket or SPDY/3.1")
    offered = [
        each.strip() for header in request.headers.getall(VERSION_HEADER, []) for each in header.split(",")
    ]
    chosen = next((each for each in offered if each in protocols), None)
    if chosen is None:
        raise bad_request(
            f"none of the protocols is served; offer {VERSION_HEADER}: {' or '.join(protocols)}"
        )
    return await UpgradedLink.upgrade(request, {hdrs.UPGRADE: SPDY, VERSION_HEADER: chosen})
