"""Log rotation on a real engine: a container that writes all the time loses no line."""

import gzip
from pathlib import Path

import pytest

from minikubelet.model.ids import PodUid
from minikubelet.shell.logrotation import LogRotation, rotated_logs
from tests.running import eventually
from tests.shell.docker_pods import Node, on_node, slot_of

pytestmark = pytest.mark.docker

SCRIPT = "i=0; while :; do i=$((i+1)); echo line $i; [ $((i % 50)) = 0 ] && sleep 0.05; done"
ENOUGH = 4


def _lines(file: Path) -> list[int]:
    body = file.read_bytes()
    text = (gzip.decompress(body) if file.suffix == ".gz" else body).decode()
    return [int(line.rpartition(" ")[2]) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def test_no_line_is_lost_or_doubled_when_logs_are_rotated(
    docker_host: str, docker_namespace: str, state_dir: Path
) -> None:
    async def test(node: Node) -> None:
        pod = await node.start({"command": ["sh", "-c", SCRIPT]})
        log = node.paths.log(slot_of(pod.pod), PodUid(pod.pod.metadata.uid), "main", 0)
        clock = iter(range(1_700_000_000, 1_800_000_000))
        rotation = LogRotation(
            node.runtime, node.paths, size=20_000, files=1000, every=60.0, now=lambda: float(next(clock))
        )

        async def rotated() -> bool:
            await rotation.once()
            return len(rotated_logs(log)) >= ENOUGH

        await eventually(rotated, "some rotations", every=0.2)
        await eventually(lambda: log.exists() and _lines(log), "lines after the last rotation")
        numbers = [number for file in (*rotated_logs(log), log) for number in _lines(file)]
        assert numbers == list(range(1, len(numbers) + 1))
        await pod.clean_up()

    on_node((docker_host, docker_namespace, state_dir), test)
