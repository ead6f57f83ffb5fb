"""What can be seen of the process of an engine."""

import os
import socket
from pathlib import Path

import pytest

from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.runtimes.docker.dockerengine import Engine
from minikubelet.runtimes.docker.dockerhost import in_user_namespace, of_another_user, same_mounts
from minikubelet.runtimes.docker.dockerpaths import check_user


def test_an_engine_is_asked_whose_mounts_it_sees(state_dir: Path) -> None:
    path = state_dir / "e.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()
        assert same_mounts(path)
    assert not same_mounts(path)
    assert not same_mounts(None)


def test_an_engine_is_asked_whose_process_it_is(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, me = state_dir / "e.sock", os.geteuid()
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()
        assert of_another_user(path) is None
        check_user(Engine(f"unix://{path}"))
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
        assert of_another_user(path) == me
        with pytest.raises(RuntimeFault, match=f"belongs to user {me}, while this agent is user {me + 1}"):
            check_user(Engine(f"unix://{path}"))
    assert of_another_user(path) is None
    check_user(Engine("tcp://127.0.0.1:1"))


@pytest.mark.parametrize(
    ("mapped", "inside"),
    [("0 0 4294967295\n", False), ("0 1001 1\n1 165536 65536\n", True), ("", True), ("?", False)],
)
def test_a_user_namespace_is_told_by_its_map(tmp_path: Path, mapped: str, *, inside: bool) -> None:
    table = tmp_path / "uid_map"
    table.write_text(mapped, encoding="ascii")
    assert in_user_namespace(table) is inside
    assert not in_user_namespace(tmp_path / "none")
