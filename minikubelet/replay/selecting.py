"""Selections: a part of a history that can be re-run, read from the journal whenever it is walked.

Belongs here: where such a part begins and which steps belong to it. May not be here: what is done with it.
A journal may be larger than memory, so nothing of it is held.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from minikubelet.core.reducer import Reducer
from minikubelet.core.reducer import Snapshot as State
from minikubelet.journal.journalreader import JournalReader
from minikubelet.ports.journalport import SegmentHeader
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.replay.replayhistory import (
    Head,
    Step,
    begin,
    brief_of,
    decide,
    is_export,
    nearest_start,
    open_journal,
    starts_anew,
    walk,
)


class Steps:
    """Steps in order of their seqs, read anew whenever they are walked; as many as `len` says.

    Walking raises ReplayError where the journal has lost some of them in the meantime.
    """

    def __init__(self, path: Path, slot: str) -> None:
        self._path = path
        self._slot = slot
        self._first = self._last = -1
        self._count = 0

    def add(self, step: Step) -> None:
        """Reach to this step, which is the next."""
        self._first = step.event.seq if self._first < 0 else self._first
        self._last = step.commands[-1].seq if step.commands else step.event.seq
        self._count += 1

    def until(self, seq: int) -> Steps:
        """Those up to the one that holds the record of this seq; raises ReplayError where none does."""
        found = Steps(self._path, self._slot)
        for step in self:
            found.add(step)
            if seq in (step.event.seq, *(record.seq for record in step.commands)):
                return found
        raise ReplayError(f"there is no record {seq} in what can be replayed of this journal")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Step]:
        count = 0
        for step in self._walk() if self._count else ():
            count += 1
            yield step
        if count != self._count:
            raise ReplayError(
                f"{self._path} lost records while it was read, as an agent that writes it keeps its size;"
                " try again, or copy it first"
            )

    def _walk(self) -> Iterator[Step]:
        for item in walk(open_journal(self._path), self._first):
            if isinstance(item, Head) or item.event.seq < self._first:
                continue
            if item.event.seq > self._last:
                return
            if concerns(item, self._slot):
                yield _cut(item, self._slot, self._last)


class Selection(msgspec.Struct):
    """What can be re-run: the state before it, and its steps."""

    header: SegmentHeader
    state: State
    steps: Iterable[Step]
    left_out: int = 0
    """steps before a gap in the history, of which nothing follows for what comes after it"""


class JournalSelection(Selection):
    """A selection whose steps lie in a journal."""

    steps: Steps


def select(reader: JournalReader, *, since: int, slot: str) -> JournalSelection:
    """The steps from a time (µs) on, of one slot and the node or of all, with the state before them."""
    chosen: JournalSelection | None = None
    reducer: Reducer | None = None
    moved = False
    for item in walk(reader, nearest_start(reader, at=since) if since else 0):
        if isinstance(item, Head):
            if starts_anew(reducer, item):
                reducer = begin(item, export=is_export(reader)).reducer
                left = len(chosen.steps) + chosen.left_out if chosen else 0
                steps = Steps(reader.path, slot)
                chosen = (
                    JournalSelection(item.header, _state(reducer, slot), steps, left) if reducer else None
                )
            continue
        if chosen is None or reducer is None:
            continue
        if item.event.at < since and not len(chosen.steps):
            decide(reducer, item)
            moved = True
        elif concerns(item, slot):
            if moved:
                chosen.state, moved = _state(reducer, slot), False
            chosen.steps.add(item)
    if chosen is None or reducer is None:
        raise ReplayError("there is nothing to export: the journal has no usable state to begin with")
    if moved:
        chosen.state = _state(reducer, slot)
    return chosen


def concerns(step: Step, *slots: str) -> bool:
    """Whether the event is one of these slots' or the node's; an empty slot stands for all."""
    return "" in slots or brief_of(step.event.body).slot in ("", *slots)


def of_slots(state: State, slots: Collection[str]) -> State:
    """The state as far as it is these slots'."""
    crowded = tuple(key for key in state.node.crowded if key in slots)
    node = msgspec.structs.replace(state.node, crowded=crowded)
    return msgspec.structs.replace(state, node=node, slots=tuple(s for s in state.slots if s.key in slots))


def _state(reducer: Reducer, slot: str) -> State:
    state = reducer.snapshot()
    return of_slots(state, (slot,)) if slot else state


def _cut(step: Step, slot: str, last: int) -> Step:
    """Without the decisions for others, and those that came after the selection was made."""
    if step.commands and (slot or step.commands[-1].seq > last):
        mine = (one for one in step.commands if one.seq <= last)
        return Step(step.event, [one for one in mine if not slot or brief_of(one.body).slot == slot])
    return step
