"""Volumes by type: what a container's mounts show, and that nothing is left of them afterwards."""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.model.pod import (
    ConfigMapProjection,
    ConfigMapVolumeSource,
    Container,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    EmptyDirVolumeSource,
    HostPathVolumeSource,
    KeyToPath,
    ObjectFieldSelector,
    Pod,
    PodSpec,
    ProjectedVolumeSource,
    ResourceFieldSelector,
    SecretProjection,
    SecretVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from minikubelet.model.podcontainer import ResourceRequirements
from minikubelet.ports.objectport import ConfigMap, Secret
from minikubelet.ports.runtimeport import MountPropagation, RuntimeFault
from minikubelet.shell import volkernel
from minikubelet.shell.volemptydir import memory_size
from minikubelet.shell.volumes import Volumes
from tests.running import eventually, run
from tests.shell.volumes_world import (
    FACTS,
    MAY_MOUNT,
    UID,
    VolumesWorld,
    as_root,
    mounts_of,
    paths_in,
    pod_with,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[VolumesWorld]:
    with paths_in(tmp_path) as paths:
        yield VolumesWorld(paths)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_empty_dir_is_open_to_all_and_lives_as_long_as_the_pod(world: VolumesWorld) -> None:
    pod = pod_with(Volume(name="tmp", empty_dir=EmptyDirVolumeSource(size_limit="1Mi")))
    (mount,) = world.mounts(pod)
    assert (mount.container_path, mount.read_only, mode(mount.host_path)) == ("/v/tmp", False, 0o777)
    (mount.host_path / "file").write_text("x")
    assert world.mounts(pod) == (mount,)
    assert (mount.host_path / "file").exists()
    run(world.volumes.release(pod))
    assert not world.paths.volumes(UID).exists()


@as_root
def test_an_empty_dir_in_memory_is_bounded_survives_the_agent_and_is_unmounted(world: VolumesWorld) -> None:
    source = EmptyDirVolumeSource(medium="Memory", size_limit="64Ki")
    pod = pod_with(Volume(name="tmp", empty_dir=source))
    (mount,) = world.mounts(pod)
    found = os.statvfs(mount.host_path)
    assert found.f_blocks * found.f_frsize == 64 * 1024
    assert mode(mount.host_path) == 0o777
    (mount.host_path / "file").write_text("x")
    again = Volumes(world.paths, world.objects)
    assert run(mounts_of(again, pod)) == (mount,)
    assert volkernel.mounts_below(mount.host_path) == [mount.host_path]
    assert (mount.host_path / "file").exists()
    run(again.release(pod))
    assert volkernel.mounts_below(world.paths.root) == []


def test_without_the_right_to_mount_secrets_lie_on_disk_and_memory_is_refused(
    world: VolumesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(target))

    monkeypatch.setattr(volkernel, "mount", refuse)
    world.objects.secrets["shop/s"] = Secret(data={"key": b"hush"})
    pod = pod_with(Volume(name="s", secret=SecretVolumeSource(secret_name="s")))
    for _ in range(2):
        (mount,) = world.mounts(pod)
        assert ((mount.host_path / "key").read_text(), mode(mount.host_path)) == ("hush", 0o755)
    memory = pod_with(Volume(name="m", empty_dir=EmptyDirVolumeSource(medium="Memory")))
    assert "needs an agent that may mount" in world.fault(memory).message
    mounts = (VolumeMount(name="t", mount_path="/a", sub_path="d"),)
    inside = pod_with(Volume(name="t", empty_dir=EmptyDirVolumeSource()), mounts=mounts)
    (mount,) = world.mounts(inside)
    assert mount.host_path == world.paths.volume(UID, "empty-dir", "t") / "d"
    world.volumes = Volumes(world.paths, world.objects)
    assert "it takes an agent that may mount" in world.fault(inside).message


def test_memory_is_bounded_by_the_pods_limit_too() -> None:
    limited = Container(name="c", resources=ResourceRequirements(limits={"memory": "1Mi"}))
    pod = Pod(spec=PodSpec(containers=(limited, limited)))
    assert memory_size(EmptyDirVolumeSource(medium="Memory"), pod) == 2 << 20
    assert memory_size(EmptyDirVolumeSource(medium="Memory", size_limit="1Ki"), pod) == 1024
    assert memory_size(EmptyDirVolumeSource(medium="Memory"), pod_with()) == 0


@as_root
@pytest.mark.parametrize("medium", ["", "Memory"])
def test_fs_group_owns_an_empty_dir_and_what_is_made_in_it(world: VolumesWorld, medium: str) -> None:
    pod = pod_with(Volume(name="tmp", empty_dir=EmptyDirVolumeSource(medium=medium)), group=4321)
    (mount,) = world.mounts(pod)
    assert (mount.host_path.stat().st_gid, mode(mount.host_path)) == (4321, 0o2777)
    (mount.host_path / "file").write_text("x")
    assert (mount.host_path / "file").stat().st_gid == 4321


@pytest.mark.parametrize(
    ("kind", "there", "good"),
    [
        ("Directory", "directory", True),
        ("Directory", "file", False),
        ("Directory", "", False),
        ("DirectoryOrCreate", "", True),
        ("DirectoryOrCreate", "file", False),
        ("File", "file", True),
        ("File", "directory", False),
        ("File", "", False),
        ("FileOrCreate", "", True),
        ("FileOrCreate", "directory", False),
        ("Socket", "socket", True),
        ("Socket", "file", False),
        ("CharDevice", "file", False),
        ("BlockDevice", "directory", False),
        ("", "", True),
        ("", "file", True),
    ],
)
def test_host_paths_by_type(world: VolumesWorld, state_dir: Path, kind: str, there: str, good: bool) -> None:
    path = state_dir / "thing"
    listener = socket.socket(socket.AF_UNIX)
    match there:
        case "directory":
            path.mkdir()
        case "file":
            path.write_text("x")
        case "socket":
            listener.bind(str(path))
    listener.close()
    pod = pod_with(Volume(name="h", host_path=HostPathVolumeSource(path=str(path), type=kind)))
    if good:
        (mount,) = world.mounts(pod)
        assert mount.host_path == path
        assert path.exists()
        run(world.volumes.release(pod))
        assert path.exists()
    else:
        fault = world.fault(pod)
        assert fault.reason == "ContainerCreating"
        assert (
            f'MountVolume.SetUp failed for volume "h" : hostPath type check failed: {path}' in fault.message
        )


def test_devices_are_told_apart(world: VolumesWorld) -> None:
    source = HostPathVolumeSource(path="/dev/null", type="CharDevice")
    (mount,) = world.mounts(pod_with(Volume(name="h", host_path=source)))
    assert mount.host_path == Path("/dev/null")


def test_read_only_and_propagation_are_passed_on(world: VolumesWorld) -> None:
    mounts = (VolumeMount(name="t", mount_path="/t", read_only=True, mount_propagation="Bidirectional"),)
    (mount,) = world.mounts(pod_with(Volume(name="t", empty_dir=EmptyDirVolumeSource()), mounts=mounts))
    assert (mount.read_only, mount.propagation) == (True, MountPropagation.BIDIRECTIONAL)


def test_a_config_map_with_items_modes_and_binary_data(world: VolumesWorld) -> None:
    world.objects.config_maps["shop/cm"] = ConfigMap(data={"a": "1", "b": "2"}, binary_data={"c": b"\xff"})
    whole = Volume(name="whole", config_map=ConfigMapVolumeSource(name="cm", default_mode=0o400))
    items = (KeyToPath(key="b", path="d/e", mode=0o755),)
    some = Volume(name="some", config_map=ConfigMapVolumeSource(name="cm", items=items))
    first, second = world.mounts(pod_with(whole, some))
    assert first.read_only
    assert {p.name: p.read_bytes() for p in first.host_path.iterdir() if not p.name.startswith("..")} == {
        "a": b"1", "b": b"2", "c": b"\xff",
    }  # fmt: skip
    assert mode(first.host_path / "a") == 0o400
    assert (second.host_path / "d/e").read_text() == "2"
    assert mode(second.host_path / "d/e") == 0o755
    assert not (second.host_path / "a").exists()


def test_a_secret_lies_in_memory_and_is_read_only(world: VolumesWorld) -> None:
    world.objects.secrets["shop/s"] = Secret(data={"key": b"hush"})
    source = SecretVolumeSource(secret_name="s", default_mode=0o600)
    pod = pod_with(Volume(name="s", secret=source))
    (mount,) = world.mounts(pod)
    assert mount.read_only
    assert ((mount.host_path / "key").read_text(), mode(mount.host_path / "key")) == ("hush", 0o600)
    assert volkernel.is_mount(mount.host_path) == (MAY_MOUNT)
    run(world.volumes.release(pod))
    assert volkernel.mounts_below(world.paths.root) == []


@pytest.mark.parametrize("optional", [None, True])
def test_what_is_missing_holds_the_pod_unless_it_is_optional(
    world: VolumesWorld, optional: bool | None
) -> None:
    volumes = (
        Volume(name="c", config_map=ConfigMapVolumeSource(name="none", optional=optional)),
        Volume(name="s", secret=SecretVolumeSource(secret_name="none", optional=optional)),
    )
    for volume, what in zip(volumes, ("configmap", "secret"), strict=True):
        if optional:
            (mount,) = world.mounts(pod_with(volume))
            assert [p.name for p in mount.host_path.iterdir() if not p.name.startswith("..")] == []
            continue
        fault = world.fault(pod_with(volume))
        assert (
            fault.message == f'MountVolume.SetUp failed for volume "{volume.name}" : {what} "none" not found'
        )
        assert fault.reason == "ContainerCreating"


def test_a_missing_key_is_named_and_an_optional_one_left_out(world: VolumesWorld) -> None:
    world.objects.secrets["shop/s"] = Secret(data={"a": b"1"})
    items = (KeyToPath(key="a", path="a"), KeyToPath(key="z", path="z"))
    source = SecretVolumeSource(secret_name="s", items=items)
    assert (
        "references non-existent secret key: z"
        in world.fault(pod_with(Volume(name="s", secret=source))).message
    )
    source = SecretVolumeSource(secret_name="s", items=items, optional=True)
    (mount,) = world.mounts(pod_with(Volume(name="s", secret=source)))
    assert not (mount.host_path / "z").exists()


def test_no_container_starts_before_every_mounted_volume_is_there(world: VolumesWorld) -> None:
    pod = pod_with(Volume(name="c", config_map=ConfigMapVolumeSource(name="none")))
    init = Container(name="init", image="busybox")
    pod = Pod(metadata=pod.metadata, spec=PodSpec(
        volumes=pod.spec.volumes, containers=pod.spec.containers, init_containers=(init,)))  # fmt: skip
    with pytest.raises(RuntimeFault) as caught:
        run(world.volumes.set_up(pod, FACTS))
    assert caught.value.reason == "PodInitializing"


def test_a_volume_that_nobody_mounts_is_not_made(world: VolumesWorld) -> None:
    pod = pod_with(Volume(name="c", config_map=ConfigMapVolumeSource(name="none")), mounts=())
    assert world.mounts(pod) == ()


def test_fields_of_the_pod_as_files(world: VolumesWorld) -> None:
    items = (
        DownwardAPIVolumeFile(path="labels", field_ref=ObjectFieldSelector(field_path="metadata.labels")),
        DownwardAPIVolumeFile(path="name", field_ref=ObjectFieldSelector(field_path="metadata.name")),
        DownwardAPIVolumeFile(
            path="cpu", resource_field_ref=ResourceFieldSelector(resource="limits.cpu", container_name="main")
        ),
    )
    (mount,) = world.mounts(
        pod_with(Volume(name="d", downward_api=DownwardAPIVolumeSource(items=items, default_mode=0o440)))
    )
    assert (mount.host_path / "labels").read_text() == 'a="1"\nb="x\\"y"'
    assert (mount.host_path / "name").read_text() == "web"
    assert (mount.host_path / "cpu").read_text() == "2"
    assert mode(mount.host_path / "cpu") == 0o440


def projected() -> Volume:
    name = DownwardAPIVolumeFile(path="name", field_ref=ObjectFieldSelector(field_path="metadata.name"))
    sources = (
        VolumeProjection(config_map=ConfigMapProjection(name="cm")),
        VolumeProjection(
            secret=SecretProjection(name="s", items=(KeyToPath(key="k", path="s/k", mode=0o400),))
        ),
        VolumeProjection(downward_api=DownwardAPIProjection(items=(name,))),
        VolumeProjection(service_account_token=ServiceAccountTokenProjection(path="token", audience="vault")),
    )
    return Volume(name="p", projected=ProjectedVolumeSource(sources=sources, default_mode=0o644))


def test_a_projected_volume_joins_its_sources(world: VolumesWorld) -> None:
    world.objects.config_maps["shop/cm"] = ConfigMap(data={"ca.crt": "CA"})
    world.objects.secrets["shop/s"] = Secret(data={"k": b"hush", "other": b"x"})
    (mount,) = world.mounts(pod_with(projected(), group=4321 if MAY_MOUNT else None))
    texts = {name: (mount.host_path / name).read_text() for name in ("ca.crt", "s/k", "name", "token")}
    assert texts == {"ca.crt": "CA", "s/k": "hush", "name": "web", "token": "token-1"}
    (wish,) = world.objects.tokens
    assert (wish.service_account, wish.audience, wish.pod_uid, wish.seconds) == (
        "default",
        "vault",
        UID,
        3600,
    )
    if MAY_MOUNT:
        assert mode(mount.host_path / "token") == 0o640
        assert (mount.host_path / "token").stat().st_gid == 4321


def test_updates_reach_what_is_mounted_and_an_outage_takes_nothing(world: VolumesWorld) -> None:
    world.objects.config_maps["shop/cm"] = ConfigMap(data={"a": "1"})
    pod = pod_with(Volume(name="c", config_map=ConfigMapVolumeSource(name="cm")))
    (mount,) = world.mounts(pod)
    world.objects.config_maps["shop/cm"] = ConfigMap(data={"a": "2", "b": "new"})
    run(world.volumes.refresh(pod, FACTS))
    assert ((mount.host_path / "a").read_text(), (mount.host_path / "b").read_text()) == ("2", "new")
    for gone in ("the server is away", ""):
        world.objects.out = gone
        world.objects.config_maps.clear()
        run(world.volumes.refresh(pod, FACTS))
        assert world.mounts(pod) == (mount,)
        assert (mount.host_path / "a").read_text() == "2"
    run(world.volumes.release(pod))
    run(world.volumes.refresh(pod, FACTS))
    assert not mount.host_path.exists()


def test_what_a_start_wrote_is_not_overwritten_by_an_older_look(world: VolumesWorld) -> None:
    """A refresh that began before a start, and learns of its objects after it."""
    world.objects.config_maps["shop/cm"] = ConfigMap(data={"a": "old"})
    pod = pod_with(Volume(name="c", config_map=ConfigMapVolumeSource(name="cm")))
    (mount,) = world.mounts(pod)

    async def main() -> None:
        world.objects.hold = asyncio.Event()
        world.objects.config_maps["shop/cm"] = ConfigMap(data={"a": "older than it seems"})
        late = asyncio.create_task(world.volumes.refresh(pod, FACTS))
        await eventually(lambda: world.objects.holding, "the look to be under way")
        hold, world.objects.hold = world.objects.hold, None
        world.objects.config_maps["shop/cm"] = ConfigMap(data={"a": "new"})
        await world.volumes.set_up(pod, FACTS)
        hold.set()
        await late

    run(main())
    assert (mount.host_path / "a").read_text() == "new"


def test_without_an_api_server_the_fault_says_so(world: VolumesWorld) -> None:
    world.volumes = Volumes(world.paths)
    pod = pod_with(Volume(name="c", config_map=ConfigMapVolumeSource(name="cm")))
    assert "couldn't get configMap shop/cm: the agent has no API server" in world.fault(pod).message


def test_other_types_are_refused_by_name(world: VolumesWorld) -> None:
    fault = world.fault(pod_with(Volume(name="n", nfs={"server": "s"})))
    assert 'MountVolume.SetUp failed for volume "n" : volumes of this type' in fault.message
    huge = pod_with(Volume(name="n", empty_dir=EmptyDirVolumeSource(medium="HugePages")))
    assert "medium HugePages is not supported" in world.fault(huge).message


def test_a_host_path_that_cannot_be_made_is_told_without_the_systems_number(world: VolumesWorld) -> None:
    source = HostPathVolumeSource(path="/proc/no-such/x", type="DirectoryOrCreate")
    message = world.fault(pod_with(Volume(name="h", host_path=source))).message
    assert message.endswith('volume "h" : /proc/no-such: no such file or directory')
