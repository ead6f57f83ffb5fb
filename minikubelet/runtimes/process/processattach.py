"""Attaching to a container of the process driver: its log from now on, and its stdin.

Belongs here: following one CRI log file. May not be here: logs as clients ask for them (the node API).
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

from minikubelet.ports.streamport import Output, OutputStream, StreamOptions, TerminalSize
from minikubelet.runtimes.process.processpipes import CHUNK, write_some

_POLL: Final = 0.1
_FIELDS: Final = 4  # time, stream, tag, text


class AttachedLog:
    """Output from the log at `path`, until `end` is set; input into the descriptor `stdin`."""

    def __init__(self, path: Path, end: asyncio.Event, stdin: int | None, options: StreamOptions) -> None:
        self._end = end
        self._stdin = stdin
        self._wanted = {OutputStream.STDOUT} if options.stdout else set()
        if options.stderr and not options.tty:
            self._wanted.add(OutputStream.STDERR)
        self._waiting: deque[Output] = deque()
        self._path = path
        self._rest = b""
        self._file = path.open("rb")
        self._file.seek(0, os.SEEK_END)

    async def read(self) -> Output | None:
        """The next output; what the supervisor wrote last comes before the end."""
        while not self._waiting:
            over = self._end.is_set()
            data = await asyncio.to_thread(self._more)
            self._waiting.extend(self._outputs(data))
            if data:
                continue
            if over:
                return None
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL):
                    await self._end.wait()
        return self._waiting.popleft()

    def _more(self) -> bytes:
        """What is new; when the old file has been read and another one is at its place, from that."""
        data = self._file.read(CHUNK)
        if not data and self._replaced():
            self._file.close()
            self._file = self._path.open("rb")
            data = self._file.read(CHUNK)
        return data

    def _replaced(self) -> bool:
        try:
            there, here = self._path.stat(), os.fstat(self._file.fileno())
        except OSError:
            return False
        return there.st_ino != here.st_ino

    def _outputs(self, data: bytes) -> list[Output]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = []
        for line in lines:
            parts = line.split(b" ", 3)
            if len(parts) < _FIELDS:
                continue
            stream = OutputStream.STDERR if parts[1] == b"stderr" else OutputStream.STDOUT
            text = parts[3] + (b"" if parts[2] == b"P" else b"\n")
            if stream in self._wanted and text:
                found.append(Output(stream, text))
        return found

    async def write(self, data: bytes) -> None:
        """Give stdin; a pipe that is full is tried again."""
        view = memoryview(data)
        while view and self._stdin is not None:
            try:
                left = write_some(self._stdin, view)
            except OSError:
                return
            if left is None:
                await asyncio.sleep(_POLL)
            else:
                view = left

    async def close_stdin(self) -> None:
        """Others may attach after this client, so the container's stdin stays open."""

    async def resize(self, size: TerminalSize) -> None:
        """The supervisor has the terminal."""

    async def exit_code(self) -> int:
        """Of the container the pod's status tells."""
        return 0

    def close(self) -> None:
        """Let go of log and stdin."""
        self._file.close()
        stdin, self._stdin = self._stdin, None
        if stdin is not None:
            os.close(stdin)
