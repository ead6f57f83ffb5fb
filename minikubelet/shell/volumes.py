"""Volumes: the directories and files of the node that a pod's containers see.

Belongs here: when a volume is made, brought up to date and given up, and the mounts of a container. What
each type is made of lies in `vol*.py` beside it. May not be here: how a runtime mounts them. Nothing outside
the pod's own directory is ever removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import anyio.to_thread
import structlog

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Container, Pod, Volume, VolumeMount
from minikubelet.ports.objectport import ObjectReader
from minikubelet.ports.runtimeport import Mount, MountPropagation, RuntimeFault
from minikubelet.shell import volsubpath
from minikubelet.shell.environment import Facts, expand, names_in
from minikubelet.shell.objects import NoObjects
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.volatomic import DATA, Payload, write_payload
from minikubelet.shell.volemptydir import make_empty_dir, make_payload_dir
from minikubelet.shell.volhostpath import HostPathFault, host_path
from minikubelet.shell.volowner import ownership
from minikubelet.shell.volpayload import PayloadFault, Payloads, has_payload
from minikubelet.shell.volremoval import remove_tree

CONFIG_ERROR: Final = "CreateContainerConfigError"
PATIENCE: Final = 5.0
"""Seconds that a start waits for news of a volume that is there already: no API server delays a restart."""

Roots = Mapping[str, Path]
"""Where each volume lies on the node, by its name."""

_log = structlog.get_logger()


class Volumes:
    """Makes the volumes of pods, keeps their content up to date, and finds the host path of each mount.

    `same_user`: containers are processes of the agent's own user, so a subPath that changes under its
    hands gives them nothing that they could not open themselves; no other engine gets one from an agent
    that may not mount.
    """

    def __init__(
        self,
        paths: PodPaths,
        objects: ObjectReader | None = None,
        *,
        same_user: bool = False,
        host_root: Path = Path("/"),
    ) -> None:
        self._paths = paths
        self._payloads = Payloads(objects or NoObjects())
        self._same_user = same_user
        self._host_root = host_root
        self._turns: dict[PodUid, asyncio.Lock] = {}
        self._said: dict[tuple[PodUid, str], str] = {}
        self._written: dict[tuple[PodUid, str], Payload] = {}

    async def set_up(self, pod: Pod, facts: Facts) -> Roots:
        """Make all volumes of a pod that its containers mount; raises RuntimeFault.

        As upstream, no container starts before every volume that any of them mounts is there.
        """
        async with self._turn(PodUid(pod.metadata.uid)):
            return {volume.name: await self._set_up(pod, volume, facts) for volume in _mounted(pod)}

    async def mounts(
        self, pod: Pod, container: Container, roots: Roots, env: Mapping[str, str]
    ) -> tuple[Mount, ...]:
        """The mounts of one container on what `set_up` made; raises RuntimeFault."""
        async with self._turn(PodUid(pod.metadata.uid)):
            mounts = []
            for number, mount in enumerate(container.volume_mounts):
                made = await anyio.to_thread.run_sync(
                    self._mount, pod, container, number, roots[mount.name], _sub_path(container, mount, env)
                )
                mounts.append(made)
        return tuple(mounts)

    async def refresh(self, pod: Pod, facts: Facts) -> None:
        """Bring the content of a pod's volumes up to date; what cannot be read now stays as it is."""
        for volume in _mounted(pod):
            path = self._path(pod, volume)
            if has_payload(volume) and (path / DATA).is_symlink():
                try:
                    await self._refresh(pod, volume, path, facts)
                except (PayloadFault, OSError, ValueError) as fault:
                    self._say_once(pod, volume, _why(fault))

    async def _refresh(self, pod: Pod, volume: Volume, path: Path, facts: Facts) -> None:
        key = (PodUid(pod.metadata.uid), volume.name)
        before = self._written.get(key)
        files = await self._payloads.files(pod, volume, facts, fresh=False)  # no start waits for this
        async with self._turn(key[0]):
            overtaken = self._written.get(key) is not before or not (path / DATA).is_symlink()
            if not overtaken and before != files:
                await self._write(pod, volume, path, files)
        self._said.pop(key, None)

    async def release(self, pod: Pod) -> None:
        """Unmount and remove the pod's volumes before its directory is removed; raises OSError."""
        uid = PodUid(pod.metadata.uid)
        async with self._turn(uid):
            for directory in (self._paths.sub_paths(uid), self._paths.volumes(uid)):
                await anyio.to_thread.run_sync(remove_tree, directory)
        self._turns.pop(uid, None)
        for key in [key for key in (*self._said, *self._written) if key[0] == uid]:
            self._said.pop(key, None)
            self._written.pop(key, None)

    def _turn(self, uid: PodUid) -> asyncio.Lock:
        return self._turns.setdefault(uid, asyncio.Lock())

    async def _set_up(self, pod: Pod, volume: Volume, facts: Facts) -> Path:
        try:
            if has_payload(volume):
                return await self._set_up_payload(pod, volume, facts)
            return await anyio.to_thread.run_sync(self._set_up_plain, pod, volume)
        except (PayloadFault, HostPathFault, OSError, ValueError) as fault:
            raise _not_mounted(pod, volume, _why(fault)) from fault

    async def _set_up_payload(self, pod: Pod, volume: Volume, facts: Facts) -> Path:
        path = self._path(pod, volume)
        there = (path / DATA).is_symlink()
        try:
            async with asyncio.timeout(PATIENCE if there else None):
                files = await self._payloads.files(pod, volume, facts, fresh=True)
        except (PayloadFault, TimeoutError) as fault:
            if not there:
                raise
            # It was there when the pod's containers started first, and an outage stops no restart.
            self._say_once(pod, volume, str(fault) or "the API server does not answer")
            return path
        in_memory = volume.config_map is None
        await anyio.to_thread.run_sync(make_payload_dir, path, in_memory)
        await self._write(pod, volume, path, files)
        return path

    async def _write(self, pod: Pod, volume: Volume, path: Path, files: Payload) -> None:
        await anyio.to_thread.run_sync(write_payload, path, files, ownership(pod))
        self._written[PodUid(pod.metadata.uid), volume.name] = files

    def _set_up_plain(self, pod: Pod, volume: Volume) -> Path:
        if volume.empty_dir is not None:
            path = self._path(pod, volume)
            make_empty_dir(path, volume.empty_dir, pod)
            return path
        if volume.host_path is not None:
            return host_path(volume.host_path, self._host_root)
        raise PayloadFault("volumes of this type are not supported by this version")

    def _path(self, pod: Pod, volume: Volume) -> Path:
        plugins = {
            "configmap": volume.config_map,
            "secret": volume.secret,
            "downward-api": volume.downward_api,
            "projected": volume.projected,
        }
        plugin = next((name for name, source in plugins.items() if source is not None), "empty-dir")
        return self._paths.volume(PodUid(pod.metadata.uid), plugin, volume.name)

    def _mount(self, pod: Pod, container: Container, number: int, root: Path, sub_path: str) -> Mount:
        mount = container.volume_mounts[number]
        if mount.recursive_read_only == "Enabled":
            raise RuntimeFault(
                CONFIG_ERROR,
                f'failed to resolve recursive read-only mode: volume "{mount.name}" requested recursive'
                " read-only mode, but it is not supported by the runtime",
            )
        source = next(v for v in pod.spec.volumes if v.name == mount.name)
        place = self._paths.sub_path(PodUid(pod.metadata.uid), mount.name, container.name, number)
        try:
            where = self._inside(root, sub_path, place, safe=has_payload(source)) if sub_path else root
        except (volsubpath.SubPathFault, OSError) as fault:
            why = fault.strerror if isinstance(fault, OSError) else fault
            raise RuntimeFault(
                CONFIG_ERROR,
                f'failed to prepare subPath for volumeMount "{mount.name}" of container'
                f' "{container.name}": {why}',
            ) from fault
        return Mount(
            host_path=self._on_host(where),
            container_path=mount.mount_path if mount.mount_path.startswith("/") else f"/{mount.mount_path}",
            read_only=mount.read_only or has_payload(source),
            propagation=MountPropagation(mount.mount_propagation or "None"),
        )

    def _on_host(self, path: Path) -> Path:
        """What the runtime calls a path of the agent."""
        return Path("/") / path.relative_to(self._host_root) if path.is_relative_to(self._host_root) else path

    def _inside(self, root: Path, sub_path: str, place: Path, *, safe: bool) -> Path:
        """The host path of a subPath; `safe` volumes are written by the agent alone."""
        descriptor = volsubpath.open_sub_path(root, sub_path)
        try:
            with contextlib.suppress(PermissionError):
                return volsubpath.pin(descriptor, place)
            if not (safe or self._same_user):
                raise volsubpath.SubPathFault(
                    "it takes an agent that may mount, as root, to hold it in its volume"
                )
            return volsubpath.real_path(descriptor)
        finally:
            os.close(descriptor)

    def _say_once(self, pod: Pod, volume: Volume, why: str) -> None:
        key = (PodUid(pod.metadata.uid), volume.name)
        if self._said.get(key) != why:
            self._said[key] = why
            _log.warning("a volume keeps its content", pod=pod.metadata.name, volume=volume.name, because=why)


