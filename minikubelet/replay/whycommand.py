"""`minikubelet why`: the chains of causes of what was decided, in plain sentences.

Belongs here: choosing decisions, and telling their chains. May not be here: finding causes (`whychains`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

import msgspec

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.model.status import PodStatus
from minikubelet.replay.fielddiff import changes, spell
from minikubelet.replay.podnaming import choose
from minikubelet.replay.replayerrors import NEGATIVE, OK, command
from minikubelet.replay.replaymoments import clock, parse_moment, span
from minikubelet.replay.replaypaint import Paint, say
from minikubelet.replay.replaytale import Entry, Tale, journal_of, load, tell_damage
from minikubelet.replay.sentences import of_command, of_event, of_reason, short
from minikubelet.replay.whyactions import ACTIONS, SYNONYMS, Before, matching
from minikubelet.replay.whychains import Chain, definition_before

_UNTOLD = ("metadata.uid", 'metadata.annotations."kubernetes.io/config')
_MOST_FIELDS = 12


@command
def run(options: argparse.Namespace) -> int:
    """Tell why; 0 where there is something to tell, 1 where nothing of the kind was ever decided."""
    asked = (options.action or "anything").lower()
    action = choose(SYNONYMS.get(asked, asked), ACTIONS, "action")
    moment = parse_moment(options.at) if options.at else None
    reader = journal_of(options)
    tale = load(reader, options.pod)
    entries = [one for one in tale.entries.values() if not (moment and moment.behind(one.seq, one.at))]
    found = matching(entries, action, tale.container)
    tell_damage(reader)
    what = tale.slot + (f"/{tale.container}" if tale.container else "")
    if not found:
        when = " up to then" if moment else ""
        said = "" if action == "anything" else f" that answers to {action!r}"
        say(f"{what}: nothing was decided{when}{said}")
        return NEGATIVE
    by_kind = options.action is not None or bool(tale.container)
    chosen = found if options.all else last_of_each(found, by_kind=by_kind)
    paint = Paint(sys.stdout)
    uid = None
    for entry, before in chosen:
        if entry.uid != uid:
            uid = entry.uid
            say(paint.strong(generation_line(tale, uid)) if uid else paint.strong(f"{tale.slot}"))
        for line in story(tale, entry, before, paint):
            say(line)
        say("")
    if len(chosen) < len(found):
        left = len(found) - len(chosen)
        say(
            paint.faint(
                f"{left} other decision{'s' if left > 1 else ''} left out: name an action, or add --all"
            )
        )
    return OK


def last_of_each(found: Iterable[tuple[Entry, Before]], *, by_kind: bool) -> list[tuple[Entry, Before]]:
    """The last in each generation, or of each kind and container in it."""
    last: dict[tuple[str, ...], tuple[Entry, Before]] = {}
    for entry, before in found:
        kind = (type(entry.body).__name__, entry.container) if by_kind else ()
        last[(entry.uid, *kind)] = (entry, before)
    return sorted(last.values(), key=lambda pair: pair[0].seq)


def generation_line(tale: Tale, uid: str) -> str:
    """The heading of a generation: its uid, and the definition it came from."""
    for entry in tale.entries.values():
        if isinstance(entry.event, e.PodSet) and entry.uid == uid:
            origin = f", from {entry.event.origin}" if entry.event.origin else ""
            return f"{tale.slot}, uid {short(uid)}{origin}, known since seq {entry.seq}"
    for generation in tale.before.generations if tale.before else ():
        if generation.uid == uid:
            origin = f", from {generation.origin}" if generation.origin else ""
            return f"{tale.slot}, uid {short(uid)}{origin}, known before this journal begins"
    return f"{tale.slot}, uid {short(uid)}"


def story(tale: Tale, target: Entry, before: PodStatus | None, paint: Paint) -> Iterator[str]:
    """The chain of one decision, oldest first: when, seq, what happened or was decided, and why."""
    chain = Chain(tale, target)
    for seq in chain.missing:
        told = told_by_snapshot(tale, seq)
        yield paint.faint(f"  seq {seq:<8} {told or 'is older than this journal'}")
    width = len(str(target.seq))
    for entry in chain.entries:
        away = f"-{span(target.at - entry.at)}" if entry.at != target.at else ""
        mark = "→" if entry.command is not None else "·"
        line = f"  {clock(entry.at)}  {away:>8}  seq {entry.seq:<{width}} {mark} {sentence(entry)}"
        yield paint.strong(line) if entry is target else line
        for detail in details(tale, entry, before if entry is target else None):
            yield paint.faint(f"{' ' * (43 + width)}{detail}")
    if chain.folded:
        yield paint.faint("  what was ordered before came about in the same way: add --all to see each")


def sentence(entry: Entry) -> str:
    """What an entry tells, with the reason of a decision."""
    if entry.command is None:
        return of_event(entry.event) if entry.event is not None else ""
    text = of_command(entry.command)
    if isinstance(entry.command, c.WakeAt):
        return f"wait until {clock(entry.command.at)} ({span(entry.command.at - entry.at)})"
    if isinstance(entry.command, c.PublishStatus):
        return text
    return f"{text}, because {of_reason(entry.command.reason)}"


def details(tale: Tale, entry: Entry, before: PodStatus | None) -> list[str]:
    """Fields: of an edit what it changed, of a status what is new in it."""
    if isinstance(entry.event, e.PodSet):
        older = definition_before(tale, entry)
        if older is None or not isinstance(older.event, e.PodSet):
            return []
        lines = [
            f"{change.path}: {spell(change.before)} → {spell(change.after)}"
            for change in changes(_plain(older.event.pod), _plain(entry.event.pod))
            if not change.path.startswith(_UNTOLD)
        ]
        return [f"changed against seq {older.seq} (uid {short(older.uid)}):", *_cut(lines)] if lines else []
    if isinstance(entry.command, c.PublishStatus) and before is not None:
        found = changes(_plain(before), _plain(entry.command.status))
        lines = [
            f"{change.path}: {spell(change.before)} → {spell(change.after)}"
            for change in found
            if not change.path.endswith("lastTransitionTime")
        ]
        return _cut(lines)
    return []


def _cut(lines: list[str]) -> list[str]:
    left = len(lines) - _MOST_FIELDS
    return [*lines[:_MOST_FIELDS], f"… and {left} fields more"] if left > 0 else lines


def _plain(value: msgspec.Struct) -> object:
    return msgspec.to_builtins(value)


def told_by_snapshot(tale: Tale, seq: int) -> str:
    """What the state that the journal begins with still knows of an older event."""
    for gen in tale.before.generations if tale.before else ():
        if gen.spec_seq == seq:
            origin = f" from {gen.origin}" if gen.origin else ""
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
