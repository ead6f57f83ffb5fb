"""System calls that Python has no names for: mount, umount2, openat2; and what is mounted where.

Belongs here: thin, typed calls that raise OSError. May not be here: any idea of pods or volumes.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from pathlib import Path
from typing import Final

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_BIND: Final = 0x1000
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8

_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_BENEATH: Final = 0x08
_SYS_OPENAT2: Final = 437  # on all architectures but Alpha
_ESCAPES: Final = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _failed(path: str | os.PathLike[str]) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), os.fspath(path))


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """Put a file system, or what another path shows, in a place."""
    words = (source.encode(), os.fsencode(target), kind.encode())
    if _libc().mount(*words, ctypes.c_ulong(flags), options.encode() or None) != 0:
        raise _failed(target)


def unmount(target: Path) -> None:
    """Detach a mount at once; what still uses it keeps it until then. One that is gone is fine."""
    if _libc().umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW) != 0:
        failed = _failed(target)
        if failed.errno not in {errno.EINVAL, errno.ENOENT}:
            raise failed


def open_beneath(directory: int, path: str, flags: int) -> int:
    """Open a path that no `..`, symlink or magic link leads out of the directory; EXDEV where one would.

    NotImplementedError on kernels before 5.6 and under seccomp filters that do not know the call.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    descriptor: int = _libc().syscall(
        _SYS_OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
    )
    if descriptor >= 0:
        return descriptor
    failed = _failed(path)
    if failed.errno in {errno.ENOSYS, errno.EPERM}:
        raise NotImplementedError from failed
    raise failed


def mounts_below(directory: Path) -> list[Path]:
    """What is mounted at a directory or below it, the innermost and latest first."""
    base = os.path.realpath(directory)
    found = []
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    for line in table.split("\n")[:-1]:
        point = line.split(" ", 5)[4]
        if "\\" in point:
            for escaped, plain in _ESCAPES:
                point = point.replace(escaped, plain)
        if point == base or point.startswith(f"{base}/"):
            found.append(Path(point))
    return found[::-1]


def is_mount(path: Path) -> bool:
    """Whether something is mounted just here, a bind mount of the same file system included."""
    return Path(os.path.realpath(path)) in mounts_below(path)


def mount_id(descriptor: int) -> int:
    """The id of the mount that an open file lies on (proc(5), fdinfo)."""
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    words = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(words["mnt_id"])