def _mounted(pod: Pod) -> list[Volume]:
    containers = pod.spec.every_container
    used = {mount.name for container in containers for mount in container.volume_mounts}
    sources = (variable.value_from for container in containers for variable in container.env)
    used |= {source.file_key_ref.volume_name for source in sources if source and source.file_key_ref}
    return [volume for volume in pod.spec.volumes if volume.name in used]


def _why(fault: Exception) -> str:
    """What is wrong, for a person: the path and the system's word for it, without its number."""
    if isinstance(fault, OSError) and fault.filename and fault.strerror:
        return f"{fault.filename}: {fault.strerror.lower()}"
    return str(fault)


def _not_mounted(pod: Pod, volume: Volume, why: str) -> RuntimeFault:
    """Upstream's containers wait for volumes under the reason that they have before anything happens."""
    reason = "PodInitializing" if pod.spec.init_containers else "ContainerCreating"
    return RuntimeFault(reason, f'MountVolume.SetUp failed for volume "{volume.name}" : {why}')


def _sub_path(container: Container, mount: VolumeMount, env: Mapping[str, str]) -> str:
    if not mount.sub_path_expr:
        return mount.sub_path
    missing = sorted({name for name in names_in(mount.sub_path_expr) if not env.get(name)})
    if missing:
        why = f"missing value for {', '.join(missing)}"
        raise RuntimeFault(CONFIG_ERROR, f"subPathExpr of container {container.name}: {why}")
    return expand(mount.sub_path_expr, env)
