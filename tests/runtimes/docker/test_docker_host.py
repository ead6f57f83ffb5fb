"""What can be seen of the process of an engine."""

import socket
from pathlib import Path

from minikubelet.runtimes.docker.dockerhost import same_mounts


def test_an_engine_is_asked_whose_mounts_it_sees(state_dir: Path) -> None:
    path = state_dir / "e.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        engine.listen()
        assert same_mounts(path)
    assert not same_mounts(path)
    assert not same_mounts(None)
