"""Copies the engine's logs into files in CRI format: one copy per container, one task for all of them.

A copy goes on while its container runs and is finished once it has exited; none ends with the agent, since
the log file says where the next agent goes on. Logs that cannot be read as files (another user's engine,
a remote one, another log driver) come through the API, with a task each.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Final

import structlog
from aiodocker.exceptions import DockerError

from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.runtimes.docker.dockerapilog import copy_through_api
from minikubelet.runtimes.docker.dockercrilog import CriLog, Cursor, LogEntry
from minikubelet.runtimes.docker.dockerengine import Engine
from minikubelet.runtimes.docker.dockerjsonlog import JsonLog

_SWEEP_SECONDS: Final = 0.25
_CHUNKS_A_SWEEP: Final = 16  # of 256 KiB: one that floods may not keep the others waiting
_ALL: Final = -1
_LAST_SECONDS: Final = 15.0  # for the API to give the rest of a log whose container has exited

_log = structlog.get_logger(__name__)


class _Copy:
    """One container's log on its way; the lock is for the sweeping thread and whoever finishes it."""

    def __init__(self, container_id: str, log_path: Path, engine_log: Path | None, *, tty: bool) -> None:
        self.container_id = container_id
        self.engine_log = engine_log
        self.tty = tty
        self.task: asyncio.Task[None] | None = None
        self.hopeless = False
        self._target = CriLog(log_path)
        self._source: JsonLog | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._complained = False

    @property
    def ended(self) -> bool:
        """The engine went away while it gave the log, and it is worth asking again."""
        return self.task is not None and self.task.done() and not self.hopeless

    def open(self) -> Cursor | None:
        """Where the log ends; raises OSError if it cannot be written."""
        with self._lock:
            return self._target.open()

    def move(self, chunks: int) -> None:
        """Copies what is new, so many chunks at most. A failure is tried again from where the file ends."""
        with self._lock:
            if self._closed or self.engine_log is None:
                return
            try:
                self._move(self.engine_log, chunks)
            except OSError as error:
                self.complain(str(error))
                self._let_go()

    def _move(self, engine_log: Path, chunks: int) -> None:
        if self._source is None:
            self._source = JsonLog(engine_log, self._target.open())
        while chunks and (entries := self._source.read()) is not None:
            self._target.append(entries)
            chunks -= 1

    def write(self, entries: list[LogEntry]) -> None:
        """Appends what came through the API."""
        with self._lock:
            if not self._closed:
                self._target.append(entries)

    def reopen(self) -> None:
        """Goes on in a new file."""
        with self._lock:
            if not self._closed:
                self._target.reopen()

    def close(self) -> None:
        """Ends the copy where it is."""
        with self._lock:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        self._target.close()
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def complain(self, why: str) -> None:
        """Says once per copy what is wrong with it."""
        if not self._complained:
            self._complained = True
            _log.warning(
                "a container's log cannot be copied; the engine has it still (docker logs)",
                container=self.container_id[:12],
                path=str(self._target.path),
                error=why,
            )


class LogKeeper:
    """All copies of one driver. Trouble with a log is said once and never becomes a container's trouble."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._copies: dict[str, _Copy] = {}
        self._done: set[str] = set()
        self._work = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to sweep."""
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._sweep(), name="docker-logs")

    async def aclose(self) -> None:
        """End all copies where they are."""
        copies, self._copies = list(self._copies.values()), {}
        tasks = [copy.task for copy in copies if copy.task is not None]
        if self._sweeper is not None:
            tasks.append(self._sweeper)
            self._sweeper = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for copy in copies:
            await asyncio.to_thread(copy.close)  # waits for a thread in the middle of it

    def revive(self, container_id: str) -> None:
        """Someone has started the container again by hand: there is more to its log."""
        self._done.discard(container_id)

    def follow(self, container_id: str, log_path: Path, engine_log: str, *, tty: bool) -> None:
        """Copy from now on; asking again does no harm, and begins anew what had ended with its engine."""
        copy = self._copies.get(container_id)
        if container_id in self._done or (copy is not None and not copy.ended):
            return
        readable = bool(engine_log) and os.access(engine_log, os.R_OK)
        if copy is None:
            copy = _Copy(container_id, log_path, Path(engine_log) if readable else None, tty=tty)
            self._copies[container_id] = copy
        if readable:
            self._work.set()
        else:
            name = f"docker-log-{container_id[:12]}"
            copy.task = asyncio.create_task(self._through_api(copy), name=name)

    async def finish(self, container_id: str) -> None:
        """Write the rest of a container that has exited; once it returns, its log is complete.

        RuntimeFault if the engine goes away meanwhile: then it is not, and the next look tries again.
        """
        copy = self._copies.get(container_id)
        if copy is None:
            return
        if copy.task is not None:
            await asyncio.wait({copy.task}, timeout=_LAST_SECONDS)
            copy.task.cancel()
            await asyncio.wait({copy.task})
            await self._read(copy, follow=False)
        await asyncio.to_thread(copy.move, _ALL)
        self._done.add(container_id)
        if self._copies.get(container_id) is copy:
            del self._copies[container_id]
            await asyncio.to_thread(copy.close)

    async def reopen(self, container_id: str) -> None:
        """Go on in a new file; a container whose log is not being copied has nothing to reopen."""
        copy = self._copies.get(container_id)
        if copy is not None:
            try:
                await asyncio.to_thread(copy.reopen)
            except OSError as error:
                raise RuntimeFault("ReopenContainerLog", str(error)) from None

    async def forget(self, container_id: str) -> None:
        """The container is gone for good."""
        self._done.discard(container_id)
        copy = self._copies.pop(container_id, None)
        if copy is not None:
            if copy.task is not None:
                copy.task.cancel()
            await asyncio.to_thread(copy.close)

    async def _through_api(self, copy: _Copy) -> None:
        try:
            await self._read(copy, follow=False)  # what there is by now, to its certain end
            await self._read(copy, follow=True)
        except RuntimeFault:
            return  # the engine went away, which others say; the next look at the container begins again

    async def _read(self, copy: _Copy, *, follow: bool) -> None:
        """Lines are written in the loop: once cancelled, nothing more is, and another read can begin."""
        if copy.hopeless:
            return
        try:
            cursor = await asyncio.to_thread(copy.open)
            await copy_through_api(
                self._engine, copy.container_id, cursor, copy.write, tty=copy.tty, follow=follow
            )
        except (DockerError, OSError) as error:
            copy.hopeless = isinstance(error, DockerError)  # such as a log driver that cannot be read
            copy.complain(str(error))

    async def _sweep(self) -> None:
        while True:
            self._work.clear()
            copies = [copy for copy in self._copies.values() if copy.engine_log is not None]
            if copies:
                await asyncio.to_thread(_sweep_once, copies)
                await asyncio.sleep(_SWEEP_SECONDS)
            else:
                await self._work.wait()


def _sweep_once(copies: list[_Copy]) -> None:
    for copy in copies:
        copy.move(_CHUNKS_A_SWEEP)
