"""hostPath: a path of the node, checked and made as its type says.

Follows kubernetes.io/docs/concepts/storage/volumes#hostpath and upstream's pkg/volume/hostpath. May not be
here: volumes that belong to a pod.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from minikubelet.model.pod import HostPathVolumeSource
from minikubelet.shell.inimage import in_image

_CHECKS: Final[dict[str, tuple[str, Callable[[int], bool]]]] = {
    "Directory": ("a directory", stat.S_ISDIR),
    "DirectoryOrCreate": ("a directory", stat.S_ISDIR),
    "File": ("a file", stat.S_ISREG),
    "FileOrCreate": ("a file", stat.S_ISREG),
    "Socket": ("a socket file", stat.S_ISSOCK),
    "CharDevice": ("a character device", stat.S_ISCHR),
    "BlockDevice": ("a block device", stat.S_ISBLK),
}


_OWN_FILES: Final = " (in the agent's own container: mount the host's root into it, and set hostRoot)"
_MOST_LINKS: Final = 40
"""symlinks on the way of one path, as for the kernel"""


class HostPathFault(Exception):
    """What is at the path is not what its type asks for."""


def host_path(source: HostPathVolumeSource, host_root: Path = Path("/")) -> Path:
    """The path below where the host's root is for the agent, there and of its type.

    Raises HostPathFault and OSError.
    """
    try:
        return _checked(source, host_root)
    except (HostPathFault, OSError) as error:
        if host_root != Path("/") or not in_image():
            raise
        if isinstance(error, OSError):
            raise OSError(error.errno, f"{error.strerror}{_OWN_FILES}", error.filename) from None
        raise HostPathFault(f"{error}{_OWN_FILES}") from None


def _checked(source: HostPathVolumeSource, host_root: Path) -> Path:
    path = Path("/", source.path)
    if host_root != Path("/"):
        path = seen_from(host_root, PurePosixPath(source.path))
    if source.type == "DirectoryOrCreate" or (not source.type and not path.exists()):
        if not path.exists():
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
    elif source.type == "FileOrCreate" and not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        path.chmod(0o644)
    if source.type not in _CHECKS:
        return path
    wanted, holds = _CHECKS[source.type]
    if not path.exists():
        raise HostPathFault(f"hostPath type check failed: {source.path} is not {wanted}: it does not exist")
    if not holds(path.stat().st_mode):
        raise HostPathFault(f"hostPath type check failed: {source.path} is not {wanted}")
    return path


def seen_from(root: Path, path: PurePosixPath) -> Path:
    """Where a path of the host is for whom its root is mounted elsewhere: symlinks lead to the host's places.

    Raises OSError where they go round in circles.
    """
    left, place, links = list(reversed(path.parts)), list[str](), 0
    while left:
        part = left.pop()
        if part == "/":
            place = []
        elif part == "..":
            del place[-1:]
        elif (here := root.joinpath(*place, part)).is_symlink():
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            left += reversed(PurePosixPath(here.readlink()).parts)
        else:
            place.append(part)
    return root.joinpath(*place)
