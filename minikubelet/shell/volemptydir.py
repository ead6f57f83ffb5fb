"""emptyDir on disk and in memory, and the directories that payloads are written to.

Belongs here: making them whole at once, so that one that is there is finished. May not be here: content.
A tmpfs outlives the agent; after a restart of the machine it is mounted again, empty, as it should be.
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import Final

from minikubelet.model.pod import EmptyDirVolumeSource, Pod
from minikubelet.model.podquantity import whole
from minikubelet.shell import volkernel
from minikubelet.shell.volowner import Ownership, ownership
from minikubelet.shell.volremoval import remove_tree

MEMORY: Final = "Memory"
_MODE: Final = 0o777
_GROUP_MODE: Final = 0o2777
_PAYLOAD_MODE: Final = 0o755


def make_empty_dir(path: Path, source: EmptyDirVolumeSource, pod: Pod) -> None:
    """Make an emptyDir unless it is there; raises OSError, ValueError."""
    owner = ownership(pod)
    if source.medium == MEMORY:
        mode = _MODE if owner.group is None else _GROUP_MODE
        try:
            _mount_tmpfs(path, mode=mode, group=owner.group, size=memory_size(source, pod))
        except PermissionError:
            raise ValueError(
                "an emptyDir with medium Memory needs an agent that may mount, as root"
            ) from None
    elif source.medium:
        raise ValueError(f"an emptyDir with medium {source.medium} is not supported by this version")
    else:
        _make(path, _MODE, owner)


def memory_size(source: EmptyDirVolumeSource, pod: Pod) -> int:
    """Bytes it may hold: its sizeLimit, and no more than the pod's memory limit; 0 is the kernel's own."""
    own = whole(source.size_limit) if source.size_limit else 0
    limits = [whole(str(c.resources.limits.get("memory", "0"))) for c in pod.spec.containers]
    of_pod = sum(limits) if all(limits) else 0
    return min((size for size in (own, of_pod) if size), default=0)


def make_payload_dir(path: Path, in_memory: bool) -> None:
    """Make the directory of a payload: in memory where the agent may, so that no secret reaches a disk."""
    if in_memory:
        with contextlib.suppress(PermissionError):
            _mount_tmpfs(path, mode=_PAYLOAD_MODE, group=None, size=0)
            return
    _make(path, _PAYLOAD_MODE, Ownership())


def _make(path: Path, mode: int, owner: Ownership) -> None:
    if path.is_dir() and not path.is_symlink():
        return
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.new")
    remove_tree(half)
    half.mkdir()
    half.chmod(mode)
    owner.give(half, read_only=False)
    half.rename(path)


def _mount_tmpfs(path: Path, *, mode: int, group: int | None, size: int) -> None:
    if path.is_symlink():
        raise OSError(errno.ELOOP, "a symlink is where the volume should be", str(path))
    path.mkdir(mode=0o750, parents=True, exist_ok=True)
    if volkernel.is_mount(path):
        return
    options = [f"mode={mode:o}"]
    if group is not None:
        options.append(f"gid={group}")
    if size:
        options.append(f"size={size}")
    try:
        volkernel.mount("tmpfs", path, "tmpfs", volkernel.MS_NOSUID | volkernel.MS_NODEV, ",".join(options))
    except PermissionError:
        with contextlib.suppress(OSError):  # it has content of an agent that might not mount either
            path.rmdir()
        raise
