"""`minikubelet what-if`: what would have been decided if, beside what was.

Belongs here: the command and its table. May not be here: changing events (`whatif`).
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from minikubelet.core.commands import AnyCommand, PublishStatus
from minikubelet.replay.fielddiff import changes, spell
from minikubelet.replay.podnaming import resolve
from minikubelet.replay.replayerrors import OK, ReplayError, command
from minikubelet.replay.replaymoments import clock, duration, whole_number
from minikubelet.replay.replaypaint import say, say_json_array
from minikubelet.replay.replayprogress import progress
from minikubelet.replay.replaytale import journal_of, nodes_of, tell_damage
from minikubelet.replay.selecting import select
from minikubelet.replay.sentences import of_event
from minikubelet.replay.timelinerows import overview, sentence_of
from minikubelet.replay.whatif import Changes, Outcome, Scenario
from minikubelet.wire.records import decode_command

_COLUMN = 62


@command
def run(options: argparse.Namespace) -> int:
    """Re-run with the changes and show every event whose decisions differ."""
    if not any((options.drop, options.delay, options.set, options.manifest, options.setting)):
        raise ReplayError("what if what? give --drop, --delay, --set, --manifest or --setting")
    reader = journal_of(options)
    nodes = nodes_of(reader)
    slot = resolve(options.pod, overview(reader).slots, nodes)[0] if options.pod else ""
    chosen = select(reader, since=0, slot="")
    scenario = Scenario(chosen.state, chosen.steps, changes_of(options), nodes[-1])
    total = _Total()
    differing = _differing(scenario, slot, total)
    if options.output == "json":
        say_json_array(_as_json(one) for one in differing)
        tell_damage(reader)
        return OK
    for line in lines(differing, slot):
        say(line)
    say(
        f"{total.events:,} events re-run, {total.decisions:,} decisions;"
        f" {total.differing:,} events lead to others"
    )
    if total.differing:
        say("later events stay as they were recorded, answers to commands that are not given now among them")
    for text in scenario.kept:
        sys.stderr.write(f"{text}\n")
    tell_damage(reader)
    return OK


class _Total(msgspec.Struct):
    """What a re-run came to."""

    events: int = 0
    decisions: int = 0
    differing: int = 0


def _differing(scenario: Scenario, slot: str, total: _Total) -> Iterator[Outcome]:
    tell = progress("re-run")
    for one in scenario.run():
        total.events += 1
        tell(total.events, one.told.seq)
        total.decisions += len(one.decisions)
        if _differs(one, slot):
            total.differing += 1
            yield one


def changes_of(options: argparse.Namespace) -> Changes:
    """The changes of a command line; raises ReplayError for the first that cannot be read."""
    changes = Changes(settings=options.setting, dropped=set(options.drop))
    for path in options.manifest:
        try:
            changes.manifests.append((Path(path).name, Path(path).read_bytes()))
        except OSError as error:
            raise ReplayError(f"{path} cannot be read: {error.strerror}") from None
    for seq, text in options.set:
        changes.values.setdefault(_seq(seq), []).append(text)
    for seq, text in options.delay:
        changes.delayed[_seq(seq)] = (duration(text), text)
    return changes


def _seq(text: str) -> int:
    seq = whole_number(text)
    if seq is None:
        raise ReplayError(f"{text!r} is no seq of an event")
    return seq


def recorded_of(outcome: Outcome) -> list[tuple[AnyCommand, tuple[int, ...]]]:
    """The recorded commands of an event with their causes."""
    return [(decode_command(record.body), record.causes) for record in outcome.told.recorded]


def _differs(outcome: Outcome, slot: str) -> bool:
    before = [(c, causes) for c, causes in recorded_of(outcome) if slot in ("", c.slot)]
    after = [(d.command, d.causes) for d in outcome.decisions if slot in ("", d.command.slot)]
    return before != after


def lines(differing: Iterable[Outcome], slot: str = "") -> Iterator[str]:
    """Each event, and under it the recorded decisions on the left and those of now on the right."""
    yield f"  {'recorded':<{_COLUMN}}   what if"
    for outcome in differing:
        told = outcome.told
        what = of_event(told.event) if told.event is not None else "the event did not come"
        note = f"  [{told.note}]" if told.note else ""
        yield f"seq {told.shown_seq}  {clock(told.at)}  {what}{note}"
        before = [c for c, _ in recorded_of(outcome) if slot in ("", c.slot)]
        after = [d.command for d in outcome.decisions if slot in ("", d.command.slot)]
        for left, right in _beside(before, after):
            yield from _columns(left, right, told.at)


def _beside(
    before: list[AnyCommand], after: list[AnyCommand]
) -> Iterator[tuple[AnyCommand | None, AnyCommand | None]]:
    rest = list(after)
    for one in before:
        alike = next((other for other in rest if other == one), None) or next(
            (other for other in rest if _target(other) == _target(one)), None
        )
        if alike is not None:
            rest.remove(alike)
        yield one, alike
    for other in rest:
        yield None, other


def _target(one: AnyCommand) -> tuple[Any, ...]:
    return type(one), one.slot, getattr(one, "uid", ""), getattr(one, "container", "")


def _columns(left: AnyCommand | None, right: AnyCommand | None, at: int) -> Iterator[str]:
    texts = [sentence_of(one, at) if one is not None else "-" for one in (left, right)]
    columns = [textwrap.wrap(text, _COLUMN - 2) or [""] for text in texts]
    mark = "=" if left == right else "≠"
    for number in range(max(map(len, columns))):
        cells = [column[number] if number < len(column) else "" for column in columns]
        yield f"  {cells[0]:<{_COLUMN}} {mark if number == 0 else ' '} {cells[1]}".rstrip()
    if isinstance(left, PublishStatus) and isinstance(right, PublishStatus) and left != right:
        for one in changes(msgspec.to_builtins(left.status), msgspec.to_builtins(right.status)):
            yield f"      {one.path}: {spell(one.before)} → {spell(one.after)}"


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "seq": outcome.told.shown_seq,
        "at": outcome.told.at,
        "change": outcome.told.note,
        "event": outcome.told.event,
        "recorded": [{"command": c, "causes": causes} for c, causes in recorded_of(outcome)],
        "whatIf": [{"command": d.command, "causes": d.causes} for d in outcome.decisions],
    }
