"""Verify: every event re-run, every decision compared with the one recorded.

Belongs here: the comparison and its findings as values. May not be here: printing, processes, or what to
do about a divergence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from minikubelet.core.behaviours import TODAY, Behaviours
from minikubelet.core.commands import Decision
from minikubelet.core.events import AgentStarted, AnyEvent
from minikubelet.core.reducer import Reducer
from minikubelet.core.reducer import Snapshot as State
from minikubelet.journal.journalreader import JournalReader
from minikubelet.ports.journalport import Record
from minikubelet.replay.fielddiff import ABSENT, Change, changes, spell_change
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.replay.replayhistory import Head, Step, begin, brief_of, is_export, state_of, walk
from minikubelet.wire.records import (
    UnknownRecord,
    decode_command,
    decode_event,
    encode_command,
    encode_snapshot,
    schema_hash,
)

PROGRESS_EVERY = 10_000


class Decided(msgspec.Struct, frozen=True):
    """A command as JSON has it, with its causes; `seq` is 0 where it was not recorded."""

    command: dict[str, Any]
    causes: tuple[int, ...]
    seq: int = 0


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where re-running leads to something else: other commands of an event, or another state at a head."""

    seq: int
    at: int
    event: str
    slot: str = ""
    expected: tuple[Decided, ...] = ()
    actual: tuple[Decided, ...] = ()
    state: tuple[str, ...] = ()
    """for a snapshot: the fields in which the recorded state and the one reached differ"""


class Findings(msgspec.Struct):
    """What a run over a part of a history found; parts are added in order."""

    events: int = 0
    commands: int = 0
    snapshots: int = 0
    skipped: int = 0
    first_at: int = 0
    last_at: int = 0
    last_seq: int = 0
    divergences: list[Divergence] = []
    remarks: list[str] = []
    damage: list[str] = []
    cores: list[str] = []
    behaviours: list[Behaviours] = []
    """every set of them that a life was decided by"""

    def add(self, other: Findings) -> None:
        """Take in what the part behind this one found."""
        self.events += other.events
        self.commands += other.commands
        self.snapshots += other.snapshots
        self.skipped += other.skipped
        self.first_at = min(self.first_at or other.first_at, other.first_at or self.first_at)
        self.last_at = max(self.last_at, other.last_at)
        self.last_seq = max(self.last_seq, other.last_seq)
        self.divergences += other.divergences
        self.remarks += [one for one in other.remarks if one not in self.remarks]
        self.damage += [one for one in other.damage if one not in self.damage]
        self.cores += [one for one in other.cores if one not in self.cores]
        self.behaviours += [one for one in other.behaviours if one not in self.behaviours]


