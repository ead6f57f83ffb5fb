"""hostPath for an agent that has the host's root elsewhere: looked at there, named as the engine knows it."""

from pathlib import Path

import pytest

from minikubelet.model.pod import EmptyDirVolumeSource, HostPathVolumeSource, Volume
from minikubelet.shell.volhostpath import HostPathFault, host_path
from minikubelet.shell.volumes import Volumes
from tests.running import run
from tests.shell.volumes_world import mounts_of, paths_in, pod_with


def test_a_path_is_looked_at_and_made_below_the_hosts_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    assert host_path(HostPathVolumeSource(path="/etc", type="Directory"), tmp_path) == tmp_path / "etc"
    made = host_path(HostPathVolumeSource(path="/data/x", type="DirectoryOrCreate"), tmp_path)
    assert made.is_dir()
    assert made == tmp_path / "data/x"


def test_symlinks_lead_to_places_of_the_host(tmp_path: Path) -> None:
    """The agent's own /srv is none of its business."""
    for name in ("srv/data", "var"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "data").symlink_to("/srv/data")
    (tmp_path / "var/data").symlink_to("../../../../data")
    (tmp_path / "var/none").symlink_to("/srv/new")
    for path in ("/data", "/var/data", "/var/../data"):
        found = host_path(HostPathVolumeSource(path=path, type="Directory"), tmp_path)
        assert found == tmp_path / "srv/data", path
    made = host_path(HostPathVolumeSource(path="/var/none/x", type="DirectoryOrCreate"), tmp_path)
    assert made == tmp_path / "srv/new/x"
    assert made.is_dir()


def test_symlinks_that_go_round_in_circles_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("/two")
    (tmp_path / "two").symlink_to("/one")
    with pytest.raises(OSError, match="Too many levels of symbolic links: '/one'"):
        host_path(HostPathVolumeSource(path="/one", type="Directory"), tmp_path)


def test_what_is_missing_is_named_as_the_pod_names_it(tmp_path: Path) -> None:
    with pytest.raises(HostPathFault, match=r"failed: /only/here is not a file: it does not exist"):
        host_path(HostPathVolumeSource(path="/only/here", type="File"), tmp_path)


def test_the_engine_is_told_the_hosts_own_path_and_volumes_of_the_agent_as_they_are(tmp_path: Path) -> None:
    root = tmp_path / "host"
    root.mkdir()
    host = Volume(name="v", host_path=HostPathVolumeSource(path="/data", type="DirectoryOrCreate"))
    own = Volume(name="v", empty_dir=EmptyDirVolumeSource())
    with paths_in(tmp_path) as paths:
        volumes = Volumes(paths, host_root=root)
        (mount,) = run(mounts_of(volumes, pod_with(host)))
        assert mount.host_path == Path("/data")
        assert (root / "data").is_dir()
        (mount,) = run(mounts_of(volumes, pod_with(own)))
        assert mount.host_path.is_dir()
        assert mount.host_path.is_relative_to(tmp_path)


def test_an_agent_in_its_image_says_that_it_looked_among_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = HostPathVolumeSource(path=str(tmp_path / "x"), type="Directory")
    impossible = HostPathVolumeSource(path="/proc/none/x", type="DirectoryOrCreate")
    for marked in (False, True):
        monkeypatch.setenv("MINIKUBELET_IN_IMAGE", "1" if marked else "")
        for source in (missing, impossible):
            with pytest.raises((HostPathFault, OSError)) as failed:
                host_path(source)
            assert ("set hostRoot" in str(failed.value)) is marked
