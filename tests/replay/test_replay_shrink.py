"""Shrinking leaves the fewest events that still show what is asked for, as a journal and as a test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from minikubelet.journal.journalreader import JournalReader
from minikubelet.ports.journalport import RecordKind
from minikubelet.replay.replayhistory import open_journal
from minikubelet.replay.selecting import select
from minikubelet.replay.shrinking import EMPTY, Goal, Taken, rerun, smallest
from minikubelet.wire.records import decode_command, decode_event
from tests.replay.replay_world import run_command, shop

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    shop().write_segments(tmp_path / "journal")
    return tmp_path / "journal"


def last_start() -> int:
    return [r.seq for r in shop().records if b'"kind":"StartContainer"' in bytes(r.body)][-1]


def runs(test: Path) -> bool:
    """Whether a written test passes in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={test.parent}", test],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=100, cwd=test.parent,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 0


def test_a_decision_is_left_with_what_leads_to_it(journal: Path, tmp_path: Path, capsys: Capture) -> None:
    out, test = tmp_path / "small.mkx", tmp_path / "test_small.py"
    seq = last_start()
    words = ("--decision", str(seq), "-o", str(out), "--pytest", str(test))
    ran = run_command(capsys, "shrink", str(journal), *words)
    assert ran.code == 0, ran
    records = list(JournalReader(out).records())
    whole = shop().records
    assert (
        sum(r.kind is RecordKind.EVENT for r in records) < sum(r.kind is RecordKind.EVENT for r in whole) / 3
    )
    wanted = next(bytes(r.body) for r in whole if r.seq == seq)
    assert wanted in [bytes(r.body) for r in records]
    assert run_command(capsys, "replay", str(out)).code == 0
    assert runs(test)


def test_no_event_of_the_smallest_can_be_left_out(journal: Path) -> None:
    chosen = select(open_journal(journal), since=0, slot="")
    seq = last_start()
    events = [
        Taken(s.event.seq, s.event.at, decode_event(s.event.body)) for s in chosen.steps if s.event.seq < seq
    ]
    command = decode_command(next(r.body for r in shop().records if r.seq == seq))
    goal = Goal(((command, None),))
    kept = smallest(EMPTY, events, goal)
    assert goal.holds(rerun(EMPTY, kept).last)
    for index in range(len(kept) - 1):
        fewer = kept[:index] + kept[index + 1 :]
        assert not goal.holds(rerun(EMPTY, fewer).last), kept[index]


def test_a_divergence_stays_one(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    for _, records in world.parts:
        for index, record in enumerate(records):
            body = bytes(record.body).replace(b'"grace":5', b'"grace":9')
            records[index] = msgspec.structs.replace(record, body=msgspec.Raw(body))
    world.write_segments(tmp_path / "journal")
    out, test = tmp_path / "small.mkx", tmp_path / "test_small.py"
    ran = run_command(capsys, "shrink", str(tmp_path / "journal"), "-o", str(out), "--pytest", str(test))
    assert ran.code == 0, ran
    shown = run_command(capsys, "replay", str(out), "-o", "json")
    assert shown.code == 1
    said = run_command(capsys, "replay", str(out)).out
    assert "grace: 9 → 5" in said
    assert "causes" not in said, "the difference is what it was"
    assert json.loads(shown.out)["events"] < 10
    assert not runs(test)


def test_a_journal_that_matches_has_nothing_to_shrink_to(
    journal: Path, tmp_path: Path, capsys: Capture
) -> None:
    ran = run_command(capsys, "shrink", str(journal), "-o", str(tmp_path / "x.mkx"))
    assert (ran.code, "nothing to shrink to" in ran.out) == (1, True)
    assert not (tmp_path / "x.mkx").exists()


def test_what_began_before_the_journal_is_taken_from_its_snapshot(
    journal: Path, tmp_path: Path, capsys: Capture
) -> None:
    for old in sorted(journal.iterdir())[:-1]:
        old.unlink()
    out = tmp_path / "small.mkx"
    ran = run_command(capsys, "shrink", str(journal), "--decision", str(last_start()), "-o", str(out))
    assert ran.code == 0, ran
    assert run_command(capsys, "replay", str(out)).code == 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--decision", "99999", "-o", "x.mkx"), "there is no record 99999"),
        (("--decision", "1", "-o", "x.mkx"), "is an event with nothing to show"),
        (("--decision", "6", "-o", "x.tar"), "name ends with .mkx"),
        (("--decision", "6", "-o", "/proc/none/x.mkx"), "/proc/none/x.mkx"),
    ],
)
def test_wrong_usage_is_said(journal: Path, capsys: Capture, words: tuple[str, ...], hint: str) -> None:
    ran = run_command(capsys, "shrink", str(journal), *words)
    assert (ran.code, hint in ran.err) == (2, True), ran
