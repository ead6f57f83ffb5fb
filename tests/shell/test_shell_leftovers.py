"""What is left of pods that nobody knows goes, once it is certain that nobody does."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from minikubelet.core.events import AgentStarted, AnyEvent, ManifestsJudged, RuntimeListed, SourceSynced
from minikubelet.core.reducer import Reducer
from minikubelet.model.ids import PodUid, Source, slot_key
from minikubelet.model.pod import Container, ObjectMeta, Pod, PodSpec
from minikubelet.shell.leftovers import Leftovers
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.systemclock import SystemClock
from minikubelet.shell.vault import Vault

UID = PodUid("lost")
POD = Pod(
    metadata=ObjectMeta(name="web", namespace="default", uid=UID),
    spec=PodSpec(containers=(Container(name="main", image="app:1"),)),
)
STARTED = AgentStarted(node="n", boot="b", sources=(Source.FILE,), has_api=False)
CERTAIN: tuple[AnyEvent, ...] = (STARTED, RuntimeListed(), SourceSynced(source=Source.FILE))


def swept(tmp_path: Path, events: tuple[AnyEvent, ...], *, offered: bool = False) -> Vault:
    """A vault that holds a pod, after a look for what is left."""
    vault = Vault(PodPaths(tmp_path, tmp_path / "logs"))

    async def main() -> None:
        await vault.store(POD)
        if not offered:
            vault.retract(UID)
        await leftovers(vault, events).sweep()

    asyncio.run(main())
    return vault


def leftovers(vault: Vault, events: tuple[AnyEvent, ...] = CERTAIN) -> Leftovers:
    """Those of a node that has seen these events."""
    reducer = Reducer()
    for seq, event in enumerate(events, 1):
        reducer.decide(seq, seq, event)
    return Leftovers(reducer, vault, SystemClock())


def test_what_nobody_knows_is_removed(tmp_path: Path) -> None:
    vault = swept(tmp_path, CERTAIN)
    assert not vault.paths.pod(UID).exists()
    assert vault.get(UID) is None


@pytest.mark.parametrize(
    "events",
    [
        (STARTED,),
        (STARTED, RuntimeListed()),
        (STARTED, SourceSynced(source=Source.FILE)),
        (*CERTAIN, ManifestsJudged(rejected=(("web.yaml", "broken"),))),
    ],
)
def test_nothing_is_removed_while_it_may_belong_to_somebody(
    tmp_path: Path, events: tuple[AnyEvent, ...]
) -> None:
    vault = swept(tmp_path, events)
    assert vault.paths.definition(UID).is_file()


def test_what_a_source_has_just_offered_stays(tmp_path: Path) -> None:
    vault = swept(tmp_path, CERTAIN, offered=True)
    assert vault.paths.definition(UID).is_file()
    assert vault.get(UID) == POD


def test_a_node_without_pods_has_nothing_to_sweep(tmp_path: Path) -> None:
    vault = Vault(PodPaths(tmp_path, tmp_path / "logs"))
    asyncio.run(leftovers(vault).sweep())
    assert not vault.paths.pods().exists()


def test_logs_go_with_their_pod_and_a_directory_without_a_definition_goes_as_well(tmp_path: Path) -> None:
    vault = Vault(PodPaths(tmp_path, tmp_path / "logs"))
    logs = vault.paths.log_directory(slot_key("default", "web"), UID)
    logs.mkdir(parents=True)
    bare = vault.paths.volume(PodUid("bare"), "empty-dir", "data")
    bare.mkdir(parents=True)

    async def main() -> None:
        await vault.store(POD)
        vault.retract(UID)
        await leftovers(vault).sweep()

    asyncio.run(main())
    assert not logs.exists()
    assert not vault.paths.pod(PodUid("bare")).exists()


def test_a_pod_in_memory_that_nobody_knows_is_forgotten(tmp_path: Path) -> None:
    """It came again while what was left of it was removed, and went."""
    vault = Vault(PodPaths(tmp_path, tmp_path / "logs"))

    async def main() -> None:
        await vault.store(POD)
        vault.retract(UID)
        vault.paths.remove(slot_key("default", "web"), UID, keep_definition=False)
        await leftovers(vault).sweep()

    asyncio.run(main())
    assert vault.get(UID) is None


def test_what_cannot_be_removed_is_said_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise OSError(16, "something is mounted here; unmount it")

    monkeypatch.setattr(PodPaths, "remove", busy)
    with capture_logs() as logs:
        vault = swept(tmp_path, CERTAIN)
    assert [line["event"] for line in logs] == ["what is left of a pod cannot be removed"]
    assert vault.get(UID) == POD


def test_a_pod_that_comes_while_its_remains_go_has_its_definition_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault(PodPaths(tmp_path, tmp_path / "logs"))
    remove, gone = PodPaths.remove, []

    def slow(paths: PodPaths, *args: Any, **more: Any) -> None:
        remove(paths, *args, **more)
        gone.append("removed")

    monkeypatch.setattr(PodPaths, "remove", slow)
    monkeypatch.setattr(vault, "offered", lambda _: bool(gone))

    async def main() -> None:
        await vault.store(POD)
        await leftovers(vault).sweep()

    asyncio.run(main())
    assert gone == ["removed"]
    assert vault.paths.definition(UID).exists()
