"""Objects and pods for tests of volumes: what is put in is what is read."""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Container, ObjectMeta, Pod, PodSecurityContext, PodSpec, Volume, VolumeMount
from minikubelet.ports.objectport import (
    ConfigMap,
    ObjectFault,
    Reference,
    Secret,
    Service,
    TokenWish,
)
from minikubelet.ports.runtimeport import Mount, RuntimeFault
from minikubelet.shell import volkernel
from minikubelet.shell.environment import Facts
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.volumes import Volumes
from tests.running import run

UID = PodUid("uid-1")


def may_mount() -> bool:
    """Whether this process may mount, which root in a container may not."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            volkernel.mount("tmpfs", Path(directory), "tmpfs", 0)
        except PermissionError:
            return False
        volkernel.unmount(Path(directory))
        return True


MAY_MOUNT = may_mount()
as_root = pytest.mark.skipif(not MAY_MOUNT, reason="mounting and changing owners takes root")


class FakeObjects:
    """Objects by namespace/name; `out` is what the API server's absence says."""

    def __init__(self) -> None:
        self.config_maps: dict[str, ConfigMap] = {}
        self.secrets: dict[str, Secret] = {}
        self.known_services: Sequence[Service] | None = ()
        self.tokens: list[TokenWish] = []
        self.kept: tuple[list[Reference], list[PodUid]] = ([], [])
        self.out = ""
        self.event = asyncio.Event()
        self.hold: asyncio.Event | None = None
        self.holding = False
        self.reads: list[tuple[str, bool]] = []

    async def config_map(self, namespace: str, name: str, *, fresh: bool = True) -> ConfigMap:
        self._read(name, fresh=fresh)
        if f"{namespace}/{name}" not in self.config_maps:
            raise ObjectFault(f'configmap "{name}" not found', missing=True)
        found = self.config_maps[f"{namespace}/{name}"]
        if self.hold is not None:
            self.holding = True
            await self.hold.wait()
        return found

    async def secret(self, namespace: str, name: str, *, fresh: bool = True) -> Secret:
        self._read(name, fresh=fresh)
        if f"{namespace}/{name}" not in self.secrets:
            raise ObjectFault(f'secret "{name}" not found', missing=True)
        return self.secrets[f"{namespace}/{name}"]

    def _read(self, name: str, *, fresh: bool) -> None:
        self.reads.append((name, fresh))
        if self.out:
            raise ObjectFault(self.out)

    async def services(self) -> Sequence[Service]:
        if self.known_services is None:
            raise ObjectFault("services have not yet been read at least once, cannot construct envvars")
        return self.known_services

    async def token(self, wish: TokenWish) -> str:
        if self.out:
            raise ObjectFault(self.out)
        self.tokens.append(wish)
        return f"token-{len(self.tokens)}"

    def keep(self, references: Iterable[Reference], tokens_of: Iterable[PodUid]) -> None:
        self.kept = (list(references), list(tokens_of))

    async def changed(self) -> None:
        await self.event.wait()
        self.event.clear()


def pod_with(
    *volumes: Volume,
    mounts: tuple[VolumeMount, ...] | None = None,
    group: int | None = None,
    uid: str = UID,
) -> Pod:
    """A pod of one container that mounts its volumes below /v, or as told."""
    made = tuple(VolumeMount(name=v.name, mount_path=f"/v/{v.name}") for v in volumes)
    container = Container(name="main", image="busybox:1.36", volume_mounts=made if mounts is None else mounts)
    context = PodSecurityContext(fs_group=group) if group is not None else None
    return Pod(
        metadata=ObjectMeta(name="web", namespace="shop", uid=uid, labels={"b": 'x"y', "a": "1"}),
        spec=PodSpec(volumes=volumes, containers=(container,), security_context=context),
    )


@contextmanager
def paths_in(directory: Path) -> Iterator[PodPaths]:
    """Paths below a directory; what a failed test left mounted there is unmounted."""
    try:
        yield PodPaths(directory / "state", directory / "logs")
    finally:
        for point in volkernel.mounts_below(directory):
            volkernel.unmount(point)


FACTS = Facts(node_name="node-1", allocatable={"cpu": "2", "memory": "8Gi"})


async def mounts_of(volumes: Volumes, pod: Pod, env: dict[str, str] | None = None) -> tuple[Mount, ...]:
    """The mounts of a pod's one container, its volumes set up first."""
    return await volumes.mounts(pod, pod.spec.containers[0], await volumes.set_up(pod, FACTS), env or {})


class VolumesWorld:
    """Volumes on a directory of the test's own."""

    def __init__(self, paths: PodPaths) -> None:
        self.paths = paths
        self.objects = FakeObjects()
        self.volumes = Volumes(paths, self.objects, same_user=True)

    def mounts(self, pod: Pod, env: dict[str, str] | None = None) -> tuple[Mount, ...]:
        return run(mounts_of(self.volumes, pod, env))

    def fault(self, pod: Pod, env: dict[str, str] | None = None) -> RuntimeFault:
        with pytest.raises(RuntimeFault) as caught:
            self.mounts(pod, env)
        return caught.value
