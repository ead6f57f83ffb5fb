"""subPath: a path in a volume that a container's mount begins at, and that cannot lead out of the volume.

Belongs here: finding, making and pinning it. May not be here: whose mount it is.

A volume is the containers' own to write, so a name checked now may be a symlink to `/` when the engine
opens it. Hence a path is opened once, beneath the volume (openat2 with RESOLVE_BENEATH, which the kernel
holds against every race; before Linux 5.6 a walk that follows no symlink), and as root that open file
is bound to a place of the agent's own, outside every volume: the engine gets a name that no container can
change (CVE-2017-1002101, CVE-2021-25741; upstream's pkg/volume/util/subpath).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

from minikubelet.shell import volkernel

_PATH: Final = os.O_PATH | os.O_CLOEXEC
_STEP: Final = _PATH | os.O_NOFOLLOW


class SubPathFault(Exception):
    """A subPath that is refused; the text does not tell what the host has at other places."""


def open_sub_path(volume: Path, sub_path: str) -> int:
    """An O_PATH descriptor of the path in the volume, made as a directory where it is missing.

    Raises SubPathFault where it leads out, OSError where it cannot be had.
    """
    parts = [part for part in sub_path.split("/") if part not in {"", "."}]
    if sub_path.startswith("/"):
        raise SubPathFault(f"error SubPath `{sub_path}` must not be an absolute path")
    if ".." in parts:
        raise SubPathFault(f"unable to provision SubPath `{sub_path}`: must not contain '..'")
    top = os.open(volume, _PATH)
    try:
        return _open_or_make(top, volume, parts)
    finally:
        os.close(top)


def open_existing(volume: Path, path: str) -> int:
    """An O_PATH descriptor of what is in the volume at that path.

    Raises SubPathFault where it leads out, OSError where it is not there.
    """
    top = os.open(volume, _PATH)
    try:
        return _beneath(top, volume, path)
    finally:
        os.close(top)


def _open_or_make(top: int, volume: Path, parts: list[str]) -> int:
    made = stat.S_IMODE(os.fstat(top).st_mode)
    here = os.open(".", _PATH | os.O_DIRECTORY, dir_fd=top)
    for number, part in enumerate(parts):
        path = "/".join(parts[: number + 1])
        try:
            try:
                following = _beneath(top, volume, path)
            except FileNotFoundError:
                # A missing name only: a symlink that leads nowhere is there, and mkdir says so.
                os.mkdir(part, mode=0o700, dir_fd=here)
                following = os.open(part, _STEP | os.O_DIRECTORY, dir_fd=here)
                Path(f"/proc/self/fd/{following}").chmod(made)
        except FileExistsError:
            raise SubPathFault("a symlink in it leads nowhere") from None
        finally:
            os.close(here)
        here = following
    return here


def _beneath(top: int, volume: Path, path: str) -> int:
    try:
        return volkernel.open_beneath(top, path, os.O_PATH)
    except NotImplementedError:
        return walk(top, volume, path)
    except OSError as error:
        raise _plain(error) from None


def walk(top: int, volume: Path, path: str) -> int:
    """The same without openat2: symlinks resolved first, then every step opened without following any."""
    base = os.path.realpath(volume)
    real = os.path.realpath(os.path.join(base, path), strict=True)  # noqa: PTH118 - no pathlib for strict
    if real != base and not real.startswith(f"{base}/"):
        raise SubPathFault("it leads out of its volume")
    here = os.open(".", _PATH | os.O_DIRECTORY, dir_fd=top)
    for part in real[len(base) :].strip("/").split("/"):
        try:
            following = os.open(part, _STEP, dir_fd=here)
        finally:
            os.close(here)
        if stat.S_ISLNK(os.fstat(following).st_mode):
            os.close(following)
            raise SubPathFault("it changed while it was looked at")
        here = following
    return here


def _plain(error: OSError) -> Exception:
    if error.errno in {errno.EXDEV, errno.ELOOP}:
        return SubPathFault("it leads out of its volume")
    return error


def pin(descriptor: int, place: Path) -> Path:
    """Bind what is open to a place of the agent's own, instead of what was bound there.

    Raises PermissionError for an agent that may not mount.
    """
    unpin(place)
    place.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        place.mkdir(mode=0o750)
    else:
        place.touch(mode=0o640)
    try:
        volkernel.mount(f"/proc/self/fd/{descriptor}", place, "none", volkernel.MS_BIND)
    except OSError:
        unpin(place)
        raise
    return place


def unpin(place: Path) -> None:
    """Take away what was bound, and the empty file or directory that it was bound to."""
    for point in volkernel.mounts_below(place):
        volkernel.unmount(point)
    if place.is_dir() and not place.is_symlink():
        place.rmdir()
    else:
        place.unlink(missing_ok=True)


def real_path(descriptor: int) -> Path:
    """Where what is open lies now; for agents without root, whose containers are no other user than they."""
    return Path(f"/proc/self/fd/{descriptor}").readlink()
