"""A disk in memory: the journal's file operations, with a page cache that a crash can take away.

Belongs here: files, names, what of them is durable, and faults. May not be here: what is in the files.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from minikubelet.journal.fileops import FileFound
from minikubelet.simulation.simloop import LifeEnded


@dataclass(slots=True)
class _File:
    data: bytearray = field(default_factory=bytearray)
    durable: int = 0
    modified: int = 0


class SimDisk:
    """Files by path. `full`: every write fails, and `refused` says that one did.

    `synced` is told of bytes that have become durable.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.full = False
        self.refused = False
        self.synced: Callable[[bytes], None] = lambda _data: None
        self._now = now
        self._files: dict[str, _File] = {}
        self._undo: list[Callable[[], None]] = []
        self._open: dict[int, _File] = {}
        self._next_fd = 1000

    def files(self) -> dict[str, bytes]:
        """All files with their content."""
        return {path: bytes(file.data) for path, file in self._files.items()}

    def size(self, start: str) -> int:
        """The bytes of all files whose path begins so."""
        return sum(len(file.data) for path, file in self._files.items() if path.startswith(start))

    def copy(self) -> SimDisk:
        """Another disk with the same files, all of them durable."""
        other = SimDisk(self._now)
        other._files = {
            path: _File(bytearray(file.data), len(file.data), file.modified)
            for path, file in self._files.items()
        }
        return other

    def tear(self, random: Random) -> None:
        """Take away what a loss of power may: bytes that were not synced, names likewise."""
        for _ in range(random.randint(0, len(self._undo))):
            self._undo.pop()()
        for file in self._files.values():
            kept = random.randint(file.durable, len(file.data))
            del file.data[kept:]
        self.forget()

    def forget(self) -> None:
        """Nobody holds a file open any more; what is there stays."""
        self._undo.clear()
        self._open.clear()
        for file in self._files.values():
            file.durable = len(file.data)

    def _refuse(self) -> None:
        if self.full:
            self.refused = True
            raise OSError(errno.ENOSPC, "No space left on device")

    def _file(self, path: Path) -> _File:
        found = self._files.get(str(path))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path.name)
        return found

    def listing(self, path: Path) -> list[FileFound]:
        """The files of a directory, sorted by name."""
        start = f"{path}/"
        found = [
            FileFound(name[len(start) :], len(file.data), file.modified)
            for name, file in self._files.items()
            if name.startswith(start) and "/" not in name[len(start) :]
        ]
        return sorted(found, key=lambda each: each.name)

    def read(self, path: Path, limit: int = -1) -> bytes:
        """The first bytes of a file, or all."""
        data = self._file(path).data
        return bytes(data if limit < 0 else data[:limit])

    def create(self, path: Path) -> int:
        """A descriptor of a new, empty file."""
        self._refuse()
        self._name(str(path), _File(modified=self._now()))
        self._next_fd += 1
        self._open[self._next_fd] = self._files[str(path)]
        return self._next_fd

    def write(self, fd: int, data: bytes) -> int:
        """Write all the bytes."""
        self._refuse()
        file = self._open[fd]
        file.data += data
        file.modified = self._now()
        return len(data)

    def fdatasync(self, fd: int) -> None:
        """Make durable what was written."""
        self._refuse()
        file = self._open[fd]
        fresh = bytes(file.data[file.durable :])
        file.durable = len(file.data)
        self.synced(fresh)

    def holds(self, path: Path, fd: int | None = None) -> bool:
        """Whether the path still names the file of a descriptor; directories are always there."""
        return fd is None or self._files.get(str(path)) is self._open.get(fd)

    def close(self, fd: int) -> None:
        """Let go of a descriptor."""
        self._open.pop(fd, None)

    def rename(self, old: Path, new: Path) -> None:
        """Move a file."""
        file = self._file(old)
        self._drop(str(old))
        self._name(str(new), file)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        self._file(path)
        self._drop(str(path))

    def truncate(self, path: Path, length: int) -> None:
        """Cut a file."""
        file = self._file(path)
        del file.data[length:]
        file.durable = min(file.durable, length)

    def sync_directory(self, path: Path) -> None:  # noqa: ARG002 - there is one list of names for all
        """Make durable which names there are."""
        self._refuse()
        self._undo.clear()

    def lock(self, path: Path) -> int:
        """Hold a lock: no two lives are ever at work at once here."""
        self._files.setdefault(str(path), _File())
        self._next_fd += 1
        return self._next_fd

    def _name(self, path: str, file: _File) -> None:
        before = self._files.get(path)
        self._files[path] = file
        self._undo.append(lambda: self._put_back(path, before))

    def _drop(self, path: str) -> None:
        before = self._files.pop(path)
        self._undo.append(lambda: self._put_back(path, before))

    def _put_back(self, path: str, file: _File | None) -> None:
        if file is None:
            self._files.pop(path, None)
        else:
            self._files[path] = file


class LifeDisk:
    """The disk as one life of the agent sees it: once that is over, no call of it has any effect.

    `bytes_left` lets the life end in the middle of a write, of which `died` is told.
    """

    def __init__(self, disk: SimDisk) -> None:
        self._disk = disk
        self.over = False
        self.bytes_left: int | None = None
        self.died: Callable[[], None] = lambda: None

    def _check(self) -> SimDisk:
        if self.over:
            raise LifeEnded("this life of the agent is over")
        return self._disk

    def make_directory(self, path: Path) -> None:  # noqa: ARG002 - directories are only names here
        """Directories are there."""
        self._check()

    def listing(self, path: Path) -> list[FileFound]:
        """The files of a directory."""
        return self._check().listing(path)

    def read(self, path: Path, limit: int = -1) -> bytes:
        """The first bytes of a file, or all."""
        return self._check().read(path, limit)

    def create(self, path: Path) -> int:
        """A descriptor of a new, empty file."""
        return self._check().create(path)

    def write(self, fd: int, data: bytes) -> int:
        """Write all the bytes, or as many as the life still has."""
        disk = self._check()
        if self.bytes_left is not None and self.bytes_left <= len(data):
            disk.write(fd, data[: self.bytes_left])
            self.over = True
            self.died()
            raise LifeEnded("the agent died while it wrote")
        if self.bytes_left is not None:
            self.bytes_left -= len(data)
        return disk.write(fd, data)

    def fdatasync(self, fd: int) -> None:
        """Make durable what was written."""
        self._check().fdatasync(fd)

    def holds(self, path: Path, fd: int | None = None) -> bool:
        """Whether the path still names the file of a descriptor; directories are always there."""
        return self._check().holds(path, fd)

    def close(self, fd: int) -> None:
        """Let go of a descriptor."""
        self._disk.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Move a file."""
        self._check().rename(old, new)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        self._check().unlink(path)

    def truncate(self, path: Path, length: int) -> None:
        """Cut a file."""
        self._check().truncate(path, length)

    def sync_directory(self, path: Path) -> None:
        """Make durable which names there are."""
        self._check().sync_directory(path)

    def lock(self, path: Path) -> int:
        """Hold the lock."""
        return self._check().lock(path)
