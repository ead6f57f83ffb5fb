"""subPath: nothing that a container does to its volume leads the agent out of it."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from minikubelet.shell import volkernel
from minikubelet.shell.volsubpath import SubPathFault, open_sub_path, pin, real_path, unpin
from tests.shell.volumes_world import as_root, paths_in


@pytest.fixture(params=["openat2", "walk"])
def volume(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A volume, on kernels with and without openat2."""

    def absent(directory: int, path: str, flags: int) -> int:
        raise NotImplementedError

    if request.param == "walk":
        monkeypatch.setattr(volkernel, "open_beneath", absent)
    made = tmp_path / "volume"
    made.mkdir()
    (tmp_path / "secret").mkdir()
    return made


def found(volume: Path, sub_path: str) -> Path:
    descriptor = open_sub_path(volume, sub_path)
    try:
        return real_path(descriptor)
    finally:
        os.close(descriptor)


def test_what_is_there_is_found_and_what_is_missing_is_made(volume: Path) -> None:
    (volume / "a").mkdir()
    (volume / "a/file").write_text("x")
    volume.chmod(0o770)
    assert found(volume, "a/file") == volume / "a/file"
    assert found(volume, "a/b/c") == volume / "a/b/c"
    assert found(volume, "./a//b/") == volume / "a/b"
    assert found(volume, ".") == volume
    assert stat.S_IMODE((volume / "a/b/c").stat().st_mode) == 0o770


def test_symlinks_that_stay_inside_are_followed(volume: Path) -> None:
    (volume / "..data").mkdir()
    (volume / "..data/key").write_text("x")
    (volume / "key").symlink_to("..data/key")
    (volume / "d").mkdir()
    (volume / "d/up").symlink_to("../..data")
    assert found(volume, "key") == volume / "..data/key"
    assert found(volume, "d/up/key") == volume / "..data/key"


@pytest.mark.parametrize("target", ["/", "/etc", "..", "../secret", "d/../../secret", "/proc/self/root"])
def test_symlinks_that_lead_out_are_refused(volume: Path, target: str) -> None:
    (volume / "d").mkdir()
    (volume / "link").symlink_to(target)
    for path in ("link", "link/sub"):
        with pytest.raises(SubPathFault):
            open_sub_path(volume, path)
    assert not (volume.parent / "secret/sub").exists()


def test_a_symlink_that_leads_nowhere_makes_nothing(volume: Path) -> None:
    (volume / "link").symlink_to("../secret/new")
    with pytest.raises(SubPathFault, match=r"leads nowhere|leads out"):
        open_sub_path(volume, "link")
    assert list((volume.parent / "secret").iterdir()) == []


def test_a_circle_of_symlinks_is_refused(volume: Path) -> None:
    (volume / "a").symlink_to("b")
    (volume / "b").symlink_to("a")
    with pytest.raises((SubPathFault, OSError)):
        open_sub_path(volume, "a/x")


@pytest.mark.parametrize("path", ["..", "a/../b", "/a", "a/.."])
def test_names_that_lead_out_are_refused(volume: Path, path: str) -> None:
    with pytest.raises(SubPathFault, match="must not"):
        open_sub_path(volume, path)


def test_a_file_on_the_way_is_an_error(volume: Path) -> None:
    (volume / "file").write_text("x")
    with pytest.raises(OSError) as caught:
        open_sub_path(volume, "file/x")
    assert caught.value.errno == errno.ENOTDIR


def test_a_race_of_directory_and_symlink_never_leads_out(volume: Path) -> None:
    """A container that swaps a directory for a symlink as fast as it can."""
    (volume / "good").mkdir()
    (volume / "good/inner").mkdir()
    (volume / "bad").symlink_to("../secret")
    (volume.parent / "secret/inner").mkdir()
    (volume / "x").symlink_to("good")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for target in ("bad", "good"):
                (volume / "new").symlink_to(target)
                (volume / "new").rename(volume / "x")

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        for _ in range(1500):
            try:
                seen.add(found(volume, "x/inner"))
            except (SubPathFault, FileNotFoundError):
                continue
    finally:
        done.set()
        swapper.join()
    assert seen <= {volume / "good/inner"}


@as_root
def test_what_was_opened_is_pinned_and_later_changes_do_not_matter(tmp_path: Path) -> None:
    with paths_in(tmp_path):
        volume, place = tmp_path / "volume", tmp_path / "places/0"
        (volume / "d").mkdir(parents=True)
        (volume / "d/file").write_text("mine")
        descriptor = open_sub_path(volume, "d")
        (volume / "d").rename(volume / "moved")
        (volume / "d").symlink_to("/")
        assert pin(descriptor, place) == place
        os.close(descriptor)
        assert [p.name for p in place.iterdir()] == ["file"]
        again = open_sub_path(volume, "moved/file")
        pin(again, place)
        os.close(again)
        assert place.read_text() == "mine"
        assert volkernel.mounts_below(place) == [place]
        unpin(place)
        assert not place.exists()
        assert (volume / "moved/file").read_text() == "mine"


def test_openat2_is_used_where_the_kernel_has_it(tmp_path: Path) -> None:
    """Without this the whole suite might pass with the fallback alone."""
    directory = os.open(tmp_path, os.O_PATH)
    try:
        with pytest.raises(OSError) as caught:
            volkernel.open_beneath(directory, "..", os.O_PATH)
        assert caught.value.errno == errno.EXDEV
    except NotImplementedError:
        pytest.skip("this kernel has no openat2")
    finally:
        os.close(directory)
