"""Rotation of container logs by size and number of files (containerLogMaxSize, containerLogMaxFiles).

Follows upstream's kubelet/logs/container_log_manager.go: `0.log` becomes `0.log.<YYYYMMDD-hhmmss>`, and all
but the latest of these are compressed. May not be here: writing logs, which is the drivers' work.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import anyio.to_thread
import structlog

from minikubelet.model.ids import slot_key
from minikubelet.model.observed import ContainerPhase
from minikubelet.ports.runtimeport import Runtime, RuntimeFault
from minikubelet.shell.podpaths import PodPaths

_GZ: Final = ".gz"
_TMP: Final = ".tmp"

_log = structlog.get_logger()


class LogRotation:
    """Looks at the logs of running containers every so many seconds; `now` is in seconds since the epoch.

    At most `files` are kept for a container, the one being written among them; `size` in bytes, none below 1.
    """

    def __init__(
        self,
        runtime: Runtime,
        paths: PodPaths,
        *,
        size: int,
        files: int,
        every: float,
        now: Callable[[], float],
    ) -> None:
        self._runtime = runtime
        self._paths = paths
        self._size = size
        self._files = max(2, files)
        self._every = every
        self._now = now
        self._said: set[str] = set()

    async def run(self) -> None:
        """Rotate until cancelled; returns at once where rotation is switched off."""
        while self._size > 0:
            try:
                await self.once()
            except RuntimeFault as fault:
                _log.debug("logs are not rotated now", error=fault.message)
            await asyncio.sleep(self._every)

    async def once(self) -> None:
        """Rotate what has grown too large; raises RuntimeFault where containers cannot be listed."""
        for pod in await self._runtime.list_pods():
            for container in pod.containers:
                if container.phase is not ContainerPhase.RUNNING:
                    continue
                slot = slot_key(pod.namespace, pod.name)
                log = self._paths.log(slot, pod.uid, container.name, container.attempt)
                if _size_of(log) >= self._size:
                    await self._rotate(log, container.id)

    async def _rotate(self, log: Path, container_id: str) -> None:
        stamp = datetime.fromtimestamp(self._now(), tz=UTC).strftime("%Y%m%d-%H%M%S")
        rotated = log.with_name(f"{log.name}.{stamp}")
        try:
            if not await anyio.to_thread.run_sync(_turn, log, rotated, self._files):
                return  # twice in a second: the next look is early enough
            try:
                await self._runtime.reopen_container_log(container_id)
            except RuntimeFault:
                await anyio.to_thread.run_sync(_move_back, rotated, log)
                raise
        except (OSError, RuntimeFault) as error:
            if str(log) not in self._said:
                self._said.add(str(log))
                _log.warning("a container's log cannot be rotated", path=str(log), error=str(error))


def _size_of(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _turn(log: Path, rotated: Path, files: int) -> bool:
    """Rename a log after making room for it, unless there is one of that moment."""
    if any(file.name.startswith(rotated.name) for file in rotated_logs(log)):
        return False
    _make_room(log, files)
    log.rename(rotated)
    return True


def _move_back(rotated: Path, log: Path) -> None:
    if not log.exists():
        rotated.rename(log)


def rotated_logs(log: Path) -> list[Path]:
    """The rotated files of a log, oldest first; leftovers of a crash are not among them."""
    found = sorted(log.parent.glob(f"{log.name}.*"))
    packed = {file.name for file in found if file.name.endswith(_GZ)}
    return [f for f in found if not f.name.endswith(_TMP) and f"{f.name}{_GZ}" not in packed]


def _make_room(log: Path, files: int) -> None:
    """Remove leftovers and the oldest, so that with two more files the number is right; compress the rest."""
    kept = rotated_logs(log)
    for file in log.parent.glob(f"{log.name}.*"):
        if file not in kept:
            file.unlink()
    while len(kept) > files - 2:
        kept.pop(0).unlink()
    for file in kept:
        if not file.name.endswith(_GZ):
            _compress(file)


def _compress(file: Path) -> None:
    half = file.with_name(f"{file.name}{_TMP}")
    mode = file.stat().st_mode & 0o777
    opener = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with (
        file.open("rb") as plain,
        os.fdopen(opener, "wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb") as packed,
    ):
        shutil.copyfileobj(plain, packed, 1 << 20)
    half.rename(file.with_name(f"{file.name}{_GZ}"))
    file.unlink()
