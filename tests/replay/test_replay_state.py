"""The state at a moment is what the agent knew then, and differences name fields."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
import yaml

from minikubelet.core.commands import PublishStatus
from minikubelet.journal.journalreader import JournalReader
from minikubelet.ports.journalport import RecordKind
from minikubelet.wire.pod_codec import to_json
from minikubelet.wire.records import decode_command
from tests.replay.replay_world import Ran, parse, run_command, shop

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    shop().write_segments(tmp_path / "journal")
    return tmp_path / "journal"


def ask(capsys: Capture, journal: Path, *words: str) -> Ran:
    return run_command(capsys, *words, default=journal)


def test_the_state_shows_the_status_that_was_published_then(journal: Path, capsys: Capture) -> None:
    published = 0
    for record in shop().records:
        command = decode_command(record.body) if record.kind is RecordKind.COMMAND else None
        if not isinstance(command, PublishStatus):
            continue
        seq = max(record.causes)
        ran = ask(capsys, journal, "state", "--at", str(seq), "-o", "json")
        found = {pod["metadata"]["uid"]: pod for pod in json.loads(ran.out)["items"]}
        assert found[command.uid]["status"] == to_json(command.status)
        published += 1
    assert published > 10


def test_yaml_and_table_show_the_same_pods(journal: Path, capsys: Capture) -> None:
    items = yaml.safe_load(ask(capsys, journal, "state", "--at", "45").out)["items"]
    assert [item["metadata"]["name"] for item in items] == ["web-node-a", "web-node-a"]
    assert items[0]["apiVersion"] == "v1"
    table = ask(capsys, journal, "state", "-o", "table").out
    assert "CrashLoopBackOff" in table
    assert "finished" in table
    one = yaml.safe_load(ask(capsys, journal, "state", "--pod", "job").out)
    assert one["kind"] == "Pod"


def test_a_time_finds_the_same_state_as_the_seq_before_it(journal: Path, capsys: Capture) -> None:
    by_time = ask(capsys, journal, "state", "--at", "2026-05-28T20:26:54Z", "-o", "table").out
    assert "CrashLoopBackOff" not in by_time
    assert "2/2" in by_time


def test_before_the_first_record_there_is_no_state(journal: Path, capsys: Capture) -> None:
    ran = ask(capsys, journal, "state", "--at", "2020-01-01T00:00:00Z")
    assert (ran.code, "the journal begins with seq 1, 2026-" in ran.err) == (2, True), ran.err


@pytest.mark.parametrize(
    ("command", "at", "said"),
    [
        ("state", "9999", "the journal ends with record 121: this is how things stood at seq 119"),
        ("state", "2027-01-01T00:00:00Z", "what came after it is not known"),
        ("why-not web start", "9999", "the journal ends with record 121"),
        ("diff", "9999 50", "the journal ends with record 121"),
    ],
)
def test_a_moment_behind_the_end_is_told(
    journal: Path, capsys: Capture, command: str, at: str, said: str
) -> None:
    ran = ask(capsys, journal, *command.split(), "--at", *at.split())
    assert said in ran.err, ran


def test_what_is_lost_is_told_with_the_moment_before(journal: Path, capsys: Capture) -> None:
    parts = sorted(path for path in journal.iterdir() if path.suffix == ".mkj")
    lost, behind = (JournalReader(part).headers()[0].first for part in parts[1:3])
    parts[1].unlink()
    for command in ("state", "why-not web start"):
        ran = ask(capsys, journal, *command.split(), "--at", str(lost + 3))
        assert f"records {lost} to {behind - 1} are lost: this is how things stood at seq" in ran.err
        assert "damage: " in ran.err
    assert "are lost:" not in ask(capsys, journal, "state", "--at", str(lost - 1)).err


def test_a_container_is_no_pod(journal: Path, capsys: Capture) -> None:
    ran = ask(capsys, journal, "state", "--pod", "web/app")
    assert (ran.code, "leave /app out" in ran.err) == (2, True)


def test_two_journals_are_compared_as_a_whole(journal: Path, capsys: Capture) -> None:
    ran = ask(capsys, journal, "diff", str(journal), str(journal), "--pod", "web")
    assert (ran.code, "--pod goes with --at" in ran.err) == (2, True)


def test_causes_that_one_journal_has_lost_are_no_difference(journal: Path, capsys: Capture) -> None:
    cut = journal.parent / "cut"
    shutil.copytree(journal, cut)
    sorted(path for path in cut.iterdir() if path.suffix == ".mkj")[1].unlink()
    ran = ask(capsys, journal, "diff", str(journal), str(cut))
    assert (ran.code, " 0 of them with other decisions" in ran.out) == (1, True), ran
    assert "damage: " in ran.err


def test_two_moments_differ_in_fields_and_pods(journal: Path, capsys: Capture) -> None:
    ran = ask(capsys, journal, "diff", "--at", "45", "60", "--pod", "web")
    assert ran.code == 1
    assert "is gone" in ran.out
    assert 'state.waiting.reason: "PodInitializing" → "ErrImagePull"' in ran.out
    assert ask(capsys, journal, "diff", "--at", "45", "45").code == 0


def test_two_journals_differ_in_grouped_decisions(journal: Path, tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    for _, records in world.parts:
        for index, record in enumerate(records):
            body = bytes(record.body).replace(b'"grace":5', b'"grace":9')
            records[index] = msgspec.structs.replace(record, body=msgspec.Raw(body))
    world.write_segments(tmp_path / "other")
    ran = ask(capsys, journal, "diff", str(journal), str(tmp_path / "other"))
    assert ran.code == 1
    assert "StopContainer differs in grace" in ran.out
    assert "grace: 5 → 9" in ran.out
    same = ask(capsys, journal, "diff", str(journal), str(journal))
    assert (same.code, "0 of them with other decisions" in same.out) == (0, True)


def test_a_decision_of_one_journal_only_is_told(journal: Path, tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    records = world.parts[1][1]
    index = next(n for n, r in enumerate(records) if b'"kind":"StopContainer"' in bytes(r.body))
    records[index] = msgspec.structs.replace(
        records[index], body=msgspec.Raw(b'{"kind":"WakeAt","slot":"shop/x","reason":"Timer","at":1}')
    )
    world.write_segments(tmp_path / "other")
    ran = ask(capsys, journal, "diff", str(journal), str(tmp_path / "other"))
    assert "StopContainer (PodReplaced) is decided only in the first" in ran.out
    assert "WakeAt (Timer) is decided only in the second" in ran.out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("diff",), "name two journals"),
        (("diff", "nowhere", "nowhere"), "there is no such journal"),
        (("diff", "a", "b", "--at", "1", "2"), "leave the second journal out"),
        (("diff", "--at", "1", "x"), "is no moment"),
        (("state", "--pod", "wep"), "did you mean shop/web?"),
        (("state", "--journal", ""), "the path of the journal is empty"),
    ],
)
def test_wrong_usage_is_said(journal: Path, capsys: Capture, words: tuple[str, ...], hint: str) -> None:
    ran = ask(capsys, journal, *words)
    assert (ran.code, hint in ran.err) == (2, True), ran


def test_a_journal_that_ends_with_a_snapshot_is_shown_as_it_stood(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    world.write_segments(tmp_path / "before")
    world.segment()
    world.write_segments(tmp_path / "after")
    for words in (("state", "-o", "yaml", "--pod", "job"), ("why-not", "web", "ready")):
        before = run_command(capsys, *words, default=tmp_path / "before")
        after = run_command(capsys, *words, default=tmp_path / "after")
        assert (after.code, before.code) == (0, 0), after.err
        assert after.out.splitlines()[1:] == before.out.splitlines()[1:]


def test_damage_that_may_have_held_a_pod_is_told(journal: Path, capsys: Capture) -> None:
    for path in sorted(journal.glob("*.mkj"))[1:]:
        path.write_bytes(path.read_bytes()[:20])
    for words in (("state", "--pod", "job"), ("why", "job")):
        ran = ask(capsys, journal, *words)
        assert (ran.code, "damage: " in ran.err, "no pod 'job'" in ran.err) == (2, True, True), ran


def test_a_missing_word_is_named_as_the_help_names_it(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        parse("why")
    assert "arguments are required: POD[/CONTAINER]\n" in capsys.readouterr().err


def test_filters_that_nothing_passes_are_no_typo_of_a_kind(journal: Path, capsys: Capture) -> None:
    ran = ask(capsys, journal, "timeline", "--since", "20", "--until", "10")
    assert (ran.code, "nothing passes these filters" in ran.err) == (1, True), ran
    assert "did you mean" not in ran.err
