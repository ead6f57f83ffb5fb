"""Shrinking: the fewest events that still lead to a decision, or to a divergence.

Belongs here: leaving events out and trying again. May not be here: reading or writing. Events are numbered
anew, without gaps, so that what is left reads as a history of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from minikubelet.core.commands import AnyCommand, Decision
from minikubelet.core.events import AnyEvent, PodObserved
from minikubelet.core.nodefacts import NodeFacts
from minikubelet.core.reducer import Reducer
from minikubelet.core.reducer import Snapshot as State
from minikubelet.ports.journalport import Record, RecordKind
from minikubelet.replay.replayhistory import Step
from minikubelet.wire.records import encode_command, encode_event

EMPTY = State(0, NodeFacts(), ())


class Taken(NamedTuple):
    """An event of the history with the seq and the time (µs) it was recorded with."""

    seq: int
    at: int
    event: AnyEvent


class Goal(NamedTuple):
    """What has to be shown still: at the last event these are decided, and these are not."""

    decided: tuple[tuple[AnyCommand, tuple[int, ...] | None], ...]
    undecided: tuple[tuple[AnyCommand, tuple[int, ...] | None], ...] = ()

    def holds(self, decisions: Sequence[Decision]) -> bool:
        """Whether the decisions of the last event show it; causes are compared where the goal names them."""
        return all(_among(one, decisions) for one in self.decided) and not any(
            _among(one, decisions) for one in self.undecided
        )


def _among(wanted: tuple[AnyCommand, tuple[int, ...] | None], decisions: Sequence[Decision]) -> bool:
    command, causes = wanted
    return any(d.command == command and causes in (None, d.causes) for d in decisions)


class Run(NamedTuple):
    """A re-run: the steps numbered anew, and the decisions of the last one with causes as recorded."""

    steps: list[Step]
    last: list[Decision]


def rerun(state: State, events: Sequence[Taken]) -> Run:
    """Take events in from a state, numbered from its seq on."""
    reducer = Reducer(state)
    numbers: dict[int, int] = {}
    follows = max(state.seq, _newest_seq(state))
    looked: list[tuple[int, int]] = []  # (recorded seq, last new seq up to it), rising
    steps: list[Step] = []
    decisions: list[Decision] = []
    for taken in events:
        event = _renumbered(taken.event, looked, state.seq)
        seq = follows + 1
        decisions = reducer.decide(seq, taken.at, event)
        follows = seq + len(decisions)
        numbers[seq] = taken.seq
        looked.append((taken.seq, follows))
        body = msgspec.Raw(encode_event(event))
        commands = [
            Record(number, RecordKind.COMMAND, taken.at, msgspec.Raw(encode_command(d.command)), d.causes)
            for number, d in enumerate(decisions, seq + 1)
        ]
        steps.append(Step(Record(seq, RecordKind.EVENT, taken.at, body), commands))
    last = [Decision(d.command, tuple(sorted(numbers.get(seq, seq) for seq in d.causes))) for d in decisions]
    return Run(steps, last)


def _newest_seq(state: State) -> int:
    """Snapshots are taken behind an event's decisions: leave room for the most there can have been."""
    return state.seq + 64 if state.slots else state.seq


def _renumbered(event: AnyEvent, looked: Sequence[tuple[int, int]], before: int) -> AnyEvent:
    """A look at the runtime names the seq it began behind: that of the newest event left before it."""
    if not isinstance(event, PodObserved):
        return event
    after = next((new for old, new in reversed(looked) if old <= event.after), min(before, event.after))
    return replace(event, after=after)


def smallest(
    state: State, events: Sequence[Taken], goal: Goal, progress: Callable[[int], None] | None = None
) -> list[Taken]:
    """The events that are left when no part of them can be left out any more; the last one always stays.

    Delta debugging: halves, quarters … down to single events. The goal must hold for all of them.
    """
    kept, target = list(events[:-1]), events[-1]
    size = max(1, len(kept) // 2)
    while kept:
        at, left_out = 0, False
        while at < len(kept):
            tried = kept[:at] + kept[at + size :]
            if goal.holds(rerun(state, [*tried, target]).last):
                kept, left_out = tried, True
                if progress is not None:
                    progress(len(kept) + 1)
            else:
                at += size
        if size == 1 and not left_out:
            break
        size = max(1, size // 2)
    return [*kept, target]
