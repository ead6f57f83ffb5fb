"""`minikubelet shrink`: the smallest journal that still shows a divergence or a decision, and a test of it.

Belongs here: finding the target, writing the result. May not be here: leaving events out (`shrinking`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from minikubelet.core.commands import Decision
from minikubelet.core.reducer import Reducer
from minikubelet.core.reducer import Snapshot as State
from minikubelet.journal.journalreader import EXPORT_SUFFIX
from minikubelet.ports.journalport import Record, RecordKind
from minikubelet.replay.exportcommand import write
from minikubelet.replay.replayerrors import NEGATIVE, OK, ReplayError, command, write_text
from minikubelet.replay.replayhistory import Step, open_journal
from minikubelet.replay.replaypaint import say
from minikubelet.replay.replayprogress import progress, told
from minikubelet.replay.replaytale import journal_of, tell_damage
from minikubelet.replay.replayverify import Verifier
from minikubelet.replay.selecting import JournalSelection, Selection, concerns, of_slots, select
from minikubelet.replay.sentences import because, of_command
from minikubelet.replay.shrinking import EMPTY, Goal, Run, Taken, rerun, smallest
from minikubelet.replay.shrunktest import test_text
from minikubelet.wire.records import (
    CORE_VERSION,
    decode_command,
    decode_event,
    encode_command,
    schema_hash,
)


@command
def run(options: argparse.Namespace) -> int:
    """Shrink; 1 where the journal shows no divergence to shrink to."""
    out = Path(options.output_file)
    if out.suffix != EXPORT_SUFFIX:
        raise ReplayError(f"{out}: an export's name ends with {EXPORT_SUFFIX}")
    for path in filter(None, (out, options.pytest and Path(options.pytest))):
        if not path.parent.is_dir():
            raise ReplayError(f"{path} cannot be written: there is no directory {path.parent}")
    reader = journal_of(options)
    target = options.decision
    if target is None:
        found = Verifier(reader).run(progress=progress("verified")).divergences
        if not found:
            say("every decision matches: nothing to shrink to; name a decision with --decision SEQ")
            return NEGATIVE
        if found[0].state:
            raise ReplayError(
                "the divergence is in a snapshot, not in a decision: it cannot be shrunk to events"
            )
        target = found[0].seq
    chosen_from = open_journal(reader.path)
    chosen = select(chosen_from, since=0, slot="")
    chosen.steps = chosen.steps.until(target)
    goal, last = _goal(chosen, target)
    state, events = _beginning(chosen, goal, last)
    kept = smallest(state, events, goal, _progress)
    result = rerun(state, kept)
    shown = last if options.decision is None else None
    written = result.steps if shown is None else _recorded(result, kept, goal)
    header = msgspec.structs.replace(chosen.header, core=CORE_VERSION, schema=schema_hash())
    write(Selection(header, state, written), out)
    told = "; ".join(f"{of_command(c)}, because {because(c)}" for c, _ in goal.decided)
    say(f"{len(chosen.steps):,} events shrunk to {len(kept):,}: {told or 'a decision that is made no more'}")
    say(f"{out}: {sum(1 + len(step.commands) for step in written):,} records")
    if options.pytest:
        write_text(Path(options.pytest), test_text(state, written, shows_bug=shown is not None))
        what = "fails until the decisions match" if shown is not None else "holds now"
        say(f"{options.pytest}: a test that {what}")
    tell_damage(chosen_from)
    return OK


def _progress(left: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{left:,} events left ")
        sys.stderr.flush()


def _goal(chosen: JournalSelection, target: int) -> tuple[Goal, Step]:
    """The commands to be shown: that of the seq, or all that are recorded otherwise than decided now.

    They are those of the last step, which comes with them.
    """
    last, now = _decided(chosen)
    if target != last.event.seq:
        wanted = decode_command(next(one.body for one in last.commands if one.seq == target))
        if all(d.command != wanted for d in now):
            raise ReplayError(f"decision {target} is not made any more by this version: leave --decision out")
        return Goal(((wanted, None),)), last
    before = [(decode_command(record.body), record.causes) for record in last.commands]
    after = [(d.command, d.causes) for d in now]
    new, old = [x for x in after if x not in before], [x for x in before if x not in after]
    if not new and not old:
        raise ReplayError(f"record {target} is an event with nothing to show; name one of its decisions")
    return Goal(tuple(new), tuple(old)), last


def _decided(chosen: JournalSelection) -> tuple[Step, list[Decision]]:
    """The last step, and what is decided from it now."""
    reducer = Reducer(chosen.state)
    found: tuple[Step, list[Decision]] | None = None
    for step in told(chosen.steps, "re-run"):
        found = step, reducer.decide(step.event.seq, step.event.at, decode_event(step.event.body))
    if found is None:
        raise ReplayError("there is nothing to shrink: no event of this journal can be re-run")
    return found


def _beginning(chosen: JournalSelection, goal: Goal, last: Step) -> tuple[State, list[Taken]]:
    """The state to begin with: none at all where the goal holds so, else the one the journal begins with.

    The events of the slots that the goal is about, and the node's, are tried first: of a large journal, only
    these are held in memory then.
    """
    slots = list(dict.fromkeys(one.slot for one, _ in (*goal.decided, *goal.undecided)))
    own = of_slots(chosen.state, slots)
    for wanted, states in ((slots, (EMPTY, own)), ([""], (EMPTY, own, chosen.state))):
        events = [
            Taken(s.event.seq, s.event.at, decode_event(s.event.body))
            for s in chosen.steps
            if concerns(s, *wanted) or s.event.seq == last.event.seq
        ]
        for state in states:
            if goal.holds(rerun(state, events).last):
                return state, events
    raise ReplayError("it shows only with the seqs that were recorded, and cannot be shrunk")


def _recorded(result: Run, events: Sequence[Taken], goal: Goal) -> list[Step]:
    """The steps with the old decisions in the place of the new ones, so that the divergence stays.

    Of their recorded causes, they keep those that are left.
    """
    numbers = {taken.seq: step.event.seq for taken, step in zip(events, result.steps, strict=True)}
    event, now = result.steps[-1]
    new = [one for one, _ in goal.decided]
    kept = [(decode_command(r.body), r.body, r.causes) for r in now]
    bodies = [(body, causes) for one, body, causes in kept if one not in new]
    for one, recorded in goal.undecided:
        causes = tuple(sorted(numbers[seq] for seq in recorded or () if seq in numbers))
        bodies.append((msgspec.Raw(encode_command(one)), causes or (event.seq,)))
    commands = [
        Record(number, RecordKind.COMMAND, event.at, body, causes)
        for number, (body, causes) in enumerate(bodies, event.seq + 1)
    ]
    return [*result.steps[:-1], Step(event, commands)]
