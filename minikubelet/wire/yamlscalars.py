"""What a plain YAML scalar means: null, truth, number or text.

Belongs here: the reading of YAML 1.1 that sigs.k8s.io/yaml makes before anything is decoded, so that a
manifest means here what it means to upstream. May not be here: structure, positions, types of fields.

Surprises kept from upstream: `yes`, `no`, `on`, `off`, `y`, `n` are truth values; `0644` is octal;
`1_000` is a number. Unlike PyYAML, `1:30` is text. Timestamps are text. Keys of mappings are always text.
"""

from __future__ import annotations

import math
import re
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_INTEGER = re.compile(
    r"(?P<sign>[+-]?)(?:0b(?P<b>[01]+)|0x(?P<x>[0-9a-fA-F]+)|0o?(?P<o>[0-7]+)|(?P<d>0|[1-9][0-9]*))", re.ASCII
)
_BASES = {"b": 2, "x": 16, "o": 8, "d": 10}
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_LONGEST_NUMBER = (
    320  # longer digits are no number that a float could hold; text then, as its quotes would make it
)
_INTEGERS = range(-(2**63), 2**64)
_EXACT = 2.0**53

TAG = "tag:yaml.org,2002:"


class BadScalar(ValueError):
    """A scalar that cannot be what its tag says, or a number that JSON has no word for."""


def plain(text: str) -> Scalar:
    """What an unquoted, untagged scalar means; raises BadScalar for infinities and NaN."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "+-.0123456789" and len(text) <= _LONGEST_NUMBER:
        return _number(text)
    return text


def tagged(tag: str, text: str) -> Scalar:
    """What a scalar with an explicit tag means; raises BadScalar where the tag does not fit or is unknown."""
    kind = tag.removeprefix(TAG)
    if tag in ("!", TAG + "str", TAG + "timestamp"):
        return text
    value = plain(text)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return value
    fits = {"null": type(None), "bool": bool, "int": int, "float": float}
    wanted = fits.get(kind) if tag != kind else None
    if wanted is None:
        raise BadScalar(f"the tag {_short(tag)} is not supported; write plain values")
    if type(value) is not wanted:
        raise BadScalar(f"the value is not what its tag {_short(tag)} says")
    return value


def _short(tag: str) -> str:
    return tag.replace(TAG, "!!")[:60]


def _number(text: str) -> Scalar:
    digits = text.replace("_", "")
    match = _INTEGER.fullmatch(digits)
    if match is not None and match.lastgroup is not None:
        value = int(match["sign"] + match[match.lastgroup], _BASES[match.lastgroup])
        if value in _INTEGERS:
            return value
    if _FLOAT.fullmatch(digits):
        return _float(float(digits))
    if text.lower().lstrip("+-") in (".inf", ".nan"):
        raise BadScalar(f"{text} is not a number that can be used here")
    return text


def _float(value: float) -> int | float:
    if not math.isfinite(value):
        raise BadScalar("the number is too large; text made of digits needs quotes")
    return int(value) if value.is_integer() and abs(value) < _EXACT else value
