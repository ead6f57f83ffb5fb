"""Durations as Go spells them (`1h30m`, `20s`, `100ms`): the form of the settings and of Events.

Belongs here: their grammar. May not be here: which field is one (`model.settings`).
"""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {
    "ns": Fraction(1, 10**9), "us": Fraction(1, 10**6), "µs": Fraction(1, 10**6), "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 10**3), "s": Fraction(1), "m": Fraction(60), "h": Fraction(3600),
}  # fmt: skip
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_WHOLE = re.compile(rf"(?P<sign>[+-]?)(?P<parts>(?:{_PART.pattern})+)", re.ASCII)
_LONGEST = 64


def parse_duration(text: str) -> float:
    """Read a duration as seconds; raises ValueError with a sentence for a person."""
    if text == "0":
        return 0.0
    match = _WHOLE.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError("a duration is a number with a unit, such as 20s, 1m30s or 100ms")
    seconds = sum(
        (Fraction(number) * _UNITS[unit] for number, unit in _PART.findall(match["parts"])), Fraction(0)
    )
    return float(-seconds if match["sign"] == "-" else seconds)


def spell_duration(seconds: float) -> str:
    """Spell a duration as Go does, to the millisecond: `850ms`, `1.5s`, `2m0.25s`, `1h0m3s`."""
    whole = max(0, round(seconds * 1000))
    if whole < 1000:  # noqa: PLR2004 - milliseconds of a second
        return f"{whole}ms" if whole else "0s"
    minutes, left = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{head}{left / 1000:g}s"
