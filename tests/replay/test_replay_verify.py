"""Verify finds what differs, says where and why, and agrees with itself however it is run."""

import json
from pathlib import Path

import msgspec
import pytest

from minikubelet.core.reducer import Reducer
from minikubelet.ports.journalport import Record, RecordKind, Snapshot
from minikubelet.wire.records import decode_snapshot
from tests.laws.hashseeds import same_output
from tests.replay.replay_world import run_command, shop
from tests.replay.scripted_world import World

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    shop().write_segments(tmp_path / "journal")
    return tmp_path / "journal"


def change_command(world: World, kind: str, old: bytes, new: bytes) -> Record:
    """Change the body of the first command of a kind; returns what it was."""
    for _, records in world.parts:
        for index, record in enumerate(records):
            body = bytes(record.body)
            if record.kind is RecordKind.COMMAND and f'"{kind}"'.encode() in body and old in body:
                changed = msgspec.Raw(body.replace(old, new))
                records[index] = msgspec.structs.replace(record, body=changed)
                return record
    raise AssertionError(f"no {kind} with {old!r}")


def test_a_history_verifies_as_segments_and_as_an_export(journal: Path, capsys: Capture) -> None:
    shop().write_export(journal.parent / "all.mkx")
    for path in (journal, journal.parent / "all.mkx"):
        ran = run_command(capsys, "replay", "--verify", str(path))
        assert (ran.code, "every decision matches" in ran.out) == (0, True), ran