class Verifier:
    """One run over a history or a part of it.

    `first` and `stop` are seqs of segments' heads; the part ends with the head at `stop`, whose snapshot is
    still compared. Each life is decided by the behaviours that it began with, and the first divergence ends
    the run; with `today`, every life is decided by today's, and all divergences are collected.
    """

    def __init__(self, reader: JournalReader, *, today: bool = False) -> None:
        self.found = Findings()
        self._reader = reader
        self._today = today
        self._schema = schema_hash()
        self._reducer: Reducer | None = None

    def run(
        self, first: int = 0, stop: int | None = None, progress: Callable[[int, int], None] | None = None
    ) -> Findings:
        """Re-run and compare; `progress` is told events and seq now and then."""
        found = self.found
        for item in walk(self._reader, first):
            if isinstance(item, Head):
                self._head(item)
                if stop is not None and item.header.first >= stop:
                    break
            elif self._reducer is None:
                found.skipped += 1
            else:
                self._step(self._reducer, item)
                found.events += 1
                if progress is not None and found.events % PROGRESS_EVERY == 0:
                    progress(found.events, item.event.seq)
            if found.divergences and not self._today:
                break
        found.damage = list(self._reader.damage)
        return found

    def _head(self, head: Head) -> None:
        core = head.header.core
        if core not in self.found.cores:
            self.found.cores.append(core)
        if self._reducer is None or not head.linked:
            start = begin(head, export=is_export(self._reader))
            self._reducer = start.reducer and self._begun(start.reducer)
            if start.problem:
                self._remark(f"{start.problem}: not verified up to the next snapshot")
        elif head.snapshot is not None:
            self._compare_state(self._reducer, head, head.snapshot.body)

    def _compare_state(self, reducer: Reducer, head: Head, body: bytes) -> None:
        """A snapshot must be the state that the events before it lead to."""
        self.found.snapshots += 1
        if encode_snapshot(reducer.snapshot()) == body or head.snapshot is None:
            return
        try:
            recorded = self._by_today(state_of(head.snapshot))
        except UnknownRecord as error:
            self._remark(f"segment {head.header.first}: {error}; its state is the one reached so far")
            return
        reached = reducer.snapshot()
        if not recorded.slots and not recorded.node.name and reached.slots:
            self._reducer = Reducer(recorded)
            self._remark(
                f"before {head.header.first} the agent set its state aside and began with an empty one"
            )
            return
        differing = list(changes(_by_slot(recorded), _by_slot(reached)))
        if head.header.schema != self._schema:
            known = [one for one in differing if not _is_new_field(one)]
            if len(known) < len(differing):
                self._remark(
                    "snapshots were recorded in an older form; what it had no fields for is not compared"
                )
            differing = known
            self._reducer = Reducer(recorded)  # as the agent that went on from it
        if differing:
            self._reducer = Reducer(recorded)
            self.found.divergences.append(
                Divergence(
                    seq=recorded.seq, at=head.header.created, event="snapshot",
                    state=tuple(spell_change(one) for one in differing),
                )
            )  # fmt: skip

    def _step(self, reducer: Reducer, step: Step) -> None:
        event, recorded = step
        found = self.found
        try:
            decisions = reducer.decide(event.seq, event.at, self._life(decode_event(event.body)))
            same = len(decisions) == len(recorded) and all(map(_same, decisions, recorded))
        except UnknownRecord as error:
            raise ReplayError(
                f"record {event.seq} and what was decided from it: {error}; use the version that recorded it"
            ) from None
        found.first_at = min(found.first_at or event.at, event.at)
        found.last_at = max(found.last_at, event.at)
        found.last_seq = recorded[-1].seq if recorded else event.seq
        found.commands += len(recorded)
        if not same:
            found.divergences.append(_divergence(step, decisions))

    def _life(self, event: AnyEvent) -> AnyEvent:
        if not isinstance(event, AgentStarted):
            return event
        self._note(event.behaviours)
        return replace(event, behaviours=TODAY) if self._today else event

    def _begun(self, reducer: Reducer) -> Reducer:
        if reducer.node.name:
            self._note(reducer.node.behaviours)
        return Reducer(self._by_today(reducer.snapshot()))

    def _by_today(self, state: State) -> State:
        if not (self._today and state.node.name):
            return state
        return replace(state, node=replace(state.node, behaviours=TODAY))

    def _note(self, behaviours: Behaviours) -> None:
        if behaviours not in self.found.behaviours:
            self.found.behaviours.append(behaviours)

    def _remark(self, text: str) -> None:
        if text not in self.found.remarks:
            self.found.remarks.append(text)


def _same(decision: Decision, record: Record) -> bool:
    """Whether a decision is the recorded one; the same bytes are the quick answer, not the only one."""
    if decision.causes != record.causes:
        return False
    if encode_command(decision.command) == bytes(record.body):
        return True
    return decode_command(record.body) == decision.command


def _divergence(step: Step, decisions: Sequence[Decision]) -> Divergence:
    brief = brief_of(step.event.body)
    expected = tuple(Decided(msgspec.json.decode(r.body), r.causes, r.seq) for r in step.commands)
    actual = tuple(Decided(msgspec.json.decode(encode_command(d.command)), d.causes) for d in decisions)
    slots = [
        brief.slot,
        *(str(d.command["slot"]) for d in (*expected, *actual) if d not in _common(expected, actual)),
    ]
    return Divergence(
        seq=step.event.seq,
        at=step.event.at,
        event=brief.kind,
        slot=next((slot for slot in slots if slot), ""),
        expected=expected,
        actual=actual,
    )


def _common(expected: Sequence[Decided], actual: Sequence[Decided]) -> list[Decided]:
    theirs = [(d.command, d.causes) for d in actual]
    both = [(d.command, d.causes) for d in expected if (d.command, d.causes) in theirs]
    return [d for d in (*expected, *actual) if (d.command, d.causes) in both]


def _is_new_field(change: Change) -> bool:
    """Whether it is a field, and not a whole pod, that a recorded state has not."""
    return change.before is ABSENT and not (
        isinstance(change.after, dict) and {"uid", "key"} & change.after.keys()
    )


def _by_slot(state: State) -> dict[str, Any]:
    """A state with its slots by name, so that a diff names them."""
    plain = msgspec.json.decode(encode_snapshot(state))
    return {"node": plain["node"], "slots": {slot["key"]: slot for slot in plain.get("slots", [])}}
