"""Removal: everything that is a pod's, whatever its shape, and nothing that is only mounted or linked."""

import os
from pathlib import Path

import pytest

from minikubelet.shell import volkernel
from minikubelet.shell.volremoval import remove_tree
from tests.shell.volumes_world import as_root, paths_in


def test_files_directories_and_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/f").write_text("x")
    (tmp_path / "f").write_text("x")
    for name in ("d", "f", "none"):
        remove_tree(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_symlinks_are_removed_and_never_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/out").symlink_to(kept)
    (tmp_path / "d/e/up").symlink_to("../../kept")
    (tmp_path / "link").symlink_to(kept)
    remove_tree(tmp_path / "d")
    remove_tree(tmp_path / "link")
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    assert (kept / "file").read_text() == "x"


def test_a_tree_deeper_than_the_stack(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=here)
        following = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = following
    os.close(here)
    remove_tree(tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


def test_names_that_the_removal_itself_uses(tmp_path: Path) -> None:
    for number in range(1, 6):
        (tmp_path / f"d/..gone-{number}/x/y").mkdir(parents=True)
    (tmp_path / "d/..gone-6").write_text("x")
    remove_tree(tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


def test_directories_without_any_permission(tmp_path: Path) -> None:
    (tmp_path / "d/e/f").mkdir(parents=True)
    (tmp_path / "d/e").chmod(0)
    (tmp_path / "d").chmod(0o500)
    remove_tree(tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


@as_root
def test_what_is_mounted_in_it_is_detached_and_stays(tmp_path: Path) -> None:
    """A bind mount of the same file system looks like any directory, mount points within mounts as well."""
    with paths_in(tmp_path):
        kept = tmp_path / "kept"
        (kept / "inner").mkdir(parents=True)
        (kept / "file").write_text("x")
        place = tmp_path / "d/with space"
        place.mkdir(parents=True)
        volkernel.mount(str(kept), place, "none", volkernel.MS_BIND)
        volkernel.mount("tmpfs", place / "inner", "tmpfs", 0)
        (place / "inner/lost").write_text("x")
        remove_tree(tmp_path / "d")
        assert (kept / "file").read_text() == "x"
        assert list((kept / "inner").iterdir()) == []
        assert [p.name for p in tmp_path.iterdir()] == ["kept"]


@as_root
def test_a_mount_that_comes_back_stops_the_removal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with paths_in(tmp_path):
        kept, place = tmp_path / "kept", tmp_path / "d/e/f"
        kept.mkdir()
        (kept / "file").write_text("x")
        place.mkdir(parents=True)
        volkernel.mount(str(kept), place, "none", volkernel.MS_BIND)
        monkeypatch.setattr(volkernel, "mounts_below", lambda _: [])
        with pytest.raises(OSError, match=r"busy|mounted here"):
            remove_tree(tmp_path / "d")
        monkeypatch.undo()
        assert (kept / "file").read_text() == "x"
