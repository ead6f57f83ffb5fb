"""Knowing at once when a supervisor ends, and telling whoever listens.

Belongs here: FIFOs held open to see their other end close, and the queue of hints. Nothing of containers.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from minikubelet.model.ids import PodUid
from minikubelet.ports.runtimeport import RuntimeEvent
from minikubelet.runtimes.process import shimspec

EVERYTHING = PodUid("")


def open_control(directory: Path) -> int | None:
    """A supervisor's FIFO for writing; None when nobody reads it: then there is no supervisor.

    This cannot be fooled by a reused pid, as asking for a process could. Raises OSError where it cannot be
    told, as when too many files are open: a container taken for lost is killed.
    """
    try:
        return os.open(directory / shimspec.CONTROL, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def supervised(directory: Path) -> bool:
    """Whether a container's supervisor lives."""
    fd = open_control(directory)
    if fd is None:
        return False
    os.close(fd)
    return True


class Watches:
    """One open FIFO per supervised container; its hang-up is the supervisor's end, seen at once."""

    def __init__(self, ended: Callable[[str], None]) -> None:
        self._ended = ended
        self._fds: dict[str, int] = {}
        self._ends: dict[str, asyncio.Event] = {}

    def watch(self, container_id: str, directory: Path) -> asyncio.Event:
        """An event that is set when the container's supervisor has ended; at once if it has."""
        if container_id in self._fds:
            return self._ends[container_id]
        end = asyncio.Event()
        fd = open_control(directory)
        if fd is None:
            end.set()
            return end
        self._fds[container_id], self._ends[container_id] = fd, end
        # A FIFO's writer becomes "readable" by error only: when the last reader has gone.
        asyncio.get_running_loop().add_reader(fd, self._hang_up, container_id)
        return end

    def send(self, container_id: str, directory: Path, command: str) -> None:
        """Send a command to a supervisor; one that is gone needs none."""
        fd = self._fds.get(container_id)
        opened = open_control(directory) if fd is None else fd
        if opened is None:
            return
        try:
            os.write(opened, command.encode())
        except (BrokenPipeError, BlockingIOError):
            return  # gone, or so stuck that its FIFO is full: the stop's last resort follows
        finally:
            if fd is None:
                os.close(opened)

    def close(self) -> None:
        """Let go of all; the containers go on."""
        for container_id in list(self._fds):
            self._forget(container_id)

    def _hang_up(self, container_id: str) -> None:
        self._forget(container_id)
        self._ended(container_id)

    def _forget(self, container_id: str) -> None:
        fd = self._fds.pop(container_id)
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        self._ends.pop(container_id).set()


class Hints:
    """Hints for any number of listeners; a pod that is hinted at already is not hinted at twice."""

    def __init__(self) -> None:
        self._listeners: list[tuple[dict[PodUid, None], asyncio.Event]] = []
        self._closed = False

    def hint(self, uid: PodUid) -> None:
        """Something of this pod changed."""
        for pending, news in self._listeners:
            pending[uid] = None
            news.set()

    async def listen(self) -> AsyncGenerator[RuntimeEvent, None]:
        """All hints from now on, the first at everything; ends when closed."""
        listener = ({EVERYTHING: None}, asyncio.Event())
        pending, news = listener
        self._listeners.append(listener)
        try:
            while not self._closed:
                if pending:
                    uid = next(iter(pending))
                    del pending[uid]
                    yield RuntimeEvent(uid)
                    continue
                news.clear()
                await news.wait()
        finally:
            self._listeners = [each for each in self._listeners if each is not listener]

    def close(self) -> None:
        """End all listeners."""
        self._closed = True
        for _, news in self._listeners:
            news.set()
