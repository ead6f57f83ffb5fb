"""Removing a pod's directories: everything in them, and nothing that is only mounted in them.

Belongs here: unmounting first, and a removal that follows no symlink and crosses no mount, not even a
bind mount of the same file system. May not be here: which directories a pod has.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

from minikubelet.shell import volkernel

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: Path) -> None:
    """Remove a file, symlink or directory with all in it; what is not there is fine. Raises OSError.

    Mounts in it are detached first. One that cannot be is an error (EBUSY) and its content stays.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for point in volkernel.mounts_below(path):
        volkernel.unmount(point)
    _Removal(path).run()
    path.rmdir()


class _Removal:
    """Empties a directory whatever its depth: directories in it are moved up to it, then emptied in turn.

    So neither the stack nor the number of open files depends on what a container has piled up.
    """

    def __init__(self, top: Path) -> None:
        self._path = top
        self._count = 0

    def run(self) -> None:
        _allow(self._path)
        top = os.open(self._path, _DIRECTORY)
        try:
            self._mount = volkernel.mount_id(top)
            while names := _entries(top):
                for name, is_directory in names:
                    self._remove(top, name, is_directory=is_directory)
        finally:
            os.close(top)

    def _remove(self, top: int, name: str, *, is_directory: bool) -> None:
        if not is_directory:
            os.unlink(name, dir_fd=top)
            return
        _allow(name, top)
        inner = os.open(name, _DIRECTORY, dir_fd=top)
        try:
            if volkernel.mount_id(inner) != self._mount:
                raise OSError(errno.EBUSY, "something is mounted here; unmount it", str(self._path / name))
            for child, is_nested in _entries(inner):
                if is_nested:
                    self._move_up(inner, child, top)
                else:
                    os.unlink(child, dir_fd=inner)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=top)

    def _move_up(self, inner: int, name: str, top: int) -> None:
        _allow(name, inner)
        while True:
            self._count += 1
            try:
                os.rename(name, f"..gone-{self._count}", src_dir_fd=inner, dst_dir_fd=top)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    raise
            else:
                return


def _entries(directory: int) -> list[tuple[str, bool]]:
    with os.scandir(directory) as listing:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]


def _allow(path: Path | str, within: int | None = None) -> None:
    """Without root, a directory that its owner may not write cannot be emptied before it is made so."""
    if os.geteuid() != 0 and stat.S_ISDIR(os.stat(path, dir_fd=within, follow_symlinks=False).st_mode):
        os.chmod(path, 0o700, dir_fd=within)
