"""Files of variables: the strict format, and a volume that a container has prepared to deceive its agent."""

import os
from pathlib import Path

import pytest

from minikubelet.model.pod import Container, EnvVar, EnvVarSource, FileKeySelector
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.shell.envfiles import parse_env_file, read_env_files


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ("A='1'", {"A": "1"}),
        ("A='1'\nB='2'\n", {"A": "1", "B": "2"}),
        ("\n  # a word = 'x'\n \t\n  A = '1'  \r\nB='#no comment'", {"A": "1", "B": "#no comment"}),
        ("A='one\ntwo # three\n'\nB=''", {"A": "one\ntwo # three\n", "B": ""}),
        ("A='$HOME \\n \"x\"'", {"A": '$HOME \\n "x"'}),
        ("A='1'\nA='2'", {"A": "2"}),
    ],
)
def test_what_is_taken(text: str, variables: dict[str, str]) -> None:
    assert parse_env_file(text) == variables


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1", 1),
        ('A="1"', 1),
        ("A='1'\nB='1''2'", 2),
        ("A='1'$B", 1),
        ("# x\n\nA='1", 3),
        ("word", 1),
        ("='1'", 1),
        ("A B='1'", 1),
    ],
)
def test_what_is_refused_is_named_by_line_and_never_shown(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"^line {line} is not of the form VAR='value'$"):
        parse_env_file(text)


@pytest.mark.parametrize(
    "text", ["A" * 200_000, " " * 200_000 + "'", "A" + " " * 200_000, "A='" + "x" * 200_000]
)
def test_a_hostile_file_is_refused_without_searching_for_long(text: str) -> None:
    """Quadratic, each of these would take far longer than the test's deadline."""
    with pytest.raises(ValueError, match="line 1"):
        parse_env_file(text)


def reading(path: str, *, optional: bool | None = None) -> Container:
    ref = FileKeySelector(volume_name="v", path=path, key="A", optional=optional)
    return Container(name="c", env=(EnvVar(name="A", value_from=EnvVarSource(file_key_ref=ref)),))


def refused(volume: Path, container: Container) -> str:
    with pytest.raises(RuntimeFault) as caught:
        read_env_files(container, {"v": volume})
    assert caught.value.reason == "CreateContainerConfigError"
    return caught.value.message


def test_a_file_of_a_volume(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("A='1'")
    assert read_env_files(reading("d/f"), {"v": tmp_path}) == {("v", "d/f"): {"A": "1"}}


def test_a_missing_file_is_an_error_unless_it_is_optional(tmp_path: Path) -> None:
    assert refused(tmp_path, reading("f")) == "couldn't parse env file: f of volume v: it does not exist"
    assert read_env_files(reading("f", optional=True), {"v": tmp_path}) == {}
    with pytest.raises(RuntimeFault, match='cannot find the volume "v" referenced by FileKeyRef'):
        read_env_files(reading("f"), {})


def test_nothing_outside_of_the_volume_is_read(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("A='host'")
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "up").symlink_to("../outside")
    (volume / "absolute").symlink_to(tmp_path / "outside")
    for path in ("up", "absolute", "../outside"):
        assert "leads out of its volume" in refused(volume, reading(path, optional=True))


def test_what_is_no_file_or_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    """A FIFO would keep the agent waiting, a device could give anything."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    (tmp_path / "bytes").write_bytes(b"A='\xff'")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 30)
    for path, why in (
        ("fifo", "it is not a regular file"),
        ("directory", "it is not a regular file"),
        ("bytes", "codec can't decode"),
        ("large", "it is larger than 1 MiB"),
    ):
        assert why in refused(tmp_path, reading(path))
