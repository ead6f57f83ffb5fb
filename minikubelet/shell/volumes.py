"""Volumes: the directories and files of the node that a pod's containers see.

Belongs here: emptyDir, hostPath with its types, and subPath kept inside its volume. May not be here:
how a runtime mounts them. Nothing outside the pod's own directory is ever removed.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio.to_thread

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Container, HostPathVolumeSource, Pod, Volume, VolumeMount
from minikubelet.ports.runtimeport import Mount, MountPropagation, RuntimeFault
from minikubelet.shell.podpaths import PodPaths

_CHECKS: Final[dict[str, tuple[str, Callable[[int], bool]]]] = {
    "Directory": ("a directory", stat.S_ISDIR),
    "DirectoryOrCreate": ("a directory", stat.S_ISDIR),
    "File": ("a file", stat.S_ISREG),
    "FileOrCreate": ("a file", stat.S_ISREG),
    "Socket": ("a UNIX socket", stat.S_ISSOCK),
    "CharDevice": ("a character device", stat.S_ISCHR),
    "BlockDevice": ("a block device", stat.S_ISBLK),
}


class Volumes:
    """Makes the volumes of a pod where they are missing, and finds the host path of each mount."""

    def __init__(self, paths: PodPaths) -> None:
        self._paths = paths

    async def mounts(self, pod: Pod, container: Container) -> tuple[Mount, ...]:
        """The mounts of one container; raises RuntimeFault where a volume cannot be had."""
        return await anyio.to_thread.run_sync(self._mounts, pod, container)

    async def release(self, pod: Pod) -> None:
        """Empty the pod's volumes before its directory is removed; raises OSError."""
        await anyio.to_thread.run_sync(self._release, pod)

    def _release(self, pod: Pod) -> None:
        for volume in pod.spec.volumes:
            if volume.empty_dir is not None:
                path = self._paths.volume(PodUid(pod.metadata.uid), "empty-dir", volume.name)
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)

    def _mounts(self, pod: Pod, container: Container) -> tuple[Mount, ...]:
        volumes = {v.name: v for v in pod.spec.volumes}
        mounts = []
        for mount in container.volume_mounts:
            try:
                root = self._root(pod, volumes[mount.name])
                mounts.append(_mount(root, mount))
            except OSError as error:
                raise _fault(f"volume {mount.name}: {error}") from error
        return tuple(mounts)

    def _root(self, pod: Pod, volume: Volume) -> Path:
        if volume.empty_dir is not None:
            path = self._paths.volume(PodUid(pod.metadata.uid), "empty-dir", volume.name)
            if not path.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(0o777)
            return path
        if volume.host_path is not None:
            return _host_path(volume.name, volume.host_path)
        raise _fault(f"volume {volume.name}: only emptyDir and hostPath are supported by this version")


def _fault(message: str) -> RuntimeFault:
    return RuntimeFault("CreateContainerConfigError", message)


def _host_path(name: str, source: HostPathVolumeSource) -> Path:
    """The host path, made where its type says so (kubernetes.io/docs/concepts/storage/volumes#hostpath)."""
    path = Path(source.path)
    if source.type == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif source.type == "FileOrCreate" and not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    elif not source.type and not path.exists():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    check = _CHECKS.get(source.type)
    if check is None:
        return path
    wanted, holds = check
    if not path.exists():
        raise _fault(f"volume {name}: hostPath type check failed: {path} does not exist")
    if not holds(path.stat().st_mode):
        raise _fault(f"volume {name}: hostPath type check failed: {path} is not {wanted}")
    return path


def _mount(root: Path, mount: VolumeMount) -> Mount:
    if mount.sub_path_expr:
        raise _fault(f"volume {mount.name}: subPathExpr is not supported by this version")
    return Mount(
        host_path=_inside(root, mount.sub_path) if mount.sub_path else root,
        container_path=mount.mount_path,
        read_only=mount.read_only,
        propagation=MountPropagation(mount.mount_propagation or "None"),
    )


def _inside(root: Path, sub_path: str) -> Path:
    """A path inside a volume, made as a directory where missing; a link that leads out is refused."""
    base = root.resolve()
    path = (base / sub_path).resolve()
    if not path.is_relative_to(base):
        raise _fault(f"subPath {sub_path!r} leads out of its volume")
    if not path.exists():
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    return path
