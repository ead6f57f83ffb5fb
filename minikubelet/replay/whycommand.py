"""`minikubelet why`: the chains of causes of what was decided, in plain sentences.

Belongs here: choosing decisions, and telling their chains. May not be here: finding causes (`whychains`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.journal.journalreader import JournalReader
from minikubelet.replay.podnaming import choose
from minikubelet.replay.replayerrors import NEGATIVE, OK, ReplayError, command
from minikubelet.replay.replaymoments import Moment, clock, parse_moment, span
from minikubelet.replay.replaypaint import Paint, say, say_json
from minikubelet.replay.replaytale import Entry, Tale, journal_of, load, tell_damage
from minikubelet.replay.sentences import of_origin, short
from minikubelet.replay.whyactions import ACTIONS, SYNONYMS, Before, broken_files, matching
from minikubelet.replay.whychains import Chain
from minikubelet.replay.whysteps import Step, steps

Told = tuple[Entry, Before]


class Answer(msgspec.Struct, frozen=True):
    """One chain as JSON; `folded` says that repetitions in it were left out."""

    pod: str
    uid: str
    container: str
    action: str
    seq: int
    folded: bool
    steps: list[Step]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a journal; empty is not asked for."""

    pod: str
    action: str = ""
    at: str = ""
    every: bool = False


def answers(reader: JournalReader, asked: Question) -> list[Answer]:
    """The chains that answer; raises ReplayError where pod, action or moment mean nothing."""
    action = choose(SYNONYMS.get(asked.action.lower(), asked.action or "anything"), ACTIONS, "action")
    moment = parse_moment(asked.at) if asked.at else None
    tale = load(reader, asked.pod)
    found = _found(tale, moment, action)
    by_kind = bool(asked.action) or bool(tale.container)
    chosen = found if asked.every else last_of_each(found, by_kind=by_kind)
    return [answer(tale, entry, before, action) for entry, before in chosen]


def _found(tale: Tale, moment: Moment | None, action: str) -> list[Told]:
    """What the action means; where nothing else was decided of a pod, what was told of it."""
    entries = _until(tale, moment)
    found = matching(entries, action, tale.container)
    return found or (matching(entries, "status", tale.container) if action == "anything" else [])


def _until(tale: Tale, moment: Moment | None) -> list[Entry]:
    return [one for one in tale.entries.values() if not (moment and moment.behind(one.seq, one.at))]


@command
def run(options: argparse.Namespace) -> int:
    """Tell why; 0 where there is something to tell, 1 where nothing of the kind was ever decided."""
    action = _action(options)
    moment = parse_moment(options.at) if options.at else None
    reader = journal_of(options)
    tale = load(reader, options.pod)
    found = _found(tale, moment, action)
    tell_damage(reader)
    by_kind = options.action is not None or bool(tale.container)
    chosen = found if options.all else _whole(tale, last_of_each(found, by_kind=by_kind))
    if options.output == "json":
        say_json([answer(tale, entry, before, action) for entry, before in chosen])
    elif not found:
        what = tale.slot + (f"/{tale.container}" if tale.container else "")
        when = " up to then" if moment else ""
        said = "" if action == "anything" else f" that answers to {action!r}"
        say(f"{what}: nothing was decided{when}{said}")
    else:
        _tell(tale, chosen, len(found) - len(chosen))
    if options.output != "json":
        for seq, file, what in broken_files(_until(tale, moment)):
            say(f"{file} is rejected since seq {seq}, and the definition before it goes on: {what}")
    return OK if found else NEGATIVE


def _action(options: argparse.Namespace) -> str:
    """The action that is asked for; raises ReplayError."""
    asked = options.action or "anything"
    meant = SYNONYMS.get(asked.lower(), asked)
    if meant not in ACTIONS and ("/" in asked or Path(asked).exists()):
        raise ReplayError(f"{asked!r} is no action; a journal is named as --journal {asked}")
    return choose(meant, ACTIONS, "action")


def _tell(tale: Tale, chosen: Iterable[Told], left: int) -> None:
    paint = Paint(sys.stdout)
    uid = None
    for entry, before in chosen:
        if entry.uid != uid:
            uid = entry.uid
            say(paint.strong(generation_line(tale, uid) if uid else tale.slot))
        for line in story(tale, entry, before, paint):
            say(line)
        say("")
    if left:
        others = f"{left} other decision{'s' if left > 1 else ''}"
        say(paint.faint(f"{others} left out: name an action, or add --all"))


def answer(tale: Tale, target: Entry, before: Before, action: str) -> Answer:
    """The chain of one decision as an object."""
    chain = Chain(tale, target)
    told = list(steps(tale, chain, before))
    return Answer(tale.slot, target.uid, target.container, action, target.seq, chain.folded, told)


def last_of_each(found: Iterable[Told], *, by_kind: bool) -> list[Told]:
    """The last in each generation, or of each kind and container in it.

    What befell the pod itself comes before what befell its mirror.
    """
    last: dict[tuple[str, ...], Told] = {}
    for entry, before in found:
        kind = (type(entry.body).__name__, entry.container) if by_kind else ()
        known = last.get((entry.uid, *kind))
        if known is None or _of_mirror(known[0]) or not _of_mirror(entry):
            last[(entry.uid, *kind)] = (entry, before)
    return sorted(last.values(), key=lambda pair: pair[0].seq)


def _of_mirror(entry: Entry) -> bool:
    return isinstance(entry.command, c.CreateMirror | c.DeleteMirror)


def _whole(tale: Tale, chosen: list[Told]) -> list[Told]:
    """Without the decisions that are part of the chain of a later one of the same pod."""
    kept: list[Told] = []
    told: set[tuple[str, int]] = set()
    for entry, before in reversed(chosen):
        if (entry.uid, entry.seq) not in told:
            kept.append((entry, before))
            told |= {(entry.uid, one.seq) for one in Chain(tale, entry).entries}
    return kept[::-1]


def generation_line(tale: Tale, uid: str) -> str:
    """The heading of a generation: its uid, and the definition it came from."""
    for entry in tale.entries.values():
        if isinstance(entry.event, e.PodSet) and entry.uid == uid:
            origin = f", from {of_origin(entry.event.origin)}" if entry.event.origin else ""
            return f"{tale.slot}, uid {short(uid)}{origin}, known since seq {entry.seq}"
    for generation in tale.before.generations if tale.before else ():
        if generation.uid == uid:
            origin = f", from {of_origin(generation.origin)}" if generation.origin else ""
            return f"{tale.slot}, uid {short(uid)}{origin}, known before this journal begins"
    return f"{tale.slot}, uid {short(uid)}"


def story(tale: Tale, target: Entry, before: Before, paint: Paint) -> Iterator[str]:
    """The chain of one decision, oldest first: when, seq, what happened or was decided, and why."""
    chain = Chain(tale, target)
    width = len(str(target.seq))
    for step in steps(tale, chain, before):
        if step.at is None:
            yield paint.faint(f"  seq {step.seq:<8} {step.text}")
            continue
        away = f"-{span(target.at - step.at)}" if step.at != target.at else ""
        mark = "→" if step.type == "decision" else "·"
        line = f"  {clock(step.at)}  {away:>8}  seq {step.seq:<{width}} {mark} {step.text}"
        yield paint.strong(line) if step.seq == target.seq else line
        for changed in step.changed:
            yield paint.faint(f"{' ' * (43 + width)}{changed}")
    if chain.folded:
        yield paint.faint("  what was ordered before came about in the same way: add --all to see each")
