"""What `replay` says: the verdict, the first divergence as a person can use it, damage, other versions.

Belongs here: text and JSON from the findings. May not be here: re-running anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from minikubelet.core.behaviours import TODAY, Behaviours
from minikubelet.journal.journalreader import JournalReader
from minikubelet.ports.journalport import RecordKind
from minikubelet.replay.fielddiff import diff_lines
from minikubelet.replay.replayerrors import NEGATIVE, OK, UNUSABLE
from minikubelet.replay.replaymoments import clock, span
from minikubelet.replay.replayverify import Decided, Divergence, Findings
from minikubelet.replay.sentences import of_event
from minikubelet.wire.records import CORE_VERSION, UnknownRecord, decode_event

_MOST_STATE_LINES = 40


class Cause(msgspec.Struct, frozen=True):
    """An event that a decision names as its cause."""

    seq: int
    at: int
    text: str


def causes_of(reader: JournalReader, divergence: Divergence) -> list[Cause]:
    """The events that a divergence's commands name, oldest first, where the history still has them."""
    decided = (*divergence.expected, *divergence.actual)
    wanted = {divergence.seq: None} | {seq: None for one in decided for seq in one.causes}
    found: list[Cause] = []
    if divergence.state:
        return found
    for record in reader.records(min(wanted)):
        if record.seq > divergence.seq:
            break
        if record.seq in wanted and record.kind is RecordKind.EVENT:
            try:
                text = of_event(decode_event(record.body))
            except UnknownRecord as error:
                text = str(error)
            found.append(Cause(record.seq, record.at, text))
    return found


def divergence_lines(divergence: Divergence, causes: Iterable[Cause]) -> list[str]:
    """A divergence: where, the commands field by field, and the events they follow from."""
    place = f"seq {divergence.seq} at {clock(divergence.at)} UTC"
    if divergence.state:
        left = len(divergence.state) - _MOST_STATE_LINES
        more = [f"  … and {left} fields more"] if left > 0 else []
        lines = [f"  {line}" for line in divergence.state[:_MOST_STATE_LINES]]
        return [f"the state reached is not the snapshot's ({place}; recorded → reached)", *lines, *more]
    pod = f", pod {divergence.slot}" if divergence.slot else ""
    lines = [f"other decisions at {place}, from {divergence.event}{pod}"]
    for expected, actual in pairs(divergence):
        lines += _pair_lines(expected, actual)
    lines.append("  caused by")
    lines += [f"    {cause.seq}  {clock(cause.at)}  {cause.text}" for cause in causes]
    return lines


def pairs(divergence: Divergence) -> list[tuple[Decided | None, Decided | None]]:
    """Recorded and re-run commands side by side, by kind and target; equal ones are left out."""
    left = list(divergence.actual)
    found: list[tuple[Decided | None, Decided | None]] = []
    for expected in divergence.expected:
        match = next((one for one in left if _equal(one, expected)), None)
        match = match or next((one for one in left if _alike(one, expected)), None)
        if match is not None:
            left.remove(match)
        if match is None or not _equal(match, expected):
            found.append((expected, match))
    found += [(None, one) for one in left]
    if found:
        return found
    return list(zip(divergence.expected, divergence.actual, strict=True))  # only their order differs


def _equal(one: Decided, other: Decided) -> bool:
    return one.command == other.command and one.causes == other.causes


def _alike(one: Decided, other: Decided) -> bool:
    keys = ("kind", "slot", "uid", "container")
    return all(one.command.get(key) == other.command.get(key) for key in keys)


def _pair_lines(expected: Decided | None, actual: Decided | None) -> list[str]:
    if expected is None and actual is not None:
        return [f"  + now decided, not recorded: {title(actual)}"]
    if expected is not None and actual is None:
        return [f"  - recorded as {expected.seq}, not decided now: {title(expected)}"]
    if expected is None or actual is None:
        return []
    before = {**expected.command, "causes": list(expected.causes)}
    after = {**actual.command, "causes": list(actual.causes)}
    lines = diff_lines(before, after, "      ") or ["      only the order of the commands differs"]
    return [f"  ~ {title(expected)} (recorded as {expected.seq}; recorded → now)", *lines]


