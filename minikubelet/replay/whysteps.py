"""The steps of a chain as they are told: when, seq, what happened or was decided, and what it changed.

Belongs here: one record as text and fields. May not be here: finding causes (`whychains`), or how a terminal
or a program is shown the steps (`whycommand`).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.model.status import PodStatus
from minikubelet.replay.fielddiff import changes, spell_change
from minikubelet.replay.replaymoments import clock, span
from minikubelet.replay.replaytale import Entry, Tale
from minikubelet.replay.sentences import because, of_command, of_event, of_origin, of_reason, short
from minikubelet.replay.whychains import Chain, definition_before

_UNTOLD = ("metadata.uid", 'metadata.annotations."kubernetes.io/config')
_MOST_FIELDS = 8
_AGAIN = (c.Reason.CONTAINER_EXITED, c.Reason.RETRY)


class Step(msgspec.Struct, frozen=True):
    """One record of a chain, as `timeline -o json` names things.

    `at` is in microseconds since the epoch; it is None where the journal no longer has the record.
    """

    seq: int
    at: int | None = None
    time: str = ""
    type: str = ""
    kind: str = ""
    text: str = ""
    causes: tuple[int, ...] = ()
    changed: list[str] = []


def steps(tale: Tale, chain: Chain, before: PodStatus | None) -> Iterator[Step]:
    """The steps of a chain, oldest first; `before` is the status shown before the decision it leads to."""
    for seq in chain.missing:
        yield Step(seq, text=told_by_snapshot(tale, seq) or _missing(tale, seq))
    held_back = set(_back_offs(chain))
    for entry in chain.entries:
        causes = entry.causes or tuple(one.seq for one in chain.causes_of(entry))
        changed = details(tale, entry, before if entry is chain.target else None)
        yield Step(
            seq=entry.seq,
            at=entry.at,
            time=clock(entry.at).replace(" ", "T") + "Z",
            type="event" if entry.command is None else "decision",
            kind=type(entry.body).__name__,
            text=sentence(entry, back_off=entry.seq in held_back),
            causes=causes,
            changed=changed,
        )


def _missing(tale: Tale, seq: int) -> str:
    return "is older than this journal" if seq < tale.first_seq else "is lost from this journal"


def _back_offs(chain: Chain) -> Iterator[int]:
    """The seqs of the waits at whose ends something was started again that had failed or ended."""
    known = {entry.seq: entry for entry in chain.entries}
    for entry in chain.entries:
        again = entry.command is not None and entry.command.reason in _AGAIN
        for cause in entry.causes if again else ():
            timer = known.get(cause)
            if timer is not None and isinstance(timer.event, e.TimerFired):
                yield from (wait.seq for wait in chain.causes_of(timer))


def sentence(entry: Entry, *, back_off: bool = False) -> str:
    """What an entry tells, with the reason of a decision; `back_off`: that is what a wait is for."""
    if entry.command is None:
        return of_event(entry.event) if entry.event is not None else ""
    text = of_command(entry.command)
    if isinstance(entry.command, c.WakeAt):
        wait = "back off" if back_off else "wait"
        return f"{wait} until {clock(entry.command.at)} ({span(entry.command.at - entry.at)})"
    if isinstance(entry.command, c.PublishStatus):
        return text
    return f"{text}, because {because(entry.command)}"


def details(tale: Tale, entry: Entry, before: PodStatus | None) -> list[str]:
    """Fields: of an edit what it changed, of a status what is new in it."""
    if isinstance(entry.event, e.PodSet):
        return _of_edit(tale, entry, entry.event)
    if isinstance(entry.command, c.PublishStatus) and before is not None:
        found = changes(msgspec.to_builtins(before), msgspec.to_builtins(entry.command.status))
        told = [one for one in found if not one.path.endswith("lastTransitionTime")]
        told.sort(key=lambda one: not one.path.startswith("phase") and ".state." not in one.path)
        return _cut([spell_change(one) for one in told])
    return []


def _of_edit(tale: Tale, entry: Entry, event: e.PodSet) -> list[str]:
    older = definition_before(tale, entry)
    if older is None or not isinstance(older.event, e.PodSet):
        return []
    found = changes(msgspec.to_builtins(older.event.pod), msgspec.to_builtins(event.pod))
    lines = [spell_change(one) for one in found if not one.path.startswith(_UNTOLD)]
    if not lines and older.uid == entry.uid:
        return []
    against = f"against seq {older.seq} (uid {short(older.uid)})"
    if not lines:
        return [f"changed {against}: no field that the journal holds; it holds no secret values"]
    return [f"changed {against}:", *_cut(lines)]


def _cut(lines: list[str]) -> list[str]:
    left = len(lines) - _MOST_FIELDS
    return [*lines[:_MOST_FIELDS], f"… and {left} more field{'s' if left > 1 else ''}"] if left > 0 else lines


def told_by_snapshot(tale: Tale, seq: int) -> str:
    """What the state that the journal begins with still knows of an older event."""
    for gen in tale.before.generations if tale.before else ():
        if gen.spec_seq == seq:
            origin = f" from {of_origin(gen.origin)}" if gen.origin else ""
            return f"older than this journal: the pod's definition{origin}, uid {short(gen.uid)}"
        if gen.sandbox is not None and gen.sandbox.touched == seq:
            return f"older than this journal: sandbox {short(gen.sandbox.id)}"
        if gen.ending is not None and gen.ending.seq == seq:
            return f"older than this journal: the pod's end began, because {of_reason(gen.ending.reason)}"
        for record in gen.containers.values():
            if record.touched == seq:
                ended = (
                    f", exit code {record.exit_code} {record.reason}" if record.life.value == "exited" else ""
                )
                return f"older than this journal: container {record.name} {record.life.value}{ended}"
    return ""
