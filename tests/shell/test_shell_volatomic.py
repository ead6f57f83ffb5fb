"""The atomic writer: upstream's layout on disk, and readers that see all of the old or all of the new."""

import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.shell.volatomic import ProjectedFile, write_payload
from minikubelet.shell.volowner import Ownership
from tests.shell.volumes_world import as_root

NOBODY = Ownership()


def files(**content: str) -> dict[str, ProjectedFile]:
    return {name.replace("__", "/"): ProjectedFile(text.encode(), 0o644) for name, text in content.items()}


def seen(volume: Path) -> dict[str, str]:
    """What somebody who lists the volume finds, `..` entries left out."""
    found = {}
    for directory, _, names in os.walk(volume, followlinks=True):
        for name in names:
            path = Path(directory, name)
            relative = str(path.relative_to(volume))
            if not relative.startswith(".."):
                found[relative] = path.read_text(encoding="utf-8")
    return found


def test_the_layout_is_upstreams(tmp_path: Path) -> None:
    assert write_payload(tmp_path, files(a="1", d__b="2", d__e__c="3"), NOBODY)
    assert seen(tmp_path) == {"a": "1", "d/b": "2", "d/e/c": "3"}
    assert (tmp_path / "a").readlink() == Path("..data/a")
    assert (tmp_path / "d").readlink() == Path("..data/d")
    stamp = str((tmp_path / "..data").readlink())
    assert stamp.startswith("..2")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["..data", "a", "d", stamp])


def test_the_same_again_writes_nothing(tmp_path: Path) -> None:
    write_payload(tmp_path, files(a="1"), NOBODY)
    before = (tmp_path / "..data").readlink()
    assert not write_payload(tmp_path, files(a="1"), NOBODY)
    assert (tmp_path / "..data").readlink() == before


def test_an_update_replaces_adds_and_removes_at_once(tmp_path: Path) -> None:
    write_payload(tmp_path, files(a="1", b="1", d__x="1"), NOBODY)
    assert write_payload(tmp_path, files(a="2", c="2"), NOBODY)
    assert seen(tmp_path) == {"a": "2", "c": "2"}
    assert len([p for p in tmp_path.iterdir() if p.name.startswith("..2")]) == 1


def test_an_empty_payload_leaves_an_empty_volume(tmp_path: Path) -> None:
    write_payload(tmp_path, files(a="1"), NOBODY)
    write_payload(tmp_path, {}, NOBODY)
    assert seen(tmp_path) == {}


def test_a_file_becomes_a_directory(tmp_path: Path) -> None:
    write_payload(tmp_path, files(a="1"), NOBODY)
    write_payload(tmp_path, files(a__b="2"), NOBODY)
    assert seen(tmp_path) == {"a/b": "2"}


def test_modes_are_exact_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_payload(tmp_path, {"a": ProjectedFile(b"", 0o400), "d/b": ProjectedFile(b"", 0o666)}, NOBODY)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o400
    assert stat.S_IMODE((tmp_path / "d/b").stat().st_mode) == 0o666
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o755


@as_root
def test_a_group_gets_the_files_and_a_user_owns_its_own(tmp_path: Path) -> None:
    payload = {"a": ProjectedFile(b"x", 0o400), "d/t": ProjectedFile(b"y", 0o600, 1234)}
    write_payload(tmp_path, payload, Ownership(4321))
    a, t, d = ((tmp_path / name).stat() for name in ("a", "d/t", "d"))
    assert (a.st_gid, stat.S_IMODE(a.st_mode)) == (4321, 0o440)
    assert (t.st_uid, t.st_gid, stat.S_IMODE(t.st_mode)) == (1234, 4321, 0o640)
    assert (d.st_gid, stat.S_IMODE(d.st_mode)) == (4321, 0o2755)


@pytest.mark.parametrize("path", ["../a", "a/../b", "/a", "", "..data", "..x/a", "a/" + "n" * 256])
def test_a_path_that_leads_out_or_is_reserved_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="invalid path"):
        write_payload(tmp_path, {path: ProjectedFile(b"", 0o644)}, NOBODY)
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_is_cleaned_up_and_the_old_content_stays_until_then(tmp_path: Path) -> None:
    write_payload(tmp_path, files(a="1"), NOBODY)
    (tmp_path / "..2020_01_01_00_00_00.crashed").mkdir()
    (tmp_path / "..data_tmp").symlink_to("nowhere")
    assert seen(tmp_path) == {"a": "1"}
    write_payload(tmp_path, files(a="2"), NOBODY)
    assert seen(tmp_path) == {"a": "2"}
    assert not (tmp_path / "..2020_01_01_00_00_00.crashed").exists()


def test_a_failed_write_changes_nothing(tmp_path: Path) -> None:
    """A file cannot be a directory at the same time: the second one fails half way."""
    write_payload(tmp_path, files(a="1"), NOBODY)
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        write_payload(tmp_path, files(z="2", z__b="2"), NOBODY)
    assert seen(tmp_path) == {"a": "1"}
    assert len([p for p in tmp_path.iterdir() if p.name.startswith("..2")]) == 1


def test_a_reader_never_sees_a_mixture(tmp_path: Path) -> None:
    """Two files read through one open `..data` are always of one write."""
    write_payload(tmp_path, files(a="0", b="0"), NOBODY)
    done = threading.Event()
    mixed: list[tuple[bytes, bytes]] = []

    def read() -> None:
        while not done.is_set():
            # An old directory may go while `..data` is followed to it: the reader then opens the new one.
            with contextlib.suppress(FileNotFoundError), opened(tmp_path / "..data") as data:
                pair = [_read(data, name) for name in ("a", "b")]
                if pair[0] != pair[1]:
                    mixed.append((pair[0], pair[1]))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(200):
            write_payload(tmp_path, files(a=str(number), b=str(number)), NOBODY)
    finally:
        done.set()
        reader.join()
    assert mixed == []


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(directory: int, name: str) -> bytes:
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=directory), "rb") as file:
        return file.read()


def test_no_content_shows(tmp_path: Path) -> None:
    assert "hush" not in repr(ProjectedFile(b"hush", 0o600))
