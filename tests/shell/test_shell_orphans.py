"""What pods left that nobody knows: removed once everything is told, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from minikubelet.core.events import AgentStarted, ManifestsJudged, PodSet, RuntimeListed, SourceSynced
from minikubelet.core.reducer import Reducer
from minikubelet.model.ids import PodUid, Source
from minikubelet.shell.orphans import Orphans
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.vault import Vault
from tests.running import run
from tests.shell.shell_world import SLOT, UID, pod

NOW = 1_700_000_000_000_000


class World:
    """An agent's state, and directories of a known and an unknown pod."""

    def __init__(self, directory: Path) -> None:
        self.paths = PodPaths(directory / "state", directory / "logs")
        self.vault = Vault(self.paths)
        self.reducer = Reducer()
        self.orphans = Orphans(self.reducer, self.vault)
        self.seq = 0
        self.left = self.leave("unknown")
        self.logs = self.paths.log_directory(SLOT, PodUid("unknown"))
        self.logs.mkdir(parents=True)
        self.feed(AgentStarted(node="n", boot="1", sources=(Source.FILE,), has_api=False))

    def leave(self, uid: str) -> Path:
        """What an earlier life of the agent kept of a pod."""
        run(Vault(self.paths).store(pod(uid=uid)))
        volume = self.paths.volume(PodUid(uid), "empty-dir", "data")
        volume.mkdir(parents=True)
        (volume / "file").write_text("text", encoding="utf-8")
        return self.paths.pod(PodUid(uid))

    def feed(self, event: Any) -> None:
        self.seq += 1
        self.reducer.decide(self.seq, NOW + self.seq, event)

    def known(self) -> None:
        """Everything has been told."""
        self.vault.load()
        self.feed(RuntimeListed())
        self.feed(SourceSynced(source=Source.FILE))

    def look_twice(self) -> None:
        run(self.orphans.once())
        run(self.orphans.once())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_nothing_goes_before_all_sources_and_the_runtime_were_listed(world: World) -> None:
    world.look_twice()
    world.feed(RuntimeListed())
    world.look_twice()
    assert world.left.exists()


def test_nothing_goes_while_a_manifest_is_broken(world: World) -> None:
    world.known()
    world.feed(ManifestsJudged(rejected=(("a.yaml", "broken"),)))
    world.look_twice()
    assert world.left.exists()
    world.feed(ManifestsJudged())
    world.look_twice()
    assert not world.left.exists()


def test_what_nobody_knows_goes_with_its_logs_at_the_second_look(world: World) -> None:
    world.known()
    run(world.orphans.once())
    assert world.left.exists()
    run(world.orphans.once())
    assert not world.left.exists()
    assert not world.logs.exists()
    assert world.vault.get(PodUid("unknown")) is None


def test_known_and_wanted_pods_keep_their_directories(world: World) -> None:
    kept = world.leave(UID)
    arriving = world.leave("arriving")
    world.known()
    run(world.vault.store(pod(uid="arriving")))
    world.feed(PodSet(source=Source.FILE, slot=SLOT, uid=UID, pod=pod()))
    world.look_twice()
    assert not world.left.exists()
    assert kept.exists()
    assert arriving.exists()


def test_a_directory_without_a_definition_goes_as_well(world: World) -> None:
    bare = world.paths.pod(PodUid("bare"))
    (bare / "volumes").mkdir(parents=True)
    world.known()
    world.look_twice()
    assert not bare.exists()


def test_what_cannot_be_removed_is_said_and_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise OSError(16, "something is mounted here; unmount it")

    world.known()
    monkeypatch.setattr(PodPaths, "remove", busy)
    with capture_logs() as logs:
        world.look_twice()
    assert [line["event"] for line in logs] == ["what an unknown pod left cannot be removed"]
    assert world.left.exists()


def test_a_pod_that_comes_while_its_remains_go_has_its_definition_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.known()
    remove = PodPaths.remove

    def slow(paths: PodPaths, *args: Any, **more: Any) -> None:
        remove(paths, *args, **more)
        run_elsewhere.append("removed")

    run_elsewhere: list[str] = []
    monkeypatch.setattr(PodPaths, "remove", slow)
    monkeypatch.setattr(world.vault, "offered", lambda _: bool(run_elsewhere))
    world.look_twice()
    assert run_elsewhere == ["removed"]
    assert world.paths.definition(PodUid("unknown")).exists()


def test_an_agent_without_a_directory_of_pods_has_none_left(tmp_path: Path) -> None:
    vault = Vault(PodPaths(tmp_path / "state", tmp_path / "logs"))
    run(Orphans(Reducer(), vault).once())