def title(decided: Decided) -> str:
    """Kind, pod, container and reason of a command."""
    fields = decided.command
    container = f"/{fields['container']}" if "container" in fields else ""
    return f"{fields['kind']} {fields['slot']}{container} because {fields['reason']}"


def verdict_lines(found: Findings, seconds: float, *, today: bool = False) -> list[str]:
    """What was verified, how long it took, and what is odd about the journal."""
    rate = f", {found.events / seconds:,.0f} events/s" if seconds > 0 and found.events else ""
    lines = []
    if found.events:
        covered = span(found.last_at - found.first_at)
        agree = "verified" if not (found.divergences or today) else "compared"
        lines.append(
            f"{agree}: {found.events:,} events, {found.commands:,} decisions, {found.snapshots} snapshots,"
            f" {covered} of history ({seconds:.1f}s{rate})"
        )
    else:
        lines.append("nothing could be verified: no event follows a usable state")
    others = [core for core in found.cores if core != CORE_VERSION]
    if others:
        lines.append(f"recorded by core version {', '.join(others)}; this is core version {CORE_VERSION}")
    if any(one != TODAY for one in found.behaviours):
        lines.append(behaviours_line(found.behaviours, today=today))
    if found.skipped:
        lines.append(f"{found.skipped:,} events before the first usable snapshot were not verified")
    lines += found.remarks
    lines += [f"damage: {sentence}" for sentence in found.damage]
    return lines


def behaviours_line(recorded: Sequence[Behaviours], *, today: bool) -> str:
    """By which behaviours the lives were decided, and by which they are decided here."""
    then = f"recorded under behaviours {' and '.join(map(_numbers, recorded))}"
    if not today:
        return f"{then} (today's: {_numbers(TODAY)}); here each life is decided by its own"
    new = (one for one in TODAY if any(one not in known for known in recorded))
    names = ", ".join(f"{int(one)} {one.name.lower().replace('_', ' ')}" for one in new)
    return f"{then}; here each life is decided by today's, {_numbers(TODAY)}; new since then: {names}"


def _numbers(behaviours: Behaviours) -> str:
    """`none`, `1`, `1-4`, or each number where one is left out."""
    if not behaviours:
        return "none"
    if behaviours != TODAY[: len(behaviours)]:
        return ",".join(str(int(one)) for one in behaviours)
    return f"1-{len(behaviours)}" if len(behaviours) > 1 else "1"


class Verdict(NamedTuple):
    """How a verification ends: the exit code, and its reason in a sentence."""

    code: int
    text: str


def verdict_of(found: Findings, harms: int, *, today: bool = False) -> Verdict:
    """What the findings come to; `harms` is how much of the damage is more than an end never committed."""
    places = "place" if harms == 1 else "places"
    if found.divergences and found.divergences[0].state:
        return Verdict(NEGATIVE, "exit code 1: the state reached is not the one recorded")
    if found.divergences:
        who = "today not" if today else "not"
        return Verdict(NEGATIVE, f"exit code 1: {who} every decision is made as it was recorded")
    if not found.events and (found.skipped or harms):
        return Verdict(UNUSABLE, "exit code 2: no event follows a usable state, so nothing was compared")
    if harms:
        told = f"the journal is damaged in {harms} {places}"
        return Verdict(NEGATIVE, f"exit code 1: {told}, though every decision that can be read matches")
    if not found.events:
        return Verdict(OK, "the journal holds no event yet")
    return Verdict(
        OK, "every decision is made today as it was recorded" if today else "every decision matches"
    )


def as_json(
    found: Findings, causes: list[Cause], seconds: float, groups: list[Any], verdict: Verdict
) -> bytes:
    """The whole report as one JSON object."""
    report = {
        "ok": not found.divergences,
        "exitCode": verdict.code,
        "verdict": verdict.text,
        "events": found.events,
        "decisions": found.commands,
        "snapshots": found.snapshots,
        "skipped": found.skipped,
        "seconds": round(seconds, 3),
        "core": CORE_VERSION,
        "recordedBy": found.cores,
        "behaviours": found.behaviours,
        "behavioursToday": TODAY,
        "remarks": found.remarks,
        "damage": found.damage,
        "divergence": found.divergences[0] if found.divergences else None,
        "causes": causes,
        "groups": groups,
    }
    return msgspec.json.format(msgspec.json.encode(report), indent=2)
