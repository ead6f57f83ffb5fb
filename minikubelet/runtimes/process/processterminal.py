"""A command in a container behind a terminal.

Belongs here: the master's side of a pseudo-terminal. May not be here: how the command gets into the
container (`shimjoin`, which makes the other side its own).
"""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Sequence
from typing import Any

from minikubelet.ports.streamport import Output, OutputStream, StreamOptions, TerminalSize
from minikubelet.runtimes.process import proctable
from minikubelet.runtimes.process.processpipes import AFTER, CHUNK, shell_code, write_some

_END_OF_INPUT = b"\x04"


class TerminalCommand:
    """One command; `start` makes it. All its output is stdout."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.pid = process.pid
        self._master = master
        self._ended = asyncio.create_task(process.wait())
        os.set_blocking(master, False)

    @classmethod
    async def start(cls, line: Sequence[str], told: int, options: StreamOptions) -> TerminalCommand:
        """Start the program of that command line, which reads from `told` what it is to do."""
        master, slave = os.openpty()
        try:
            process = await asyncio.create_subprocess_exec(
                *line,
                stdin=slave if options.stdin else asyncio.subprocess.DEVNULL,
                stdout=slave,
                stderr=slave,
                pass_fds=(told,),
                env={},
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        return cls(process, master)

    async def read(self) -> Output | None:
        """What the terminal shows next; it ends when nobody has it open any more."""
        while True:
            try:
                data = os.read(self._master, CHUNK)
            except BlockingIOError:
                if not await self._readable():
                    return None
            except OSError:
                return None
            else:
                return Output(OutputStream.STDOUT, data) if data else None

    async def _readable(self) -> bool:
        """Wait for output; False when the command has ended and what it left behind says nothing."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[Any] = loop.create_future()
        waits: set[asyncio.Future[Any]] = {ready, self._ended}
        loop.add_reader(self._master, _settle, ready)
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                await asyncio.wait({ready}, timeout=AFTER)
            return ready.done()
        finally:
            loop.remove_reader(self._master)

    async def write(self, data: bytes) -> None:
        """Type; a terminal that nobody reads holds some kilobytes, more waits."""
        view = memoryview(data)
        while view:
            try:
                left = write_some(self._master, view)
            except OSError:
                return
            if left is not None:
                view = left
            elif not await self._writable():
                return

    async def _writable(self) -> bool:
        """Wait until more can be typed; False when the command has ended."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[Any] = loop.create_future()
        waits: set[asyncio.Future[Any]] = {ready, self._ended}
        loop.add_writer(self._master, _settle, ready)
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return not self._ended.done()
        finally:
            loop.remove_writer(self._master)

    async def close_stdin(self) -> None:
        """The key that ends input: the terminal itself stays open for what is still to be shown."""
        await self.write(_END_OF_INPUT)

    async def resize(self, size: TerminalSize) -> None:
        """Set the terminal's size, of which the kernel tells the command."""
        termios.tcsetwinsize(self._master, (min(size.height, 0xFFFF), min(size.width, 0xFFFF)))

    async def exit_code(self) -> int:
        """128 and the signal's number of one that was killed."""
        return shell_code(await self._ended)

    async def aclose(self) -> None:
        """Kill what is left of its process group and close the terminal, which hangs up on the rest."""
        proctable.kill_group(self.pid, 9)
        await self._ended
        os.close(self._master)


def _settle(ready: asyncio.Future[Any]) -> None:
    if not ready.done():
        ready.set_result(None)
