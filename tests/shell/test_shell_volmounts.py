"""Mounts of volumes: subPath and subPathExpr, and what removal leaves alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.model.ids import slot_key
from minikubelet.model.pod import (
    EmptyDirVolumeSource,
    HostPathVolumeSource,
    Volume,
    VolumeMount,
)
from minikubelet.shell import volkernel
from tests.running import run
from tests.shell.volumes_world import MAY_MOUNT, UID, VolumesWorld, paths_in, pod_with


@pytest.fixture
def world(tmp_path: Path) -> Iterator[VolumesWorld]:
    with paths_in(tmp_path) as paths:
        yield VolumesWorld(paths)


def test_sub_paths_and_expressions(world: VolumesWorld) -> None:
    mounts = (
        VolumeMount(name="t", mount_path="/a", sub_path="one"),
        VolumeMount(name="t", mount_path="/b", sub_path_expr="pods/$(POD)"),
    )
    pod = pod_with(Volume(name="t", empty_dir=EmptyDirVolumeSource()), mounts=mounts)
    first, second = world.mounts(pod, {"POD": "web"})
    root = world.paths.volume(UID, "empty-dir", "t")
    (root / "one/x").write_text("1")
    (root / "pods/web/x").write_text("2")
    assert ((first.host_path / "x").read_text(), (second.host_path / "x").read_text()) == ("1", "2")
    assert world.mounts(pod, {"POD": "web"}) == (first, second)
    assert len(volkernel.mounts_below(world.paths.root)) == (2 if MAY_MOUNT else 0)
    run(world.volumes.release(pod))
    assert volkernel.mounts_below(world.paths.root) == []
    fault = world.fault(pod, {"POD": ""})
    assert (fault.reason, "missing value for POD" in fault.message) == ("CreateContainerConfigError", True)
    fault = world.fault(pod, {"POD": "../../../x"})
    assert "must not contain '..'" in fault.message


def test_a_sub_path_of_a_host_path_is_left_alone_at_the_end(world: VolumesWorld, tmp_path: Path) -> None:
    """It is bound into the pod's directory, which is removed; what it shows is not."""
    (tmp_path / "host/d").mkdir(parents=True)
    (tmp_path / "host/d/file").write_text("kept")
    mounts = (VolumeMount(name="h", mount_path="/a", sub_path="d"),)
    source = HostPathVolumeSource(path=str(tmp_path / "host"))
    pod = pod_with(Volume(name="h", host_path=source), mounts=mounts)
    (mount,) = world.mounts(pod)
    assert (mount.host_path / "file").read_text() == "kept"
    world.paths.remove(slot_key("shop", "web"), UID, keep_definition=False)
    assert (tmp_path / "host/d/file").read_text() == "kept"
    assert not world.paths.pod(UID).exists()


def test_a_sub_path_that_leads_out_is_refused_in_upstreams_words(world: VolumesWorld) -> None:
    mounts = (VolumeMount(name="t", mount_path="/a", sub_path="link"),)
    pod = pod_with(Volume(name="t", empty_dir=EmptyDirVolumeSource()), mounts=mounts)
    root = world.paths.volume(UID, "empty-dir", "t")
    root.mkdir(parents=True)
    (root / "link").symlink_to("/etc")
    fault = world.fault(pod)
    assert fault.reason == "CreateContainerConfigError"
    assert fault.message == (
        'failed to prepare subPath for volumeMount "t" of container "main": it leads out of its volume'
    )


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ""])
def test_names_never_lead_out_of_the_pods_directory(world: VolumesWorld, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a file name"):
        world.paths.volume(UID, "empty-dir", name)
