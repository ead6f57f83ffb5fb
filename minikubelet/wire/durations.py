"""Go's durations (`1h30m`, `20s`, `100ms`) as seconds, the form in which the kubelet's settings have them.

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
