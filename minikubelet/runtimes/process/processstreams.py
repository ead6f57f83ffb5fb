"""Streams into containers of the process driver: commands joined to pipes or a terminal, attach, ports.

Belongs here: starting and joining, in the port's terms. May not be here: protocols of clients, or the
container's own life. What cannot be had: stdin of a container with a terminal, whose supervisor has it.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.ports.streamport import Dialled, StreamOptions, StreamProcess
from minikubelet.runtimes.process import processlaunch, processrecords, proctable, shimspec
from minikubelet.runtimes.process.processattach import AttachedLog
from minikubelet.runtimes.process.processpipes import PipedCommand
from minikubelet.runtimes.process.processstore import ProcessStore
from minikubelet.runtimes.process.processterminal import TerminalCommand
from minikubelet.runtimes.process.processwatch import Watches

_DIAL_SECONDS: Final = 10.0


class ProcessStreams:
    """Streams of the containers below the state directory of that node, as of `ProcessRuntime`."""

    def __init__(self, state_dir: Path, *, node: str) -> None:
        base = state_dir.absolute() / "process" / processrecords.safe_name(node)
        self._store = ProcessStore(base, "")
        self._watches = Watches(_nobody)

    async def aclose(self) -> None:
        """Stop watching for the ends of containers."""
        self._watches.close()

    @asynccontextmanager
    async def exec_stream(
        self, container_id: str, command: Sequence[str], options: StreamOptions
    ) -> AsyncIterator[StreamProcess]:
        """Run a command; left early, or with its container gone, its process group is killed."""
        pid, path = await asyncio.to_thread(self._running, container_id)
        end = self._watches.watch(container_id, path)
        flags = ["tty"] if options.tty else []
        told = _in_memory(shimspec.encode_spec({"argv": list(command), "flags": flags}))
        line = processlaunch.command_line("shimjoin", f"{pid} {told}")
        kind = TerminalCommand if options.tty else PipedCommand
        try:
            joined = await kind.start(line, told, options)
        except OSError as error:
            raise RuntimeFault("ExecFailed", str(error)) from error
        finally:
            os.close(told)
        guard = asyncio.create_task(_kill_at(end, joined.pid))
        try:
            yield joined
        finally:
            guard.cancel()
            await joined.aclose()

    @asynccontextmanager
    async def attach_stream(self, container_id: str, options: StreamOptions) -> AsyncIterator[StreamProcess]:
        """Read what the container logs from now on, and write to its stdin where that is a pipe."""
        pid, path = await asyncio.to_thread(self._running, container_id)
        record = await asyncio.to_thread(self._store.container, container_id)
        if record is None:
            raise RuntimeFault("NotFound", f"there is no container {container_id}")
        stdin = await asyncio.to_thread(_stdin_of, pid) if options.stdin else None
        attached = AttachedLog(Path(record.log_path), self._watches.watch(container_id, path), stdin, options)
        try:
            yield attached
        finally:
            attached.close()

    async def dial(self, sandbox_id: str, port: int) -> Dialled:
        """Connect to this machine: processes have its network."""
        if await asyncio.to_thread(self._store.sandbox, sandbox_id) is None:
            raise RuntimeFault("NotFound", f"there is no sandbox {sandbox_id}")
        try:
            async with asyncio.timeout(_DIAL_SECONDS):
                return Dialled(*await asyncio.open_connection("localhost", port))
        except (OSError, TimeoutError) as error:
            why = str(error) or "it takes no connection"
            raise RuntimeFault("PortForward", f"port {port} cannot be reached: {why}") from None

    def _running(self, container_id: str) -> tuple[int, Path]:
        path = self._store.directory(container_id)
        state = self._store.state(path) if path is not None and path.exists() else None
        if path is None or state is None or state.exit_code is not None:
            raise RuntimeFault("ContainerNotRunning", f"{container_id} does not run")
        if proctable.start_time(state.pid) != state.start:
            raise RuntimeFault("ContainerNotRunning", f"{container_id} does not run any more")
        return state.pid, path


def _nobody(_: str) -> None:
    """The driver itself tells of ends."""


def _in_memory(data: bytes) -> int:
    """A descriptor to read the data from; a pipe might hold less than a long command."""
    descriptor = os.memfd_create("command")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _stdin_of(pid: int) -> int:
    """The writing end of a process's stdin: opening a pipe again through /proc gives either end."""
    try:
        descriptor = os.open(f"/proc/{pid}/fd/0", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise RuntimeFault("AttachFailed", f"its stdin cannot be reached: {error.strerror}") from error
    if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise RuntimeFault(
        "AttachFailed",
        "the process runtime reaches the stdin of a container only with "
        "`stdin: true` and without `tty: true`; use exec, or attach without stdin",
    )


async def _kill_at(end: asyncio.Event, pid: int) -> None:
    """A command does not outlive its container."""
    await end.wait()
    proctable.kill_group(pid, 9)
