"""Kubernetes quantities (`500m`, `1Gi`, `1e3`) as exact numbers.

Belongs here: reading and spelling quantities. May not be here: what a resource means. The grammar is
that of apimachinery's `resource.Quantity`; what exceeds 2^63-1 is capped there as well.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from functools import lru_cache

MAX = 2**63 - 1
_GRAMMAR = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?\d+))?",
    re.ASCII,
)
_SUFFIX = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 10**3), "k": Fraction(10**3),
    "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12), "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30),
    "Ti": Fraction(2**40), "Pi": Fraction(2**50), "Ei": Fraction(2**60),
}  # fmt: skip
_LONGEST = 64  # more digits than any quantity has, few enough to compute with
_GREATEST_EXPONENT = 40  # beyond, everything is capped or rounded alike


@lru_cache(maxsize=1024)
def parse_quantity(text: str) -> Fraction:
    """Read a quantity exactly; raises ValueError with a sentence for a person."""
    match = _GRAMMAR.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(
            "quantities must be a number with a suffix such as m, k, M, G, Ki, Mi, Gi, or an exponent"
        )
    value = Fraction(match["number"])
    if match["suffix"]:
        value *= _SUFFIX[match["suffix"]]
    elif match["exponent"]:
        exponent = max(-_GREATEST_EXPONENT, min(_GREATEST_EXPONENT, int(match["exponent"])))
        value *= Fraction(10) ** exponent
    return max(Fraction(-MAX), min(Fraction(MAX), value))


def whole(text: str) -> int:
    """A quantity in whole units (bytes, counts), rounded up."""
    return math.ceil(parse_quantity(text))


def milli(text: str) -> int:
    """A quantity in thousandths (of a core), rounded up."""
    return math.ceil(parse_quantity(text) * 1000)


def spell_binary(number: int) -> str:
    """A whole number with the largest of Ki, Mi … that divides it, as upstream writes what it has counted."""
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        size = _SUFFIX[suffix].numerator
        if number and number % size == 0:
            return f"{number // size}{suffix}"
    return str(number)


def canonical(text: str) -> str:
    """A quantity as upstream writes it again: `1024Mi` is `1Gi`, `2000M` is `2G`."""
    match = _GRAMMAR.fullmatch(text)
    suffix = match["suffix"] if match else None
    if suffix and suffix.endswith("i"):
        return spell_binary(whole(text))
    value = parse_quantity(text)
    if match is None or match["exponent"] or value.denominator != 1:
        return text
    for larger in ("E", "P", "T", "G", "M", "k"):
        size = _SUFFIX[larger].numerator
        if value and value.numerator % size == 0:
            return f"{value.numerator // size}{larger}"
    return str(value.numerator)


def spell_number(number: float) -> str:
    """Spell a bare number of YAML or JSON as the quantity it stands for: 2 is `2`, 0.5 is `500m`."""
    if isinstance(number, int):
        return str(number)
    if not math.isfinite(number):
        raise ValueError("a quantity must be finite")
    exact = Fraction(repr(number))
    for suffix in ("", "m", "u"):
        scaled = exact / _SUFFIX.get(suffix, Fraction(1))
        if scaled.denominator == 1:
            return f"{scaled.numerator}{suffix}"
    return f"{math.ceil(exact / _SUFFIX['n'])}n"
