"""What is left of pods that nobody knows goes, once it is certain that nobody does."""

import asyncio
from pathlib import Path

import pytest

from minikubelet.core.events import AgentStarted, AnyEvent, ManifestsJudged, RuntimeListed, SourceSynced
from minikubelet.core.reducer import Reducer
from minikubelet.model.ids import PodUid, Source
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
    vault = Vault(PodPaths(tmp_path, tmp_path / "logs"))
    reducer = Reducer()
    for seq, event in enumerate(events, 1):
        reducer.decide(seq, seq, event)

    async def main() -> None:
        await vault.store(POD)
        if not offered:
            vault.retract(UID)
        await Leftovers(reducer, vault, SystemClock()).sweep()

    asyncio.run(main())
    return vault


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
    reducer = Reducer()
    for seq, event in enumerate(CERTAIN, 1):
        reducer.decide(seq, seq, event)
    asyncio.run(Leftovers(reducer, vault, SystemClock()).sweep())
    assert not vault.paths.pods().exists()
