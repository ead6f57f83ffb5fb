"""Differing decisions in groups: the same difference a thousand times is one finding.

Belongs here: what makes two differences the same, and how groups are told. May not be here: finding them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from minikubelet.replay.fielddiff import changes, diff_lines
from minikubelet.replay.replaymoments import clock
from minikubelet.replay.replayverify import Decided, Divergence
from minikubelet.replay.verifyreport import pairs, title

_PODS_SHOWN = 5


class Group(msgspec.Struct):
    """Differences of one kind: how many, of which pods, and the first as an example."""

    what: str
    count: int = 0
    pods: list[str] = []
    first_seq: int = 0
    first_at: int = 0
    example: list[str] = []


class Words(NamedTuple):
    """How a command is told that only one side has."""

    second: str = "is decided now and was not"
    first: str = "was decided and is not now"


def grouped(divergences: Iterable[Divergence], words: Words | None = None) -> list[Group]:
    """The differences in groups, the most frequent first."""
    groups: dict[str, Group] = {}
    for divergence in divergences:
        for what, pod, example in _differences(divergence, words or Words()):
            group = groups.setdefault(
                what, Group(what, first_seq=divergence.seq, first_at=divergence.at, example=example)
            )
            group.count += 1
            if pod and pod not in group.pods:
                group.pods.append(pod)
    return sorted(groups.values(), key=lambda group: (-group.count, group.first_seq))


def _differences(divergence: Divergence, words: Words) -> Iterable[tuple[str, str, list[str]]]:
    if divergence.state:
        yield "the state at a snapshot", "", list(divergence.state)[:10]
        return
    for expected, actual in pairs(divergence):
        shown = expected or actual
        pod = str(shown.command["slot"]) if shown else ""
        yield _what(expected, actual, words), pod, _example(expected, actual)


def _what(expected: Decided | None, actual: Decided | None, words: Words) -> str:
    if expected is None and actual is not None:
        return f"{actual.command['kind']} ({actual.command['reason']}) {words.second}"
    if actual is None and expected is not None:
        return f"{expected.command['kind']} ({expected.command['reason']}) {words.first}"
    if expected is None or actual is None:
        return "nothing"
    fields = [change.path.partition("[")[0] for change in changes(expected.command, actual.command)]
    if expected.causes != actual.causes:
        fields.append("causes")
    where = ", ".join(dict.fromkeys(fields)) or "its place in the order"
    return f"{expected.command['kind']} differs in {where}"


def _example(expected: Decided | None, actual: Decided | None) -> list[str]:
    if expected is None or actual is None:
        shown = expected or actual
        return [title(shown)] if shown else []
    before = {**expected.command, "causes": list(expected.causes)}
    return diff_lines(before, {**actual.command, "causes": list(actual.causes)})


def group_lines(groups: Iterable[Group]) -> list[str]:
    """The groups as text: what, how often, where first, and one example each."""
    lines = []
    for group in groups:
        pods = ", ".join(group.pods[:_PODS_SHOWN]) + (" …" if len(group.pods) > _PODS_SHOWN else "")
        lines.append(f"{group.count} x  {group.what}")
        lines.append(
            f"    first at seq {group.first_seq}, {clock(group.first_at)} UTC{f'; {pods}' if pods else ''}"
        )
        lines += [f"      {line}" for line in group.example[:8]]
    return lines
