"""Frozen histories verify for ever (law 1), under every hash seed, and are not recorded anew to make them."""

from pathlib import Path

import pytest

from minikubelet.core.behaviours import TODAY, Behaviours
from minikubelet.replay.replayhistory import open_journal
from minikubelet.replay.replayverify import Verifier
from minikubelet.wire.records import CORE_VERSION
from tests.laws.hashseeds import same_output
from tests.replay.history_scripts import SCRIPTS
from tests.replay.record_histories import HISTORIES, digests, frozen, record
from tests.replay.replay_world import run_command

CHANGED = (
    "the frozen history {} leads to other decisions now. Put what changed behind a behaviour of its own"
    " (minikubelet/core/behaviours.py), and record the new version's histories beside the old ones"
)


@pytest.mark.parametrize("history", frozen(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_frozen_history_verifies(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run_command(capsys, "replay", "--verify", str(history))
    assert ran.code == 0, CHANGED.format(history.name) + "\n" + ran.out + ran.err
    assert "damage" not in ran.out


def test_frozen_histories_verify_under_every_hash_seed() -> None:
    source = """
from minikubelet.replay.replayhistory import open_journal
from minikubelet.replay.replayverify import Verifier
from tests.replay.record_histories import frozen
import msgspec
for history in frozen():
    print(history.name, msgspec.json.encode(Verifier(open_journal(history)).run()).decode())
"""
    printed = same_output(source).splitlines()
    assert len(printed) == len(frozen()) > 0
    assert all('"divergences":[]' in line for line in printed)


def test_scripts_record_the_same_bytes_under_every_hash_seed() -> None:
    source = """
import hashlib
from minikubelet.core.behaviours import TODAY
from tests.replay.history_scripts import SCRIPTS
for name, script in SCRIPTS.items():
    print(name, hashlib.sha256(b"".join(script(TODAY).segments().values())).hexdigest())
"""
    assert len(same_output(source).splitlines()) == len(SCRIPTS)


def test_frozen_files_are_those_that_were_recorded() -> None:
    listed = (HISTORIES / "FROZEN").read_text().splitlines()
    assert listed == [f"{digest}  {path}" for path, digest in digests(HISTORIES)]


def test_the_present_core_version_has_its_histories() -> None:
    names = {path.stem for path in frozen() if path.parent.name == f"core-{CORE_VERSION}"}
    assert names == set(SCRIPTS), "record them: python -m tests.replay.record_histories"
    for path in frozen():
        assert f"core-{open_journal(path).headers()[0].core}" == path.parent.name


def test_a_frozen_version_is_not_recorded_again(tmp_path: Path) -> None:
    record(tmp_path, 1)
    before = digests(tmp_path)
    with pytest.raises(FileExistsError, match="behaviour"):
        record(tmp_path, 1)
    record(tmp_path, 2)
    assert [one for one in digests(tmp_path) if one[0].startswith("core-1/")] == before


def test_histories_are_those_of_the_behaviours_that_their_version_knew() -> None:
    met: dict[str, set[Behaviours]] = {}
    for path in frozen():
        if path.stem != "upgraded":
            found = Verifier(open_journal(path)).run().behaviours
            met.setdefault(path.parent.name, set()).update(found)
    assert met == {f"core-{n}": {TODAY[: n - 1]} for n in range(1, int(CORE_VERSION) + 1)}


def test_lives_under_several_sets_of_behaviours_are_decided_as_then_and_compared_as_now(
    capsys: pytest.CaptureFixture[str],
) -> None:
    history = str(HISTORIES / f"core-{CORE_VERSION}" / "upgraded.mkx")
    ran = run_command(capsys, "replay", "--verify", history)
    assert (ran.code, "every decision matches" in ran.out) == (0, True), ran
    assert f"recorded under behaviours none and 1-{len(TODAY)}" in ran.out
    assert "each life is decided by its own" in ran.out
    for words in (("replay", "--compare-core", history), ("diff", history)):
        ran = run_command(capsys, *words)
        assert ran.code == 1
        assert f"each life is decided by today's, 1-{len(TODAY)}; new since then: 1 full grace" in ran.out
        assert "2 x  StopContainer differs in grace\n" in ran.out
        assert "team/api-0-node-a, team/api-2-node-a" in ran.out
        assert "grace: 10 → 30" in ran.out


def test_the_scripts_reach_what_a_history_can_hold() -> None:
    kinds: set[str] = set()
    reasons: set[str] = set()
    for script in SCRIPTS.values():
        for record_ in script(TODAY).records:
            body = bytes(record_.body).decode()
            kinds.add(body.split('"kind":"', 1)[1].split('"', 1)[0])
            if record_.kind == "c":
                reasons.add(body.split('"reason":"', 1)[1].split('"', 1)[0])
    assert len(kinds) >= 30, sorted(kinds)
    assert {
        "PodReplaced",
        "PodRemoved",
        "PodDeleted",
        "PodFinished",
        "DeadlineExceeded",
        "SandboxGone",
        "Unhealthy",
    } <= reasons
    assert {"Retry", "GraceShortened", "MirrorMissing", "MirrorOrphaned", "PodUnknown"} <= reasons


def test_the_verifier_would_notice(tmp_path: Path) -> None:
    world = SCRIPTS["mishaps"](TODAY)
    world.parts[0][1].pop(6)
    records = world.parts[0][1]
    world.parts[0] = (None, [type(r)(n, r.kind, r.at, r.body, r.causes) for n, r in enumerate(records, 1)])
    world.parts = world.parts[:1]
    world.write_segments(tmp_path / "j")
    assert Verifier(open_journal(tmp_path / "j")).run().divergences
