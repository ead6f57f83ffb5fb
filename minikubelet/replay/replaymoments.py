"""Moments of a history: how a person names one, and how times and durations are spelt.

Belongs here: `SEQ|TIME` arguments, and times as text. May not be here: the present; a history has its own.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from minikubelet.model.status import from_rfc3339, rfc3339_micro
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.wire.durations import parse_duration

SECOND = 1_000_000
_DIGITS = 18
_SECOND_MS = 1_000
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_LONGEST = 100 * 365 * _DAY * SECOND


class Moment(NamedTuple):
    """A place in a history: a seq, or a time in µs; the other is None."""

    seq: int | None = None
    at: int | None = None

    def behind(self, seq: int, at: int) -> bool:
        """Whether a record of this seq and time comes after the moment."""
        return (self.seq is not None and seq > self.seq) or (self.at is not None and at > self.at)

    def ahead(self, seq: int, at: int) -> bool:
        """Whether a record of this seq and time comes before the moment."""
        return (self.seq is not None and seq < self.seq) or (self.at is not None and at < self.at)


def whole_number(text: str) -> int | None:
    """A seq, an index, a count as a person writes it; None for anything else, and what nothing reaches."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def parse_moment(text: str) -> Moment:
    """Read `1234`, `2024-05-01T10:00:00Z` or `2024-05-01 10:00:00` (UTC); raises ReplayError."""
    if (seq := whole_number(text)) is not None:
        return Moment(seq=seq)
    if text.isdigit():
        raise ReplayError(f"{text[:40]!r} is no moment: no history has so many records")
    spelt = text.strip().replace(" ", "T")
    if not re.search(r"(Z|[+-]\d\d:?\d\d)$", spelt):
        spelt += "Z"
    try:
        return Moment(at=from_rfc3339(spelt))
    except ValueError:
        raise ReplayError(
            f"{text!r} is no moment: give a seq (1234) or a time (2024-05-01T10:00:00Z)"
        ) from None


def duration(text: str) -> int:
    """Read `30s`, `1h30m`, `500ms` as microseconds; raises ReplayError."""
    try:
        found = round(parse_duration(text) * SECOND)
    except (ValueError, OverflowError):
        raise ReplayError(f"{text!r} is no duration; write 30s, 5m or 1h30m") from None
    if found > _LONGEST:
        raise ReplayError(f"{text!r} is longer than anything that is kept: a hundred years")
    return found


def clock(at: int) -> str:
    """A time to the millisecond, UTC: `2024-05-01 10:00:00.000`."""
    return rfc3339_micro(at)[:-4].replace("T", " ")


def span(microseconds: int) -> str:
    """A duration as people say it: `850ms`, `12.3s`, `4m12s`, `2h05m`, `3d4h`."""
    ms = abs(microseconds) // 1000
    sign = "-" if microseconds < 0 and ms else ""
    seconds = round(ms / 1000)
    if ms < _SECOND_MS:
        text = f"{ms}ms"
    elif seconds < _MINUTE:
        text = f"{ms / 1000:.1f}s".replace(".0s", "s")
    elif seconds < _HOUR:
        text = f"{seconds // _MINUTE}m{seconds % _MINUTE:02d}s"
    elif seconds < _DAY:
        text = f"{seconds // _HOUR}h{seconds // _MINUTE % 60:02d}m"
    else:
        text = f"{seconds // _DAY}d{seconds // _HOUR % 24}h"
    return sign + text
