"""The few file operations a journal needs, behind a seam through which tests inject faults.

Only plain calls belong here: no retries, no policy, no knowledge of lines or segments. Every one raises
OSError.
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

import msgspec


class FileFound(msgspec.Struct, frozen=True):
    """A regular file in a directory: its name, size in bytes, and last change in µs since the epoch."""

    name: str
    size: int
    modified: int


class FileOps(Protocol):
    """What a journal does to a file system."""

    def make_directory(self, path: Path) -> None:
        """Make a directory (0700) with its parents, unless it is there."""

    def listing(self, path: Path) -> list[FileFound]:
        """The regular files of a directory, sorted by name."""

    def read(self, path: Path, limit: int = -1) -> bytes:
        """The first `limit` bytes of a file, or all."""

    def create(self, path: Path) -> int:
        """A descriptor of a new empty file (0600), open for appending, in place of one of that name."""

    def write(self, fd: int, data: bytes) -> int:
        """Write some of the bytes; returns how many."""

    def fdatasync(self, fd: int) -> None:
        """Wait until what was written is on the disk."""

    def holds(self, path: Path, fd: int | None = None) -> bool:
        """Whether the path is there, and still names the file of the descriptor where one is given."""

    def close(self, fd: int) -> None:
        """Let go of a descriptor, and of a lock taken with it."""

    def rename(self, old: Path, new: Path) -> None:
        """Move a file, replacing what has the new name."""

    def unlink(self, path: Path) -> None:
        """Remove a file."""

    def truncate(self, path: Path, length: int) -> None:
        """Cut a file and wait until that is on the disk."""

    def sync_directory(self, path: Path) -> None:
        """Wait until a directory's names are on the disk."""

    def lock(self, path: Path) -> int:
        """Hold a lock file for this process; BlockingIOError where another one holds it."""


class RealFileOps:
    """The operations of this machine's file system."""

    def make_directory(self, path: Path) -> None:
        """Make a directory (0700) with its parents, unless it is there."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def listing(self, path: Path) -> list[FileFound]:
        """The regular files of a directory, sorted by name; one that goes away meanwhile is left out."""
        found = []
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False):
                        stat = entry.stat(follow_symlinks=False)
                        found.append(FileFound(entry.name, stat.st_size, stat.st_mtime_ns // 1000))
                except FileNotFoundError:
                    continue
        return sorted(found, key=lambda file: file.name)

    def read(self, path: Path, limit: int = -1) -> bytes:
        """The first `limit` bytes of a file, or all."""
        with path.open("rb") as file:
            return file.read(limit)

    def create(self, path: Path) -> int:
        """A descriptor of a new empty file (0600), open for appending; what had the name is removed first."""
        path.unlink(missing_ok=True)  # never the same file again: the kernel may have given up pages of it
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, fd: int, data: bytes) -> int:
        """Write some of the bytes; returns how many."""
        return os.write(fd, data)

    def fdatasync(self, fd: int) -> None:
        """Wait until what was written is on the disk."""
        os.fdatasync(fd)

    def holds(self, path: Path, fd: int | None = None) -> bool:
        """Whether the path is there, and still names the file of the descriptor where one is given."""
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        return fd is None or os.path.samestat(found, os.fstat(fd))

    def close(self, fd: int) -> None:
        """Let go of a descriptor, and of a lock taken with it."""
        os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Move a file, replacing what has the new name."""
        old.replace(new)

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        path.unlink()

    def truncate(self, path: Path, length: int) -> None:
        """Cut a file and wait until that is on the disk."""
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, length)
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_directory(self, path: Path) -> None:
        """Wait until a directory's names are on the disk."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lock(self, path: Path) -> int:
        """Hold a lock file for this process and note its pid; BlockingIOError where another one holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.write(fd, b"%d\n" % os.getpid())
        except OSError:
            os.close(fd)
            raise
        return fd


def write_all(ops: FileOps, fd: int, data: bytes) -> None:
    """Write every byte; a disk that takes only some is asked for the rest, which names its error."""
    written = ops.write(fd, data)
    while written < len(data):
        more = ops.write(fd, data[written:])
        if more <= 0:
            raise OSError(errno.EIO, "the file system takes no more bytes and does not say why")
        written += more


def write_durably(ops: FileOps, path: Path, data: bytes) -> None:
    """Write a file of its own so that it has its name only once its bytes are on the disk."""
    temporary = path.with_name(path.name + ".tmp")
    fd = ops.create(temporary)
    try:
        write_all(ops, fd, data)
        ops.fdatasync(fd)
    finally:
        ops.close(fd)
    ops.rename(temporary, path)
    ops.sync_directory(path.parent)
