"""Which log a client is given, and when following it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikubelet.agent.locallogs import LogPlace, find_place, over
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import ContainerRecord, Generation, Life, Slot
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.nodeapi.containerlogs import LogQuery
from minikubelet.shell.podpaths import PodPaths

SLOT = SlotKey("default/web")
NOW, BEFORE = LogQuery(), LogQuery(previous=True)


def reducer(**containers: ContainerRecord) -> Reducer:
    """A state with two generations of one pod, the newer of which has these containers."""
    older = Generation(PodUid("u1"), SLOT)
    newer = Generation(PodUid("u2"), SLOT, containers=containers)
    made = Reducer()
    made.slots[SLOT] = Slot(SLOT, (older, newer))
    return made


def write(paths: PodPaths, uid: str, container: str, attempt: int) -> Path:
    path = paths.log(SLOT, PodUid(uid), container, attempt)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", encoding="utf-8")
    return path


@pytest.fixture
def paths(tmp_path: Path) -> PodPaths:
    return PodPaths(tmp_path / "s", tmp_path / "logs")


def test_the_newest_generation_with_logs_and_its_newest_instance(paths: PodPaths) -> None:
    first = write(paths, "u1", "main", 0)
    assert find_place(paths, reducer(), SLOT, "", NOW).file == first
    earlier, later = write(paths, "u2", "main", 9), write(paths, "u2", "main", 10)
    assert find_place(paths, reducer(), SLOT, "main", NOW).file == later
    assert find_place(paths, reducer(), SLOT, "", BEFORE).file == earlier


@pytest.mark.parametrize(
    ("container", "query", "said"),
    [
        ("", NOW, r"must be specified for pod web, choose one of: \['main', 'side'\]"),
        ("main", BEFORE, 'previous terminated container "main" in pod "web" not found'),
        ("other", NOW, 'container "other" in pod "web" is waiting to start'),
        ("../../u1/main", NOW, "is waiting to start"),
    ],
)
def test_what_cannot_be_given_is_said(paths: PodPaths, container: str, query: LogQuery, said: str) -> None:
    for name in ("main", "side"):
        write(paths, "u2", name, 0)
    write(paths, "u1", "main", 0)
    with pytest.raises(ValueError, match=said):
        find_place(paths, reducer(), SLOT, container, query)


def test_a_pod_that_is_not_known_has_no_logs(paths: PodPaths) -> None:
    with pytest.raises(ValueError, match="waiting to start"):
        find_place(paths, reducer(), SlotKey("default/none"), "main", NOW)


@pytest.mark.parametrize(
    ("attempt", "life", "ended"),
    [
        (-1, Life.NEVER, False),
        (0, Life.EXITED, False),
        (1, Life.RUNNING, False),
        (1, Life.EXITED, True),
        (2, Life.RUNNING, True),
    ],
)
def test_following_ends_with_the_instance(tmp_path: Path, attempt: int, life: Life, ended: bool) -> None:
    state = reducer(main=ContainerRecord("main", life, attempt=attempt))
    assert over(state, LogPlace(SLOT, PodUid("u2"), "main", tmp_path / "1.log"))() is ended


def test_following_ends_when_the_pod_is_known_no_more(tmp_path: Path) -> None:
    state = reducer()
    place = LogPlace(SLOT, PodUid("u2"), "main", tmp_path / "0.log")
    assert over(state, place)()
    state.slots.clear()
    assert over(state, place)()
