"""Answers name what is at the root, what they leave out, and what would otherwise go by without a word."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from minikubelet.core import events as e
from minikubelet.model.pod import ProbeKind
from minikubelet.replay.replaymoments import span
from tests.replay.history_scripts import layers
from tests.replay.replay_world import Ran, parse, run_command, shop
from tests.replay.scripted_world import World

LAYERED = """
apiVersion: v1
kind: Pod
metadata: {name: layered}
spec:
  initContainers:
  - {name: proxy, image: "busybox:1.36", restartPolicy: Always}
  containers:
  - {name: main, image: "busybox:1.36"}
"""
Capture = pytest.CaptureFixture[str]
SETUP = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n"
    "  initContainers: [{name: setup, image: i}]\n  containers: [{name: app, image: i}]\n"
)
PROBED = (
    "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n"
    "  containers: [{name: app, image: i, readinessProbe: {exec: {command: [ok]}}}]\n"
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    shop().write_segments(tmp_path / "journal")
    return tmp_path / "journal"


def ask(capsys: Capture, path: Path, world: World, *words: str) -> Ran:
    world.write_segments(path / "journal")
    return run_command(capsys, *words, default=path / "journal")


def failing_setup() -> World:
    world = World()
    world.start()
    pod = world.manifest(SETUP)
    for _ in range(2):
        world.exit(pod, "setup", 7, "Error")
    return world


def test_what_waits_for_an_init_container_is_told_why_that_does_not_end(
    tmp_path: Path, capsys: Capture
) -> None:
    world = failing_setup()
    for words in (("why-not", "a", "ready"), ("why-not", "a/app", "start")):
        ran = ask(capsys, tmp_path, world, *words)
        assert "init container setup has to come first: back-off ends in " in ran.out
        assert "it exited with 7 Error" in ran.out


def test_files_of_other_kinds_are_named(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    world.tell(e.ManifestsJudged(accepted=2, foreign=(("job.yaml", "kind Job is not run"),)))
    world.tell(e.ManifestsJudged(rejected=(("/etc/manifests", "there is no such folder"),)))
    told = ask(capsys, tmp_path, world, "timeline").out
    assert "all 2 manifests are sound; no pods, and not run: job.yaml" in told
    assert "the manifest folder cannot be used: /etc/manifests: there is no such folder" in told


def test_a_pod_that_a_file_of_another_kind_was_to_make_is_told_so(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    world.tell(e.ManifestsJudged(foreign=(("job.yaml", "kind Job is not run"),)))
    ran = ask(capsys, tmp_path, world, "why", "job")
    assert (ran.code, "job.yaml makes no pod: kind Job is not run" in ran.err) == (2, True)


def test_a_folder_that_is_missing_holds_cleanup_back(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    pod = world.manifest(SETUP)
    world.start(gone=pod.metadata.uid, rejected=(("/etc/manifests", "there is no such folder"),))
    ran = ask(capsys, tmp_path, world, "why-not", "a", "delete")
    assert "the folder /etc/manifests cannot be used, and the pod may stand in it" in ran.out


def test_before_a_source_is_listed_it_may_hold_the_pod(tmp_path: Path, capsys: Capture) -> None:
    world = failing_setup()
    ran = ask(capsys, tmp_path, world, "why-not", "a", "start", "--at", "1")
    assert "the manifest folder has not been listed yet: it may hold the pod" in ran.out


def test_where_only_a_status_was_told_that_is_it(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    pod = world.manifest(PROBED)
    world.segment()
    world.probe(pod, "app", ProbeKind.READINESS, passed=True)
    world.write_segments(tmp_path / "journal")
    min((tmp_path / "journal").glob("*.mkj")).unlink()
    ran = run_command(capsys, "why", "a", default=tmp_path / "journal")
    assert (ran.code, "publish status" in ran.out) == (0, True), ran


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("timeline", "--html", "-"), "needs a file's name"),
        (("timeline", "--html", "x.html", "-o", "json"), "ask for one at a time"),
        (("diff", "a.mkx", "b.mkx", "--journal", "c.mkx"), "three journals are named"),
        (("diff", "a.mkx", "--journal", "c.mkx"), "two journals are named"),
        (("state", "--at", "1" * 5000), "no history has so many records"),
        (("what-if", "--set", "²", "a=1"), "is no seq"),
        (("what-if", "--set", "5", "sources[²]=api"), "there is no"),
        (("what-if", "--setting", "maxPods.foo=1"), "maxPods.foo"),
        (("timeline", "--since", "10x"), "or how long before the end (10m)"),
        (("tail", "--from", "3", "-n", "4"), "leave one of them out"),
        (("shrink", "--decision", "9", "-o", "x.mkx", "--pytest", "/none/t.py"), "no directory /none"),
        (("shrink", "--decision", "9", "-o", "/none/x.mkx"), "no directory /none"),
    ],
)
def test_what_would_be_ignored_is_refused(
    journal: Path, capsys: Capture, words: tuple[str, ...], hint: str
) -> None:
    ran = run_command(capsys, *words, default=journal)
    assert (ran.code, hint in ran.err) == (2, True), ran


def test_a_number_is_a_seq(journal: Path, capsys: Capture) -> None:
    told = run_command(capsys, "timeline", "--since", "100", "--until", "101", default=journal).out
    assert len(told.splitlines()) == 3


def test_nothing_after_a_seq_is_said(journal: Path, capsys: Capture) -> None:
    ran = run_command(capsys, "tail", "--from", "9999", default=journal)
    assert (ran.out, "no record from 9999 on" in ran.err) == ("", True)
    assert run_command(capsys, "tail", "--from", "0", default=journal).err == ""


def test_a_state_directory_is_no_journal_and_has_one(journal: Path, capsys: Capture) -> None:
    ran = run_command(capsys, "replay", str(journal.parent))
    assert (ran.code, f"did you mean {journal}?" in ran.err) == (2, True)


def test_where_the_agent_set_aside_what_it_could_not_use_is_said(journal: Path, capsys: Capture) -> None:
    sorted(journal.glob("*.mkj"))[1].unlink()
    for words in (("replay",), ("timeline",)):
        ran = run_command(capsys, *words, default=journal)
        assert "set aside" not in ran.out + ran.err
    (journal / "quarantine").mkdir()
    for words in (("replay",), ("timeline",)):
        ran = run_command(capsys, *words, default=journal)
        assert f"it has set aside in {journal}/quarantine" in ran.out + ran.err


@pytest.mark.parametrize(
    "words",
    [
        ("timeline", "--html", ""),
        ("timeline", "--pod", ""),
        ("export", "--pod", "", "-o", "x.mkx"),
        ("export", "--last", "", "-o", "x.mkx"),
        ("state", "--pod", ""),
        ("why", "web", ""),
        ("why", "web", "--at", ""),
        ("why-not", "", "start"),
        ("what-if", "--drop", "5", "--pod", ""),
        ("diff", "--at", "", "5"),
    ],
)
def test_an_empty_word_does_not_stand_for_all(capsys: Capture, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*words)
    assert (ended.value.code, "it is empty" in capsys.readouterr().err) == (2, True)


def test_an_action_is_one_whatever_lies_in_the_working_directory(
    journal: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("start", "anything"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert run_command(capsys, "why", "web", "start", default=journal).code == 0
    assert run_command(capsys, "why", "web", default=journal).code == 0


def test_one_journal_that_an_option_names_is_compared_with_today(journal: Path, capsys: Capture) -> None:
    assert run_command(capsys, "diff", "--journal", str(journal)).code == 0


def test_why_not_names_what_ended_the_pod(tmp_path: Path, capsys: Capture) -> None:
    layers().write_segments(tmp_path / "j")
    said = run_command(capsys, "why-not", "slow", "start", default=tmp_path / "j").out
    assert "the pod has ended for good: activeDeadlineSeconds has passed" in said


def test_why_not_ready_tells_of_sidecars(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    pod = world.manifest(LAYERED)
    world.exit(pod, "proxy", 1, "Error")
    world.exit(pod, "proxy", 1, "Error")
    world.write_segments(tmp_path / "j")
    for name in ("layered", "layered/proxy"):
        said = run_command(capsys, "why-not", name, "ready", default=tmp_path / "j").out
        assert "back-off ends in 10s" in said, said


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(79_990_000, "1m20s"), (9_960_000, "10s"), (-400, "0ms"), (999_999, "999ms"), (59_990_000, "1m00s")],
)
def test_durations_are_rounded(microseconds: int, text: str) -> None:
    assert span(microseconds) == text


def test_a_journal_that_this_user_may_not_read_is_named_so(
    journal: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def refuse(path: Path, *words: Any, **more: Any) -> Any:
        if path.suffix == ".mkj":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, *words, **more)

    monkeypatch.setattr(Path, "open", refuse)
    ran = run_command(capsys, "replay", str(journal))
    assert (ran.code, "cannot be read: Permission denied" in ran.err) == (2, True), ran


def test_of_a_status_the_states_of_containers_are_told_first(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    pod = world.manifest(LAYERED.replace(", restartPolicy: Always", ""))
    world.exit(pod, "proxy", 0)
    for _ in range(2):
        world.exit(pod, "main", 1, "Error")
    world.write_segments(tmp_path / "j")
    told = run_command(capsys, "why", "layered/main", "back-off", default=tmp_path / "j").out
    assert "CrashLoopBackOff" in told
