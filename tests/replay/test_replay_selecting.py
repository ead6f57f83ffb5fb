"""A selection is read from the journal whenever it is walked, and always the same is read."""

from pathlib import Path

import pytest

from minikubelet.replay.exportcommand import write
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.replay.replayhistory import Step, open_journal
from minikubelet.replay.selecting import JournalSelection, select
from tests.replay.replay_world import shop


def chosen(journal: Path) -> JournalSelection:
    return select(open_journal(journal), since=0, slot="")


def seqs(steps: list[Step]) -> list[int]:
    return [record.seq for step in steps for record in (step.event, *step.commands)]


def test_what_is_written_after_it_was_chosen_is_not_in_it(tmp_path: Path) -> None:
    """An agent goes on writing its journal while a person exports it."""
    ((name, whole),) = list(shop().segments(group=1).items())[-1:]
    shop().write_segments(tmp_path, group=1)
    lines = whole.splitlines(keepends=True)
    (tmp_path / name).write_bytes(b"".join(lines[: len(lines) // 2]))
    before = chosen(tmp_path)
    there = seqs(list(before.steps))
    (tmp_path / name).write_bytes(whole)
    assert seqs(list(before.steps)) == there
    assert len(before.steps) == sum(1 for _ in before.steps)
    assert len(there) < len(seqs(list(chosen(tmp_path).steps)))


def test_a_journal_that_loses_records_meanwhile_is_said_and_nothing_half_is_left(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    shop().write_segments(journal)
    before = chosen(journal)
    last = max(journal.iterdir())
    last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:2]))
    with pytest.raises(ReplayError, match="lost records while it was read"):
        write(before, tmp_path / "bug.mkx")
    assert list(tmp_path.iterdir()) == [journal]


def test_steps_until_a_record_end_with_the_one_that_holds_it(tmp_path: Path) -> None:
    shop().write_segments(tmp_path)
    steps = chosen(tmp_path).steps
    command = next(step.commands[0].seq for step in steps if step.commands)
    assert list(steps.until(command))[-1].commands[0].seq == command
    with pytest.raises(ReplayError, match="there is no record 99999"):
        steps.until(99999)
