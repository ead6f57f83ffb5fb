"""Paths into events: `exit_code`, `pod.spec.containers[app].image`, and setting what stands there.

Belongs here: walking into frozen structs and giving back changed copies. May not be here: what a change
leads to. A path or a value that does not fit is an error that says what there is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, get_type_hints

import msgspec

from minikubelet.core.events import AnyEvent, PodSet
from minikubelet.replay.podnaming import suggestions
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.replay.replaymoments import whole_number
from minikubelet.wire.check_pod import check_pod
from minikubelet.wire.fieldpaths import Findings, spell_path

_STEP = re.compile(r"(?P<key>[^.\[\]\"]+)|\[(?P<item>[^\]]+)\]|\"(?P<quoted>[^\"]*)\"")
_DOT = re.compile(r"\.")


class Given(NamedTuple):
    """A value as it was written, and as JSON reads it."""

    text: str
    value: Any


def assignment(text: str, such: str = "PATH=VALUE, such as exit_code=0") -> tuple[list[str], Given]:
    """Split `path=value`; the value is JSON where it can be, or else text. Raises ReplayError."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ReplayError(f"{text!r} sets nothing; write {such}")
    try:
        return steps(path), Given(value, msgspec.json.decode(value))
    except msgspec.DecodeError:
        return steps(path), Given(value, value)


def with_assignment(event: AnyEvent, text: str) -> AnyEvent:
    """An event with `path=value` in it; raises ReplayError, also where its pod would break rules then."""
    path, value = assignment(text)
    changed: AnyEvent = with_value(event, path, value, type(event))
    if isinstance(event, PodSet) and isinstance(changed, PodSet) and changed.pod != event.pod:
        wrong = [each for each in _broken(changed) if each not in _broken(event)]
        if wrong:
            raise ReplayError(f"{text!r} makes no pod: {'; '.join(wrong)}")
    return changed


def _broken(event: PodSet) -> list[str]:
    findings = Findings()
    check_pod(event.pod, findings)
    return [f"{spell_path(one.path)}: {one.message}" for one in findings.found]


def steps(path: str) -> list[str]:
    """The steps of a path; raises ReplayError."""
    found: list[str] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ReplayError(f"{path!r} is no path; write it as pod.spec.containers[app].image")
        found.append(next(group for group in match.groups() if group is not None))
        at = match.end()
        dot = _DOT.match(path, at)
        at = dot.end() if dot else at
    return found


def with_value(target: Any, path: Sequence[str], value: Given, kind: Any, trail: str = "") -> Any:
    """A copy of `target` with the value at the path; `kind` is its type. Raises ReplayError."""
    if not path:
        return _converted(value, kind, trail)
    here = f"{trail}.{path[0]}" if trail else path[0]
    if isinstance(target, msgspec.Struct):
        return _in_struct(target, path, value, here)
    if isinstance(target, tuple | list):
        return _in_sequence(target, path, value, here)
    if isinstance(target, dict):
        inner = with_value(target.get(path[0]), path[1:], value, Any, here)
        return {**target, path[0]: inner}
    raise ReplayError(f"nothing can be set at {here}: there is {msgspec.json.encode(target).decode()}")


def _converted(given: Given, kind: Any, trail: str) -> Any:
    problem = ""
    for value in (given.value, given.text):
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            problem = problem or str(error)
    raise ReplayError(f"{trail}={given.text} does not fit: {problem}")


def _in_struct(target: msgspec.Struct, path: Sequence[str], value: Given, here: str) -> Any:
    names = dict(zip(target.__struct_encode_fields__, target.__struct_fields__, strict=True))
    names |= {name: name for name in target.__struct_fields__}
    if path[0] not in names:
        known = [name for name in target.__struct_encode_fields__ if name != "v"]
        raise ReplayError(f"there is no {here}; {suggestions(path[0], known, 'fields')}")
    field = names[path[0]]
    kind = get_type_hints(type(target))[field]
    inner = with_value(getattr(target, field), path[1:], value, kind, here)
    return msgspec.structs.replace(target, **{field: inner})


def _in_sequence(
    target: tuple[Any, ...] | list[Any], path: Sequence[str], value: Given, here: str
) -> tuple[Any, ...]:
    names = [str(getattr(item, "name", index)) for index, item in enumerate(target)]
    if path[0] in names:
        index = names.index(path[0])
    elif (number := whole_number(path[0])) is not None and number < len(target):
        index = number
    else:
        raise ReplayError(f"there is no {here}; {suggestions(path[0], names, 'items')}")
    item = target[index]
    inner = with_value(item, path[1:], value, type(item), here)
    return (*target[:index], inner, *target[index + 1 :])
