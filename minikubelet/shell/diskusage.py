"""How much of the node's disk pods use: their logs, volumes, and what containers wrote of their own.

Belongs here: measuring, in threads where it is on this disk. May not be here: limits. As upstream, what
counts is the blocks that a file takes, each file once. Sizes in bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec

from minikubelet.core.nodefacts import Amounts
from minikubelet.core.state import Generation
from minikubelet.ports.runtimeport import Runtime, RuntimeFault
from minikubelet.shell.podpaths import PodPaths

_BLOCK: Final = 512


class DiskUse(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod takes: its volumes and its containers' logs by name, their inodes, and own files by name."""

    volumes: Amounts = ()
    logs: Amounts = ()
    inodes: int = 0
    own: Amounts = ()

    @property
    def local(self) -> int:
        """Logs and volumes together."""
        return sum(amount for _, amount in (*self.volumes, *self.logs))

    @property
    def total(self) -> int:
        """All of it."""
        return self.local + sum(amount for _, amount in self.own)

    def containers(self) -> Amounts:
        """Logs and own files by container."""
        own, logs = dict(self.own), dict(self.logs)
        names = dict.fromkeys((*own, *logs))
        return tuple((name, own.get(name, 0) + logs.get(name, 0)) for name in names)


async def disk_use(gen: Generation, paths: PodPaths, runtime: Runtime, *, layers: bool) -> DiskUse:
    """Measure one pod; without `layers`, what containers wrote into their own file systems is left out."""
    measured = await anyio.to_thread.run_sync(_on_disk, gen, paths)
    if not layers:
        return measured
    own = [(r.name, await _layer(runtime, r.id)) for r in gen.containers.values() if r.id]
    return msgspec.structs.replace(measured, own=tuple(own))


async def _layer(runtime: Runtime, container_id: str) -> int:
    try:
        return await runtime.container_disk(container_id)
    except RuntimeFault:
        return 0


def _on_disk(gen: Generation, paths: PodPaths) -> DiskUse:
    volumes = gen.pod.spec.volumes if gen.pod else ()
    on_disk = [v.name for v in volumes if v.empty_dir is not None and not v.empty_dir.medium]
    trees = [(name, paths.volume(gen.uid, "empty-dir", name)) for name in on_disk]
    log_directory = paths.log_directory(gen.slot, gen.uid)
    logs = [(name, log_directory / name) for name in gen.containers]
    used = {path: _tree(path) for _, path in (*trees, *logs)}
    return DiskUse(
        volumes=tuple((name, used[path][0]) for name, path in trees),
        logs=tuple((name, used[path][0]) for name, path in logs),
        inodes=sum(count for _, count in used.values()),
    )


def _tree(path: Path) -> tuple[int, int]:
    """Bytes and inodes of all that is beneath a directory, not across mounts."""
    seen: dict[tuple[int, int], int] = {}
    for directory, folders, files in os.walk(path):
        here = _stat(Path(directory))
        inside = {name: _stat(Path(directory, name)) for name in (*folders, *files)}
        folders[:] = [name for name in folders if here and _device(inside[name]) == here.st_dev]
        for found in inside.values():
            if found is not None:
                seen[found.st_dev, found.st_ino] = found.st_blocks * _BLOCK
    return sum(seen.values()), len(seen)


def _stat(path: Path) -> os.stat_result | None:
    """None for what has gone meanwhile."""
    try:
        return path.lstat()
    except OSError:
        return None


def _device(found: os.stat_result | None) -> int:
    return found.st_dev if found is not None else -1