def test_jobs_change_nothing_but_the_time(journal: Path, capsys: Capture) -> None:
    def report(*words: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(run_command(capsys, "replay", str(journal), *words).out)
        return {key: value for key, value in found.items() if key != "seconds"}

    alone, together = report("-o", "json"), report("-o", "json", "--jobs", "3")
    assert alone == together
    assert alone["snapshots"] == 2


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_changed_command_is_shown_as_a_field_diff_with_its_causes(
    tmp_path: Path, capsys: Capture, jobs: str
) -> None:
    world = shop()
    was = change_command(world, "StopContainer", b'"grace":5', b'"grace":6')
    world.write_segments(tmp_path / "j")
    ran = run_command(capsys, "replay", "--verify", str(tmp_path / "j"), "--jobs", jobs)
    assert ran.code == 1
    assert f"recorded as {was.seq}" in ran.out
    assert "grace: 6 → 5" in ran.out
    assert "pod shop/web-node-a" in ran.out
    for cause in was.causes:
        assert f"\n    {cause}  2026-" in ran.out


def test_a_missing_and_a_surplus_command_are_told_apart(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    world.manifest(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n"
    )
    records = world.parts[0][1]
    gone = next(r for r in records if b'"StartSandbox"' in bytes(r.body))
    records[records.index(gone)] = msgspec.structs.replace(
        gone, body=msgspec.Raw(b'{"kind":"WakeAt","slot":"a/b","reason":"Timer","at":1}')
    )
    world.write_segments(tmp_path / "j")
    ran = run_command(capsys, "replay", str(tmp_path / "j"))
    assert ran.code == 1
    assert f"- recorded as {gone.seq}, not decided now: WakeAt a/b" in ran.out
    assert "+ now decided, not recorded: StartSandbox default/a-node-a" in ran.out


def test_causes_are_compared_too(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    records = world.parts[0][1]
    index = next(n for n, r in enumerate(records) if len(r.causes) > 1)
    records[index] = msgspec.structs.replace(records[index], causes=records[index].causes[:1])
    world.write_segments(tmp_path / "j")
    assert "causes[1]: (absent) →" in run_command(capsys, "replay", str(tmp_path / "j")).out


def test_a_snapshot_that_is_not_the_state_before_it_diverges(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    snapshot = world.parts[1][0]
    assert snapshot is not None
    changed = snapshot.body.replace(b'"attempt":1', b'"attempt":7', 1)
    assert changed != snapshot.body
    world.parts[1] = (Snapshot(snapshot.seq, changed), world.parts[1][1])
    world.write_segments(tmp_path / "j")
    for jobs in ("1", "2"):
        ran = run_command(capsys, "replay", str(tmp_path / "j"), "--jobs", jobs)
        assert ran.code == 1
        assert "not the snapshot's" in ran.out
        assert "attempt: 7 → 1" in ran.out


def test_an_old_segment_that_is_gone_is_no_loss(journal: Path, capsys: Capture) -> None:
    min(journal.iterdir()).unlink()
    ran = run_command(capsys, "replay", str(journal))
    assert ran.code == 0
    assert "every decision matches" in ran.out


def test_a_torn_tail_is_told_and_a_corrupt_middle_fails(journal: Path, capsys: Capture) -> None:
    last = max(journal.iterdir())
    sound = last.read_bytes()
    last.write_bytes(sound[:-7])
    torn = run_command(capsys, "replay", str(journal))
    assert (torn.code, "damage: " in torn.out, "not committed" in torn.out) == (0, True, True)
    last.write_bytes(sound)
    first = min(journal.iterdir())
    data = bytearray(first.read_bytes())
    data[len(data) // 3] ^= 4
    first.write_bytes(bytes(data))
    corrupt = run_command(capsys, "replay", str(journal))
    assert (corrupt.code, "corrupt behind record" in corrupt.out) == (1, True)


def test_another_core_version_is_named(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    world.core = "0.9"
    world.write_segments(tmp_path / "j")
    assert "recorded by core version 0.9" in run_command(capsys, "replay", str(tmp_path / "j")).out


def test_compare_core_groups_what_differs(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    for _, records in world.parts:
        for index, record in enumerate(records):
            body = bytes(record.body).replace(b'"reason":"ContainerExited"', b'"reason":"Retry"')
            records[index] = msgspec.structs.replace(record, body=msgspec.Raw(body))
    world.write_segments(tmp_path / "j")
    ran = run_command(capsys, "replay", "--compare-core", str(tmp_path / "j"))
    assert ran.code == 1
    assert "x  StartContainer differs in reason" in ran.out
    assert ran.out.count("StartContainer differs in reason") == 1
    shop().write_segments(tmp_path / "same")
    assert run_command(capsys, "replay", "--compare-core", str(tmp_path / "same")).code == 0


@pytest.mark.parametrize("make", ["missing", "empty", "text", "garbage"])
def test_what_is_no_journal_is_said_in_plain_words(tmp_path: Path, capsys: Capture, make: str) -> None:
    path = tmp_path / "j"
    if make == "empty":
        path.mkdir()
    elif make == "text":
        path.write_text("hello")
    elif make == "garbage":
        path = tmp_path / "j.mkx"
        path.write_bytes(b"\x1f\x8b no gzip")
    ran = run_command(capsys, "replay", str(path))
    assert ran.code == 2
    assert str(path) in ran.err
    assert "Traceback" not in ran.err


def test_a_record_of_a_later_version_is_named(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    world.parts[0][1].append(Record(world._seq + 1, RecordKind.EVENT, 5, msgspec.Raw(b'{"kind":"Moved"}')))
    world.write_segments(tmp_path / "j")
    ran = run_command(capsys, "replay", str(tmp_path / "j"))
    assert (ran.code, f"record {world._seq + 1}" in ran.err) == (2, True), ran


def test_the_verdict_is_the_same_under_every_hash_seed(journal: Path) -> None:
    source = f"""
from minikubelet.replay.replayhistory import open_journal
from minikubelet.replay.replayverify import Verifier
from pathlib import Path
import msgspec
print(msgspec.json.encode(Verifier(open_journal(Path({str(journal)!r}))).run()).decode())
"""
    assert '"divergences":[]' in same_output(source)


def test_a_snapshot_of_an_older_form_is_compared_in_the_fields_that_it_has(
    tmp_path: Path, capsys: Capture
) -> None:
    for schema, code in (("0123abcd", 0), ("", 1)):
        world = shop()
        snapshot = world.parts[1][0]
        assert snapshot is not None
        older = snapshot.body.replace(b'"qos":"BestEffort"', b'"offered":true', 1)
        assert older != snapshot.body
        world.parts[1] = (Snapshot(snapshot.seq, older), world.parts[1][1])
        world.schema = schema or world.schema
        world.write_segments(tmp_path / f"j{code}")
        ran = run_command(capsys, "replay", str(tmp_path / f"j{code}"))
        assert ran.code == code, ran
        assert ("older form" in ran.out) is (code == 0)
    missing = shop()
    snapshot = missing.parts[1][0]
    assert snapshot is not None
    empty = snapshot.body.split(b'"slots":[')[0] + b'"slots":[]}'
    missing.parts[1] = (Snapshot(snapshot.seq, empty), missing.parts[1][1])
    missing.schema = "0123abcd"
    missing.write_segments(tmp_path / "missing")
    ran = run_command(capsys, "replay", str(tmp_path / "missing"))
    assert (ran.code, "not the snapshot's" in ran.out) == (1, True)


def test_a_life_that_began_from_a_snapshot_of_an_older_form_is_decided_from_that(
    tmp_path: Path, capsys: Capture
) -> None:
    world = shop()
    world.segment()
    snapshot, records = world.parts[-1]
    assert snapshot is not None
    older = snapshot.body.replace(b'"qos":"BestEffort"', b'"offered":true')
    assert older != snapshot.body
    world.parts[-1] = (Snapshot(snapshot.seq, older), records)
    world.schema = "0123abcd"
    world.reducer = Reducer(decode_snapshot(older))
    world.start()
    world.pass_time(600)
    world.write_segments(tmp_path / "j")
    ran = run_command(capsys, "replay", str(tmp_path / "j"))
    assert (ran.code, "older form" in ran.out) == (0, True), ran
    shown = run_command(capsys, "state", "--journal", str(tmp_path / "j"), "-o", "json")
    assert (shown.code, '"phase"' in shown.out, '"qosClass"' in shown.out) == (0, True, False), shown
    file = str(tmp_path / "j.mkx")
    ran = run_command(capsys, "export", "--journal", str(tmp_path / "j"), "-o", file)
    assert (ran.code, "every decision matches" in ran.out) == (0, True), ran
    assert "an older form of it" in ran.err
