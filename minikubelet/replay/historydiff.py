"""`minikubelet diff`: two moments of one history, the decisions of two, or those of one and of today.

Belongs here: pairing what belongs together, and telling what differs. May not be here: re-running
(`replayverify`).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from minikubelet.journal.journalreader import JournalReader
from minikubelet.replay.divergencegroups import Words, group_lines, grouped
from minikubelet.replay.fielddiff import changes, spell
from minikubelet.replay.replayerrors import NEGATIVE, OK, ReplayError, command
from minikubelet.replay.replayhistory import Step, brief_of, harmful, open_journal, walk
from minikubelet.replay.replaymoments import clock, parse_moment
from minikubelet.replay.replaypaint import say
from minikubelet.replay.replaytale import journal_of, meant_by, tell_damage
from minikubelet.replay.replayverify import Decided, Divergence
from minikubelet.replay.sentences import short
from minikubelet.replay.standing import Stand, stand_at, tell
from minikubelet.replay.stateview import generations, pod_object
from minikubelet.replay.verifycommand import report

_ONLY = Words("is decided only in the second", "is decided only in the first")
Key = tuple[int, str, str, int]
LOST = -1
"""stands for a cause that only one of two recordings still has"""
_NO_KEY: Key = (0, "", "", 0)


@command
def run(options: argparse.Namespace) -> int:
    """Compare; 0 nothing differs, 1 something does, or a journal is damaged."""
    if options.at:
        if len(options.journals) > 1:
            raise ReplayError("--at compares two moments of one journal; leave the second journal out")
        options.subject = next(iter(options.journals), None)
        return _moments(options)
    if options.pod is not None:
        raise ReplayError("--pod goes with --at A B: two journals are compared as a whole")
    match options.journals:
        case [first, second] if options.journal or options.root_dir:
            raise ReplayError(f"three journals are named: leave out {first}, {second} or the option")
        case [first, second]:
            return _journals(open_journal(first), open_journal(second))
        case [_] | [] if options.journals or options.journal or options.root_dir:
            options.subject = next(iter(options.journals), None)
            return report(journal_of(options), jobs=1, today=True, form="text")
        case _:
            raise ReplayError(
                "name two journals to compare their decisions, one to compare its own with today's, or two"
                " moments with --at A B"
            )


def _moments(options: argparse.Namespace) -> int:
    reader = journal_of(options)
    stands = [stand_at(reader, parse_moment(text)) for text in options.at]
    tell(reader, *stands)
    seen = stands[0].seen | stands[1].seen
    only = meant_by(options.pod, seen, reader)[0] if options.pod else ""
    before, after = (_objects(stand, only) for stand in stands)
    say(" → ".join(f"seq {stand.seq} ({clock(stand.at)} UTC)" for stand in stands))
    differ = False
    for key in dict.fromkeys((*before, *after)):
        lines = list(_pod_lines(before.get(key), after.get(key)))
        if lines:
            differ = True
            say(f"{key[0]}, uid {short(key[1])}")
            say("\n".join(f"  {line}" for line in lines))
    if not differ:
        say("no pod differs")
    return NEGATIVE if differ else OK


def _objects(stand: Stand, only: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = [gen for gen in generations(stand.reducer) if only in ("", gen.slot)]
    return {(gen.slot, gen.uid): pod_object(gen, stand) | {"stage": gen.stage.value} for gen in found}


def _pod_lines(before: dict[str, Any] | None, after: dict[str, Any] | None) -> Iterator[str]:
    if before is None or after is None:
        yield "came into being" if before is None else "is gone"
        return
    for change in changes(before, after):
        if not change.path.endswith("lastTransitionTime"):
            yield f"{change.path}: {spell(change.before)} → {spell(change.after)}"


def _journals(first: JournalReader, second: JournalReader) -> int:
    theirs = Recorded(second)
    found: list[Divergence] = []
    mine = Recorded(first)
    common, last = 0, -1
    unmatched: Counter[str] = Counter()
    matched: dict[Key, None] = {}
    for key, step in mine.steps.items():
        place = theirs.places.get(key, -1)
        if place <= last:
            unmatched[key[1]] += 1
            continue
        last, common = place, common + 1
        matched[key] = None
        expected, actual = mine.decided(step, mine), theirs.decided(theirs.steps[key], mine)
        _forgive(expected, actual)
        if expected != actual:
            found.append(
                Divergence(
                    seq=step.event.seq, at=step.event.at, event=key[1], slot=key[2],
                    expected=tuple(expected), actual=tuple(actual),
                )
            )  # fmt: skip
    tell_damage(first)
    tell_damage(second)
    surplus = Counter(key[1] for key in theirs.steps if key not in matched)
    if not common:
        raise ReplayError("the two journals have no event in common: they are of different nodes or times")
    say(f"{common:,} events in common, {len(found):,} of them with other decisions")
    for side, kinds in (("first", unmatched), ("second", surplus)):
        if kinds:
            told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
            say(f"only in the {side}: {told}")
    if found:
        say("\n".join(group_lines(grouped(found, _ONLY))))
    damaged = bool(harmful(first) or harmful(second))
    if damaged:
        say("what is damaged could not be compared")
    return NEGATIVE if found or damaged else OK


class Recorded:
    """The steps of a journal by time, kind and pod, and the how manieth of these it is.

    That makes it the same event in another recording.
    """

    def __init__(self, reader: JournalReader) -> None:
        self.steps: dict[Key, Step] = {}
        self.places: dict[Key, int] = {}
        self.seqs: dict[Key, int] = {}
        self._keys: dict[int, Key] = {}
        count: Counter[tuple[int, str, str]] = Counter()
        for item in walk(reader):
            if isinstance(item, Step):
                brief = brief_of(item.event.body)
                alike = (item.event.at, brief.kind, brief.slot)
                count[alike] += 1
                key = (*alike, count[alike])
                self.places[key] = len(self.steps)
                self.steps[key] = item
                self.seqs[key] = item.event.seq
                self._keys[item.event.seq] = key

    def decided(self, step: Step, other: Recorded) -> list[Decided]:
        """The commands of a step, their causes by the seqs of another recording; LOST where it has none."""
        return [
            Decided(
                msgspec.json.decode(one.body),
                tuple(other.seqs.get(self._keys.get(seq, _NO_KEY), LOST) for seq in one.causes),
            )
            for one in step.commands
        ]


def _forgive(expected: list[Decided], actual: list[Decided]) -> None:
    """Causes that one of the recordings has lost are no difference: both then have those of the first."""
    for number, (one, other) in enumerate(zip(expected, actual, strict=False)):
        if LOST in (*one.causes, *other.causes):
            actual[number] = msgspec.structs.replace(other, causes=one.causes)
