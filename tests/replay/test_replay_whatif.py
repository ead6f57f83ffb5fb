"""What-if re-runs a changed history and shows what was recorded beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.replay.replay_world import JOB, Ran, run_command, shop

Capture = pytest.CaptureFixture[str]
TIMERS = [r.seq for r in shop().records if b'"TimerFired"' in bytes(r.body)]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    shop().write_segments(tmp_path / "journal")
    return tmp_path / "journal"


def ask(capsys: Capture, journal: Path, *words: str) -> Ran:
    return run_command(capsys, "what-if", *words, default=journal)


def differences(capsys: Capture, journal: Path, *words: str) -> dict[int, dict[str, Any]]:
    ran = ask(capsys, journal, *words, "-o", "json")
    assert ran.code == 0, ran
    return {one["seq"]: one for one in json.loads(ran.out)}


def seq_of(kind: str, *needles: str) -> int:
    for record in shop().records:
        body = bytes(record.body).decode()
        if f'"kind":"{kind}"' in body and all(needle in body for needle in needles):
            return record.seq
    raise AssertionError((kind, needles))


def kinds(commands: list[dict[str, Any]]) -> list[str]:
    return [one["command"]["kind"] for one in commands]


def test_without_an_event_its_decisions_are_missing(journal: Path, capsys: Capture) -> None:
    timer = next(
        r.seq - 1 for r in shop().records if b'"StartContainer"' in bytes(r.body) and r.seq - 1 in TIMERS
    )
    found = differences(capsys, journal, "--drop", str(timer))
    assert "StartContainer" in kinds(found[timer]["recorded"])
    assert found[timer]["whatIf"] == []
    text = ask(capsys, journal, "--drop", str(timer)).out
    assert "the event did not come  [dropped]" in text
    assert "later events stay as they were recorded" in text


def test_a_later_event_is_decided_later(journal: Path, capsys: Capture) -> None:
    job = seq_of("PodSet", "job-node-a")
    found = differences(capsys, journal, "--delay", str(job), "10s")
    assert found[job]["change"] == "delayed by 10s"
    was = next(r.at for r in shop().records if r.seq == job)
    assert found[job]["at"] == was + 10_000_000
    begun = seq_of("SandboxStarted", "job-node-a")
    assert "StartContainer" in kinds(found[begun]["recorded"])
    assert found[begun]["whatIf"] == []


def test_another_exit_code_leads_to_another_end(journal: Path, capsys: Capture) -> None:
    failed = seq_of("PodObserved", "job-node-a", '"exit_code":3')
    found = differences(capsys, journal, "--set", str(failed), "pod.containers[work].exit_code=0")
    assert "StartContainer" in kinds(found[failed]["recorded"])
    assert "StartContainer" not in kinds(found[failed]["whatIf"])
    assert "StopSandbox" in kinds(found[failed]["whatIf"])


def test_another_manifest_is_as_if_it_had_been_there_all_along(
    journal: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "job.yaml").write_text(JOB.replace("OnFailure", "Never"))
    found = differences(capsys, journal, "--manifest", str(tmp_path / "job.yaml"))
    failed = seq_of("PodObserved", "job-node-a", '"exit_code":3')
    assert "StartContainer" not in kinds(found[failed]["whatIf"])


def test_containers_are_as_if_made_from_the_other_manifest(
    journal: Path, tmp_path: Path, capsys: Capture
) -> None:
    """None of them is stopped because its definition changed: it was this one from the beginning."""
    (tmp_path / "job.yaml").write_text(JOB.replace("busybox:1.36", "busybox:1.37"))
    found = differences(capsys, journal, "--manifest", str(tmp_path / "job.yaml"))
    decided = [kind for one in found.values() for kind in kinds(one["whatIf"])]
    assert "PublishStatus" in decided
    assert "StopContainer" not in decided


def test_a_manifest_of_a_new_pod_comes_at_the_end(journal: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "new.yaml").write_text(JOB.replace("name: job", "name: new"))
    found = differences(capsys, journal, "--manifest", str(tmp_path / "new.yaml"))
    (added,) = found.values()
    assert added["change"] == "added from new.yaml"
    assert kinds(added["whatIf"])[0] == "StartSandbox"


def test_a_field_that_is_set_is_as_if_it_had_been_so_all_along(journal: Path, capsys: Capture) -> None:
    job = seq_of("PodSet", "job-node-a")
    found = differences(capsys, journal, "--set", str(job), "pod.spec.containers[work].image=busybox:1.37")
    decided = [kind for one in found.values() for kind in kinds(one["whatIf"])]
    assert "PublishStatus" in decided
    assert "StopContainer" not in decided


def test_without_an_api_server_no_mirror_is_made(journal: Path, capsys: Capture) -> None:
    found = differences(capsys, journal, "--setting", "hasApi=false")
    assert "CreateMirror" in [kind for one in found.values() for kind in kinds(one["recorded"])]
    assert "CreateMirror" not in [kind for one in found.values() for kind in kinds(one["whatIf"])]


def test_nothing_changed_changes_nothing(journal: Path, capsys: Capture) -> None:
    assert differences(capsys, journal, "--setting", "hasApi=true") == {}


def test_text_shows_both_sides_and_one_pod_alone(journal: Path, capsys: Capture) -> None:
    failed = seq_of("PodObserved", "job-node-a", '"exit_code":3')
    change = ("--set", str(failed), "pod.containers[work].exit_code=0")
    ran = ask(capsys, journal, *change, "--pod", "job")
    line = next(text for text in ran.out.splitlines() if "start container work (restart 1)" in text)
    assert "≠ -" in line
    assert "0 events lead to others" in ask(capsys, journal, *change, "--pod", "web").out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ((), "what if what?"),
        (("--drop", "99999"), "there is no event 99999"),
        (("--drop", "6"), "is a decision of event 5"),
        (("--delay", "5", "soon"), "is no duration"),
        (("--set", "5", "pod.spec.containers[app].imag=x"), "did you mean image"),
        (("--set", "5", "pod.spec.containers[apq].image=x"), "did you mean app?"),
        (("--set", "5", "source=moon"), "does not fit"),
        (("--set", "5", "pod.spec.restartPolicy=Sometimes"), "makes no pod: spec.restartPolicy"),
        (("--set", "5", "source"), "write PATH=VALUE"),
        (("--set", "x", "source=api"), "is no seq"),
        (("--setting", "hasApl=1"), "did you mean hasAPI?"),
        (("--setting", "maxPods"), "write NAME=VALUE, such as maxPods=10"),
        (("--manifest", "nowhere.yaml"), "nowhere.yaml cannot be read"),
        (("--manifest", "/dev/null"), "there is no pod in this file"),
    ],
)
def test_wrong_usage_is_said(journal: Path, capsys: Capture, words: tuple[str, ...], hint: str) -> None:
    ran = ask(capsys, journal, *words)
    assert (ran.code, hint in ran.err) == (2, True), ran


def test_text_fields_take_numbers_as_text(journal: Path, capsys: Capture) -> None:
    found = differences(capsys, journal, "--set", "5", "pod.spec.containers[app].image=3")
    status = found[5]["whatIf"][1]["command"]["status"]
    assert [one["image"] for one in status["containerStatuses"] if one["name"] == "app"] == ["3"]
