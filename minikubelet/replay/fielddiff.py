"""Field diffs: two values as JSON has them, and which of their fields differ.

Belongs here: comparing and spelling. May not be here: what the values mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


ABSENT: Final = _Absent()
"""Stands where one side has no such field."""
_LONGEST = 160


class Change(NamedTuple):
    """One field that differs: its path as `spec.containers[0].image`, and both values."""

    path: str
    before: Any
    after: Any


def changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """The fields in which two JSON-able values differ, outermost first, in the order of `before`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            inner = f"{path}.{_key(key)}" if path else _key(key)
            yield from changes(before.get(key, ABSENT), after.get(key, ABSENT), inner)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        yield from _of_lists(before, after, path)
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Change(path, before, after)


def _of_lists(
    before: list[Any] | tuple[Any, ...], after: list[Any] | tuple[Any, ...], path: str
) -> Iterator[Change]:
    names = _names(before), _names(after)
    if names[0] is not None and names[1] is not None:
        old, new = dict(zip(names[0], before, strict=True)), dict(zip(names[1], after, strict=True))
        for name in dict.fromkeys((*old, *new)):
            yield from changes(old.get(name, ABSENT), new.get(name, ABSENT), f"{path}[{name}]")
        return
    for index in range(max(len(before), len(after))):
        old_item = before[index] if index < len(before) else ABSENT
        new_item = after[index] if index < len(after) else ABSENT
        yield from changes(old_item, new_item, f"{path}[{index}]")


def _names(items: list[Any] | tuple[Any, ...]) -> list[str] | None:
    """The names of a list's items, where names are what Kubernetes merges it by."""
    found = [
        item.get("name") or item.get("type") or item.get("uid") for item in items if isinstance(item, dict)
    ]
    whole = len(found) == len(items) and all(isinstance(name, str) for name in found)
    return [str(name) for name in found] if whole and len(dict.fromkeys(found)) == len(found) else None


def _key(key: object) -> str:
    text = str(key)
    return f'"{text}"' if "." in text else text


def spell(value: Any) -> str:
    """A value on one line, cut where it gets long."""
    if value is ABSENT:
        return "(absent)"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def diff_lines(before: Any, after: Any, indent: str = "") -> list[str]:
    """The differing fields, one a line, as `path: before → after`."""
    return [indent + spell_change(one) for one in changes(before, after)]


def spell_change(change: Change) -> str:
    """A differing field as `path: before → after`."""
    return f"{change.path or '(all)'}: {spell(change.before)} → {spell(change.after)}"
