"""Collecting images that no container uses, when their disk is filling up or they are old.

After upstream's images/image_gc_manager.go (imageGCHighThresholdPercent, imageGCLowThresholdPercent,
imageMinimumGCAge, imageMaximumGCAge): the longest unused goes first. May not be here: how an engine removes
an image; it refuses those in use, by whomever.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec
import structlog

from minikubelet.ports.runtimeport import ImageInfo, Runtime, RuntimeFault

EVERY: Final = 300.0
"""seconds between looks, as upstream"""

_ALL: Final = 100

_log = structlog.get_logger()


class Disk(msgspec.Struct, frozen=True):
    """Of the file system with the images: bytes in all, and bytes that are free."""

    size: int
    free: int


class ImageGcLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Percentages of the disk in use, and seconds; `high` 100 and `max_age` 0 switch collecting off."""

    high: int = 85
    low: int = 80
    min_age: float = 120.0
    max_age: float = 0.0


class _Known(msgspec.Struct):
    """An image: when it was seen first, and in use last (seconds; 0 is never)."""

    image: ImageInfo
    detected: float
    used: float = 0.0


class ImageGc:
    """Looks at images and their disk; `disk` answers None where that is unknown, `now` is in seconds.

    `may_go` keeps images from being collected at all, as those of others on a shared engine.
    """

    def __init__(
        self,
        runtime: Runtime,
        limits: ImageGcLimits,
        *,
        disk: Callable[[], Disk | None],
        now: Callable[[], float],
        may_go: Callable[[ImageInfo], bool] = lambda _: True,
    ) -> None:
        self._runtime = runtime
        self._limits = limits
        self._disk = disk
        self._now = now
        self._may_go = may_go
        self._known: dict[str, _Known] = {}

    async def run(self) -> None:
        """Collect until cancelled; returns at once where collecting is switched off."""
        while self._limits.high < _ALL or self._limits.max_age > 0:
            try:
                await self.once()
            except RuntimeFault as fault:
                _log.debug("images are not collected now", error=fault.message)
            await asyncio.sleep(EVERY)

    async def reclaim(self) -> None:
        """Remove every image not in use, since the disk is short; nothing where collecting is off."""
        if self._limits.high >= _ALL:
            return
        now = self._now()
        try:
            await self._look(now)
            await self._free(sys.maxsize, now)
        except RuntimeFault as fault:
            _log.debug("images are not collected now", error=fault.message)

    async def once(self) -> None:
        """Look, and collect what has to go; raises RuntimeFault where the engine does not tell."""
        now = self._now()
        await self._look(now)
        if self._limits.max_age > 0:
            for known in self._unused(now):
                if now - max(known.used, known.detected) > self._limits.max_age:
                    await self._remove(known)
        disk = await anyio.to_thread.run_sync(self._disk)
        if disk is None or disk.size <= 0 or self._limits.high >= _ALL:
            return
        used = disk.size - disk.free
        if used * 100 < self._limits.high * disk.size:
            return
        wanted = used - self._limits.low * disk.size // 100
        freed = await self._free(wanted, now)
        if freed < wanted:
            _log.warning(
                "the disk of the images is filling up, and there are too few unused images to remove",
                percent=used * 100 // disk.size, wanted=wanted, freed=freed,
            )  # fmt: skip

    async def _look(self, now: float) -> None:
        images = await self._runtime.list_images()
        containers = [c for pod in await self._runtime.list_pods() for c in pod.containers]
        in_use = {name for c in containers for name in (c.image_id, c.image)}
        before, self._known = self._known, {}
        for image in images:
            known = before.get(image.id) or _Known(image, now)
            known.image = image
            if in_use & {image.id, *image.tags}:
                known.used = now
            self._known[image.id] = known

    def _unused(self, now: float) -> list[_Known]:
        """What may be removed, the longest unused first."""
        every = sorted(self._known.values(), key=lambda k: (k.used, k.detected, k.image.id))
        return [
            k
            for k in every
            if k.used < now and now - k.detected >= self._limits.min_age and self._may_go(k.image)
        ]

    async def _free(self, wanted: int, now: float) -> int:
        freed = 0
        for known in self._unused(now):
            if freed >= wanted:
                break
            if await self._remove(known):
                freed += known.image.size
        return freed

    async def _remove(self, known: _Known) -> bool:
        image = known.image
        try:
            await self._runtime.remove_image(image.id)
        except RuntimeFault as fault:
            if fault.unreachable:
                raise
            _log.info("an unused image is kept", image=image.tags or image.id, error=fault.message)
            return False
        self._known.pop(image.id, None)
        _log.info("an unused image was removed", image=image.tags or image.id, size=image.size)
        return True


def disk_of(directory: Path) -> Disk | None:
    """The file system that a directory is on; None if it cannot be told."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
