"""A command in a container behind three pipes.

Belongs here: the two outputs as one sequence, and the command's end. May not be here: how it gets into
the container (`shimjoin`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from minikubelet.ports.streamport import Output, OutputStream, StreamOptions, TerminalSize
from minikubelet.runtimes.process import proctable

CHUNK: Final = 32 * 1024
AFTER: Final = 1.0
"""Seconds that output may still come once a command has ended, from what it left in the background."""


class PipedCommand:
    """One command; `start` makes it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process
        self._ended = asyncio.create_task(process.wait())
        self._reading: dict[asyncio.Task[bytes], tuple[OutputStream, asyncio.StreamReader]] = {}
        for stream, reader in ((OutputStream.STDOUT, process.stdout), (OutputStream.STDERR, process.stderr)):
            if reader is not None:
                self._begin(stream, reader)

    @classmethod
    async def start(cls, line: Sequence[str], told: int, options: StreamOptions) -> PipedCommand:
        """Start the program of that command line, which reads from `told` what it is to do."""
        none, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
        return cls(
            await asyncio.create_subprocess_exec(
                *line,
                stdin=pipe if options.stdin else none,
                stdout=pipe if options.stdout else none,
                stderr=pipe if options.stderr else none,
                pass_fds=(told,),
                env={},
                cwd="/",
                start_new_session=True,
            )
        )

    async def read(self) -> Output | None:
        """The next output of either stream."""
        while self._reading:
            after = AFTER if self._ended.done() else None
            waited: set[asyncio.Task[Any]] = set(self._reading)
            if after is None:
                waited.add(self._ended)
            done, _ = await asyncio.wait(waited, timeout=after, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                proctable.kill_group(self.pid, 9)
                return None
            for task in done:
                if task is self._ended or task not in self._reading:
                    continue
                stream, reader = self._reading.pop(task)
                if data := await task:
                    self._begin(stream, reader)
                    return Output(stream, data)
        return None

    def _begin(self, stream: OutputStream, reader: asyncio.StreamReader) -> None:
        self._reading[asyncio.create_task(reader.read(CHUNK))] = (stream, reader)

    async def write(self, data: bytes) -> None:
        """Give stdin; a command that has ended takes none."""
        if self._process.stdin is not None:
            with suppress(ConnectionError, RuntimeError):
                self._process.stdin.write(data)
                await self._process.stdin.drain()

    async def close_stdin(self) -> None:
        """Close the pipe."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def resize(self, size: TerminalSize) -> None:
        """There is no terminal."""

    async def exit_code(self) -> int:
        """128 and the signal's number of one that was killed."""
        return shell_code(await self._ended)

    async def aclose(self) -> None:
        """Kill what is left of its process group and let go of the pipes."""
        proctable.kill_group(self.pid, 9)
        reading, self._reading = list(self._reading), {}
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await self._ended
        # What has left the process group may hold the pipes open still, and nobody reads them any more.
        self._process._transport.close()  # type: ignore[attr-defined] # noqa: SLF001 - there is no other way


def shell_code(code: int) -> int:
    """An exit code as shells give it."""
    return code if code >= 0 else 128 - code


def write_some(descriptor: int, view: memoryview) -> memoryview | None:
    """What is left after writing what goes in now; None: nothing goes in. Raises OSError."""
    try:
        return view[os.write(descriptor, view) :]
    except BlockingIOError:
        return None
