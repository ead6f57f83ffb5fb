"""One command in a container joined to one client: what comes from either goes to the other.

Belongs here: the pumps, and how an end is told as a `Status`. May not be here: how a client's streams are
carried (`wscommand`, `spdycommand`), or an engine's (`ports.streamport`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

import msgspec

from minikubelet.nodeapi.idling import Idle
from minikubelet.ports.apiport import JsonObject
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.ports.streamport import OutputStream, StreamOptions, StreamProcess, TerminalSize

PARTING_SECONDS = 5.0
BEAT_SECONDS = 15.0
"""Between signs of life to a client. One that went while it was held back is found out by them only."""


class CommandChannels(Protocol):
    """A client's side. Writing raises ConnectionError when it is gone."""

    async def read_stdin(self) -> bytes:
        """The next input, empty at its end."""

    async def read_size(self) -> TerminalSize | None:
        """The next size of the client's terminal, None when there will be none."""

    async def write(self, stream: OutputStream, data: bytes) -> None:
        """Give output."""

    async def finish(self, status: JsonObject) -> None:
        """End the outputs, then tell how it went."""


Call = AbstractAsyncContextManager[StreamProcess]


async def serve_command(
    channels: CommandChannels, options: StreamOptions, call: Call, idle: Idle | None = None
) -> None:
    """Join client and command until the command ends; cancelled when the client goes."""
    try:
        async with call as process:
            status = exit_status(await _join(channels, options, process, idle or Idle(0)))
    except RuntimeFault as fault:
        status = fault_status(fault)
    await channels.finish(status)


async def _join(channels: CommandChannels, options: StreamOptions, process: StreamProcess, idle: Idle) -> int:
    pumps = []
    if options.stdin:
        pumps.append(asyncio.create_task(_give_input(channels, process, idle)))
    if options.tty:
        pumps.append(asyncio.create_task(_give_sizes(channels, process)))
    try:
        while (output := await process.read()) is not None:
            idle.used()
            await channels.write(output.stream, output.data)
        return await process.exit_code()
    finally:
        for pump in pumps:
            pump.cancel()
        # A pump that failed did so because its client or its command is gone, which the above finds out.
        await asyncio.gather(*pumps, return_exceptions=True)


async def _give_input(channels: CommandChannels, process: StreamProcess, idle: Idle) -> None:
    while data := await channels.read_stdin():
        idle.used()
        await process.write(data)
    await process.close_stdin()


async def _give_sizes(channels: CommandChannels, process: StreamProcess) -> None:
    while (size := await channels.read_size()) is not None:
        await process.resize(size)


def exit_status(code: int) -> JsonObject:
    """How a command ended, as clients of exec expect it (pkg/kubelet/cri/streaming/remotecommand)."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def fault_status(fault: RuntimeFault) -> JsonObject:
    """Why a command could not be run."""
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "code": 500,
        "message": f"Internal error occurred: {fault.message}",
        "details": {"causes": [{"message": fault.message}]},
    }


_LONGEST_SIZE = 1024


class SizeReader:
    """Sizes in a sequence of JSON objects `{"Width":80,"Height":24}`, cut anywhere."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> TerminalSize | None:
        """The newest whole size in what has come; garbage is dropped."""
        *whole, self._held = (self._held + data).replace(b"}", b"}\n").split(b"\n")
        if len(self._held) > _LONGEST_SIZE:
            self._held = b""
        newest = None
        for text in whole:
            newest = read_size(text) or newest
        return newest


def read_size(text: bytes) -> TerminalSize | None:
    """One size; None for anything else."""
    try:
        size = msgspec.json.decode(text, type=_Size)
    except msgspec.DecodeError:
        return None
    return TerminalSize(size.width, size.height) if size.width > 0 and size.height > 0 else None


class _Size(msgspec.Struct, frozen=True):
    width: int = msgspec.field(name="Width")
    height: int = msgspec.field(name="Height")


@asynccontextmanager
async def beating(beat: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Send a sign of life now and then while the block runs; what comes of it the connection tells."""

    async def beats() -> None:
        with suppress(ConnectionError):
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                await beat()

    task = asyncio.create_task(beats())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def while_connected(
    connection: asyncio.Task[None], work: asyncio.Task[None], idle: Idle | None = None
) -> None:
    """Let work go on until it ends, the client goes or nothing moves; both have ended then.

    A client whose work is done gets a moment to close first: closed by us with its bytes still unread,
    the kernel would throw away what it has not read of ours.
    """
    still = asyncio.create_task(idle.too_long()) if idle is not None else None
    first = {connection, work, *([still] if still is not None else [])}
    try:
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await asyncio.wait({connection}, timeout=PARTING_SECONDS)
    finally:
        for task in first:
            task.cancel()
        ends = await asyncio.gather(*first, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception) and not isinstance(end, ConnectionError):
            raise end
