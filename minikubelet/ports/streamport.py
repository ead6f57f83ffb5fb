"""The streaming side of a container runtime, shaped like CRI's Exec, Attach and PortForward.

Belongs here: what a driver promises to whoever serves `kubectl exec`, `attach` and `port-forward`. May not
be here: wire protocols of clients, or of one engine. Faults are `runtimeport.RuntimeFault`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import NamedTuple, Protocol

import msgspec


class OutputStream(Enum):
    """The two streams a program writes to."""

    STDOUT = "stdout"
    STDERR = "stderr"


class Output(NamedTuple):
    """A piece of what a program wrote; never empty."""

    stream: OutputStream
    data: bytes


class TerminalSize(NamedTuple):
    """Columns and rows."""

    width: int
    height: int


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which streams are wanted; with `tty` all output is stdout."""

    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


class StreamProcess(Protocol):
    """A program in a container, or the container's own, joined to streams. One reader, one writer."""

    async def read(self) -> Output | None:
        """The next output, None at its end."""

    async def write(self, data: bytes) -> None:
        """Give stdin; waits until the program takes it. Nothing happens once the program is gone."""

    async def close_stdin(self) -> None:
        """End of stdin."""

    async def resize(self, size: TerminalSize) -> None:
        """Tell the size of the client's terminal."""

    async def exit_code(self) -> int:
        """How the program ended, once its output has; 0 of one that was only attached to."""


class Dialled(NamedTuple):
    """An open connection to a port of a pod; whoever has it closes the writer."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class StreamRuntime(Protocol):
    """What a driver offers beside the calls of `Runtime`; ids are those that `Runtime` gives.

    Every call raises RuntimeFault, and only that, when it cannot do its work. Leaving the block of
    `exec_stream` early ends the command where the driver can reach it; leaving that of `attach_stream` never
    touches the container.
    """

    def exec_stream(
        self, container_id: str, command: Sequence[str], options: StreamOptions
    ) -> AbstractAsyncContextManager[StreamProcess]:
        """Run a command in a running container."""

    def attach_stream(
        self, container_id: str, options: StreamOptions
    ) -> AbstractAsyncContextManager[StreamProcess]:
        """Join a running container's own streams from now on."""

    async def dial(self, sandbox_id: str, port: int) -> Dialled:
        """Connect to a TCP port on the pod's loopback address, or on its own where that is out of reach."""

    async def aclose(self) -> None:
        """Let go of connections to the engine."""
