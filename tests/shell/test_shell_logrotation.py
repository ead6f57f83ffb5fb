"""Log rotation: by size, so many files, the older ones compressed, nothing lost when the runtime refuses."""

import gzip
from pathlib import Path

import pytest

from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.shell.logrotation import LogRotation, rotated_logs
from minikubelet.shell.podpaths import PodPaths
from tests.running import run
from tests.shell.shell_world import SLOT, UID, FakeRuntime, exited, running, shown

DAY = 1_700_000_000.0


class Writing(FakeRuntime):
    """A runtime that begins a new log when it is told to."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self.log = log
        self.refuses = False

    async def reopen_container_log(self, container_id: str) -> None:
        self._called("reopen", container_id)
        if self.refuses:
            raise RuntimeFault("ReopenContainerLog", f"no {container_id}")
        self.log.touch()


class World:
    """One container whose log may grow to ten bytes, in three files."""

    def __init__(self, directory: Path) -> None:
        self.paths = PodPaths(directory / "state", directory / "logs")
        self.log = self.paths.log(SLOT, UID, "main", 0)
        self.log.parent.mkdir(parents=True)
        self.runtime = Writing(self.log)
        self.runtime.shown[UID] = shown(running("c1"))
        self.now = DAY

    def look(self, size: int = 10, files: int = 3) -> None:
        rotation = LogRotation(
            self.runtime, self.paths, size=size, files=files, every=60.0, now=lambda: self.now
        )
        run(rotation.once())

    def grow(self, text: str) -> None:
        self.log.write_text(text)
        self.look()
        self.now += 1

    def names(self) -> list[str]:
        return sorted(p.name for p in self.log.parent.iterdir())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_log_is_rotated_once_it_is_too_large(world: World) -> None:
    world.grow("short")
    assert world.names() == ["0.log"]
    world.grow("long enough")
    assert world.names() == ["0.log", "0.log.20231114-221321"]
    assert (world.log.read_text(), world.runtime.calls[-1]) == ("", "reopen c1")


def test_the_latest_rotated_stays_plain_and_older_ones_are_packed_then_removed(world: World) -> None:
    for number in range(4):
        world.grow(f"text number {number}")
    assert world.names() == ["0.log", "0.log.20231114-221322.gz", "0.log.20231114-221323"]
    packed, plain = rotated_logs(world.log)
    assert (gzip.decompress(packed.read_bytes()), plain.read_text()) == (b"text number 2", "text number 3")


def test_what_a_crash_left_is_cleared_away(world: World) -> None:
    (world.log.parent / "0.log.20230101-000000.tmp").write_text("half")
    (world.log.parent / "0.log.20230102-000000").write_text("packed already")
    (world.log.parent / "0.log.20230102-000000.gz").write_bytes(gzip.compress(b"packed already"))
    world.grow("long enough")
    assert world.names() == ["0.log", "0.log.20230102-000000.gz", "0.log.20231114-221320"]


def test_logs_of_ended_containers_and_other_files_are_left_alone(world: World) -> None:
    world.runtime.shown[UID] = shown(exited("c1", 0))
    (world.log.parent / "1.log").write_text("another one")
    world.grow("long enough")
    assert world.names() == ["0.log", "1.log"]


def test_a_refusal_loses_nothing(world: World) -> None:
    world.runtime.refuses = True
    world.grow("long enough")
    assert world.names() == ["0.log"]
    assert world.log.read_text() == "long enough"


def test_twice_in_a_second_waits_for_the_next_look(world: World) -> None:
    world.log.write_text("long enough")
    world.look()
    world.log.write_text("long again")
    world.look()
    assert world.log.read_text() == "long again"
    world.now += 1
    world.look()
    assert world.log.read_text() == ""


def test_a_log_that_is_not_there_is_no_trouble(world: World) -> None:
    world.look()
    assert world.runtime.calls == ["list_pods"]


@pytest.mark.parametrize("size", [0, -1])
def test_rotation_can_be_switched_off(world: World, size: int) -> None:
    rotation = LogRotation(world.runtime, world.paths, size=size, files=3, every=0.0, now=lambda: DAY)
    run(rotation.run())
    assert world.runtime.calls == []
