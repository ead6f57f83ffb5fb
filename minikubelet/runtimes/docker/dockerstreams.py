"""Streams into containers of a Docker engine: exec and attach over an upgraded connection, ports of pods.

Belongs here: the engine's raw streams in the port's terms. May not be here: protocols of clients, or whose
container it is; ids come from the driver, which lists its own only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from aiodocker.exceptions import DockerError

from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.ports.streamport import (
    Dialled,
    Output,
    OutputStream,
    StreamOptions,
    StreamProcess,
    TerminalSize,
)
from minikubelet.runtimes.docker import dockerengine, dockerexec
from minikubelet.runtimes.docker.dockerengine import Engine, is_conflict, is_gone, refused
from minikubelet.runtimes.docker.dockerframes import FrameParser
from minikubelet.runtimes.docker.dockernetwork import connect_inside

_CHUNK: Final = 32 * 1024
_MOST_HEAD: Final = 64 * 1024
_CONNECT_SECONDS: Final = 10.0


class DockerStreams:
    """Streams of the engine at `host` (`unix:///path` or `tcp://host:port`); connects when first asked."""

    def __init__(self, host: str) -> None:
        self._engine = Engine(host)
        self._opened = False

    async def aclose(self) -> None:
        """Let go of connections; streams that are open end with their own."""
        self._opened = False
        await self._engine.close()

    @asynccontextmanager
    async def exec_stream(
        self, container_id: str, command: Sequence[str], options: StreamOptions
    ) -> AsyncIterator[StreamProcess]:
        """Run a command; left early, it is killed where the engine is on this host."""
        body = {
            "AttachStdin": options.stdin,
            "AttachStdout": options.stdout,
            "AttachStderr": options.stderr and not options.tty,
            "Tty": options.tty,
            "Cmd": list(command),
        }
        exec_id = str((await self._ask("POST", f"containers/{container_id}/exec", body=body))["Id"])
        started = {"Detach": False, "Tty": options.tty}
        process = DockerProcess(
            *await self._join(f"exec/{exec_id}/start", started),
            tty=options.tty,
            resize=lambda size: self._resize(f"exec/{exec_id}/resize", size),
            exit_code=lambda: self._exit_code(exec_id),
        )
        try:
            yield process
        finally:
            process.close()
            if not process.ended:
                await dockerexec.kill_exec(self._engine, container_id, exec_id)

    @asynccontextmanager
    async def attach_stream(self, container_id: str, options: StreamOptions) -> AsyncIterator[StreamProcess]:
        """Join a container's streams; it goes on when the block is left."""
        found = await self._running(container_id)
        tty = bool(found["Config"]["Tty"])
        wanted = {
            "stream": 1,
            "stdin": int(options.stdin and bool(found["Config"]["OpenStdin"])),
            "stdout": int(options.stdout),
            "stderr": int(options.stderr and not tty),
        }
        process = DockerProcess(
            *await self._join(f"containers/{container_id}/attach?{urlencode(wanted)}", None),
            tty=tty,
            resize=lambda size: self._resize(f"containers/{container_id}/resize", size),
            exit_code=_zero,
        )
        try:
            yield process
        finally:
            process.close()

    async def dial(self, sandbox_id: str, port: int) -> Dialled:
        """Connect from inside the pod's network, or to its address where this process may not go there."""
        found = await self._running(sandbox_id)
        shared = found["HostConfig"]["NetworkMode"] == "host"
        networks = (found["NetworkSettings"].get("Networks") or {}).values()
        addresses = [str(each["IPAddress"]) for each in networks if each.get("IPAddress")]
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                pid = None if shared or self._engine.socket is None else int(found["State"]["Pid"])
                outside = ["127.0.0.1", "::1"] if shared else addresses
                return Dialled(*await connect_inside(sandbox_id, pid, outside, port))
        except (OSError, TimeoutError) as error:
            why = str(error) or "it takes no connection"
            raise RuntimeFault("PortForward", f"port {port} of the pod cannot be reached: {why}") from None

    async def _running(self, container_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self._ask("GET", f"containers/{container_id}/json")
        if not found["State"]["Running"]:
            raise RuntimeFault("ContainerNotRunning", f"container {container_id[:12]} does not run")
        return found

    async def _resize(self, path: str, size: TerminalSize) -> None:
        # The program may have ended, or not have begun yet; either way there is nothing to tell anyone.
        with suppress(RuntimeFault):
            await self._ask("POST", f"{path}?{urlencode({'h': size.height, 'w': size.width})}")

    async def _exit_code(self, exec_id: str) -> int:
        await self._ready()
        try:
            return await dockerexec.exit_code_of(self._engine, exec_id)
        except DockerError as error:
            raise refused("ExecFailed", error) from None

    async def _ask(self, method: str, path: str, *, body: Any = None) -> Any:
        await self._ready()
        try:
            return await self._engine.ask(method, path, body=body)
        except DockerError as error:
            lost = is_gone(error) or is_conflict(error)
            raise refused("ContainerNotRunning" if lost else "ExecFailed", error) from None

    async def _ready(self) -> None:
        if not self._opened:
            try:
                await self._engine.open()
            except DockerError as error:
                raise refused("EngineUnreachable", error) from None
            self._opened = True

    async def _join(self, path: str, body: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """One request whose connection becomes the stream, as aiohttp's client cannot do."""
        payload = b"" if body is None else msgspec.json.encode(body)
        head = (
            f"POST /{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await _connect(self._engine.host)
        except (OSError, TimeoutError) as error:
            raise self._unreachable(str(error)) from None
        try:
            await _upgrade(reader, writer, head.encode() + payload)
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
            writer.close()
            raise self._unreachable(str(error)) from None
        except BaseException:
            writer.close()
            raise
        return reader, writer

    def _unreachable(self, why: str) -> RuntimeFault:
        message = f"the Docker engine at {self._engine.host} does not answer: {why or 'no answer in time'}"
        return RuntimeFault("EngineUnreachable", message, unreachable=True)


class DockerProcess:
    """A command or a container behind one upgraded connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        tty: bool,
        resize: Callable[[TerminalSize], Awaitable[None]],
        exit_code: Callable[[], Awaitable[int]],
    ) -> None:
        self.ended = False
        self._reader = reader
        self._writer = writer
        self._frames = None if tty else FrameParser()
        self._resize = resize
        self._exit_code = exit_code
        self._waiting: deque[Output] = deque()

    async def read(self) -> Output | None:
        """The next output; a connection that breaks is its end."""
        while not self._waiting:
            try:
                data = await self._reader.read(_CHUNK)
            except OSError:
                return None
            if not data:
                return None
            if self._frames is None:
                return Output(OutputStream.STDOUT, data)
            self._waiting.extend(
                Output(OutputStream(name), payload) for name, payload in self._frames.feed(data) if payload
            )
        return self._waiting.popleft()

    async def write(self, data: bytes) -> None:
        """Give stdin."""
        with suppress(OSError):
            self._writer.write(data)
            await self._writer.drain()

    async def close_stdin(self) -> None:
        """Close the connection in one direction; one under TLS cannot be, there a program waits on."""
        with suppress(OSError):
            if self._writer.can_write_eof():
                self._writer.write_eof()

    async def resize(self, size: TerminalSize) -> None:
        """Tell the engine."""
        await self._resize(size)

    async def exit_code(self) -> int:
        """Ask the engine."""
        code = await self._exit_code()
        self.ended = True
        return code

    def close(self) -> None:
        """Let go of the connection."""
        self._writer.close()


async def _zero() -> int:
    return 0


async def _connect(host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if host.startswith("unix://"):
        return await asyncio.open_unix_connection(host.removeprefix("unix://"))
    parts = urlsplit(host)
    return await asyncio.open_connection(parts.hostname, parts.port, ssl=dockerengine.tls_context())


async def _upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    if int(answer.split(None, 2)[1]) not in (HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.OK):
        raise RuntimeFault("ExecFailed", _message(await reader.read(_MOST_HEAD)))


def _message(body: bytes) -> str:
    """The engine's own words in an error's body, which may come in chunks."""
    begin, end = body.find(b"{"), body.rfind(b"}")
    try:
        return dockerengine.one_line(str(msgspec.json.decode(body[begin : end + 1])["message"]))
    except (msgspec.DecodeError, KeyError, TypeError):
        return dockerengine.one_line(body.decode(errors="replace")) or "the engine refused without a word"
