"""Fits parsed YAML or JSON to the typed structs of the model, naming every field that does not fit.

Belongs here: types, unknown keys, spelling of quantities, durations and sizes. May not be here: rules
about values. Strict for what people write, lenient for what API servers send: those may be newer and
know fields that this agent does not. As in Go, null is the same as absent.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Hashable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect as shapes

from minikubelet.model.podquantity import spell_number, whole
from minikubelet.wire.durations import parse_duration
from minikubelet.wire.fieldpaths import MAX_FINDINGS, Findings, Path, spell
from minikubelet.wire.yamldoc import Node

T = TypeVar("T")
_INT64 = range(-(2**63), 2**63)
_QUOTE = "put it in quotes (yes, no, on, off, y, n, true and false are truth values in YAML)"


class _Unfit:
    """Stands for a value that did not fit; whatever holds it leaves it out."""


_UNFIT = _Unfit()


@cache
def _shape(kind: Hashable) -> shapes.Type:
    return shapes.type_info(kind)


def fit(
    source: Node | object,
    kind: type[T],
    findings: Findings,
    *,
    path: Path = (),
    strict: bool = True,
    also_known: Collection[str] = (),
) -> T | None:
    """Decode a node, or plain JSON values, as a struct, adding what does not fit to `findings`.

    Answers what is left without the unfit parts, so that more can be said about it, or None if too little
    is left. `strict` makes unknown keys findings; otherwise they are left out, and nothing else is.
    `also_known` are names to think of when an unknown key is like one.
    """
    before = len(findings.found)
    plain = _Fitter(findings, strict=strict, also_known=also_known).fit(
        source, _shape(cast("Hashable", kind)), path
    )
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        if len(findings.found) == before:
            findings.add(path, str(error))
        return None


def plain_value(source: Node | object) -> Any:
    """The value without places."""
    value = source.value if isinstance(source, Node) else source
    if isinstance(value, dict):
        return {key: plain_value(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain_value(child) for child in value]
    return value


def kind_of(value: object) -> str:
    """Say what a value is without showing it, since it may be a secret."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case dict():
            return "a mapping"
        case _:
            return "a list"


def did_you_mean(word: str, known: list[str]) -> str:
    """`, did you mean "x"?` for a word like a known one, case aside; else nothing."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower()[:80], list(by_lower), n=1, cutoff=0.7)
    return f', did you mean "{by_lower[close[0]]}"?' if close else ""


class _Fitter:
    """Walks a value and a shape side by side. Returns plain values that msgspec can convert."""

    def __init__(self, findings: Findings, *, strict: bool, also_known: Collection[str]) -> None:
        self._findings = findings
        self._also_known = sorted(also_known)
        self._strict = strict

    def fit(self, source: object, shape: shapes.Type, path: Path) -> Any:
        """Fit one value; what does not fit becomes a finding."""
        value = source.value if isinstance(source, Node) else source
        match shape:
            case shapes.Metadata():
                return self._special(value, shape, path)
            case shapes.UnionType():
                return self._union(source, value, shape, path)
            case shapes.StructType():
                return self._struct(value, shape, path)
            case shapes.VarTupleType():
                return self._list(value, shape, path)
            case shapes.DictType():
                return self._dict(value, shape, path)
            case shapes.AnyType():
                return plain_value(source)
            case _:
                return self._scalar(value, shape, path)

    def _wrong(self, path: Path, expected: str, value: object) -> _Unfit:
        hint = ""
        if expected == "text" and isinstance(value, bool | int | float):
            hint = f": {_QUOTE}" if isinstance(value, bool) else ": put it in quotes"
        elif isinstance(value, str) and expected in ("a whole number", "true or false"):
            hint = ": remove the quotes" if value.isdigit() or value in ("true", "false") else ""
        self._findings.add(path, f"Invalid type: expected {expected}, got {kind_of(value)}{hint}")
        return _UNFIT

    def _struct(self, value: object, shape: shapes.StructType, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(path, "a mapping", value)
        fields = {field.encode_name: field for field in shape.fields}
        fitted: dict[str, Any] = {}
        for key, child in value.items():
            field = fields.get(key)
            if field is None:
                self._unknown(key, list(fields), path)
            elif not _is_null(child):
                fitted[key] = self.fit(child, field.type, (*path, key))
        missing = [name for name, field in fields.items() if field.required and name not in fitted]
        for name in missing:
            self._findings.required((*path, name))
        if missing or any(value is _UNFIT for name, value in fitted.items() if fields[name].required):
            return _UNFIT
        return {name: value for name, value in fitted.items() if value is not _UNFIT}

    def _unknown(self, key: object, known: list[str], path: Path) -> None:
        if self._strict:
            name = str(key)
            few = len(self._findings.found) < MAX_FINDINGS  # looking for likenesses costs time
            hint = did_you_mean(name, [*known, *self._also_known]) if few else ""
            self._findings.add((*path, name), f"unknown field {spell(name)}{hint}")

    def _list(self, value: object, shape: shapes.VarTupleType, path: Path) -> Any:
        if not isinstance(value, list):
            return self._wrong(path, "a list", value)
        items = [self._item(child, shape.item_type, (*path, index)) for index, child in enumerate(value)]
        return _UNFIT if _UNFIT in items else items  # to leave one out would shift the places of the others

    def _item(self, child: object, shape: shapes.Type, path: Path) -> Any:
        if _is_null(child):
            self._findings.add(path, "Invalid type: an item of a list cannot be empty")
            return _UNFIT
        return self.fit(child, shape, path)

    def _dict(self, value: object, shape: shapes.DictType, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(path, "a mapping", value)
        if isinstance(shape.value_type, shapes.AnyType):
            return plain_value(value)
        entries = {
            key: "" if _is_null(child) else self.fit(child, shape.value_type, (*path, key))
            for key, child in value.items()
        }
        return {key: entry for key, entry in entries.items() if entry is not _UNFIT}

    def _union(self, source: object, value: object, shape: shapes.UnionType, path: Path) -> Any:
        kinds = [one for one in shape.types if not isinstance(one, shapes.NoneType)]
        if len(kinds) == 1:
            return self.fit(source, kinds[0], path)
        if isinstance(value, bool) or not isinstance(value, int | str):
            return self._wrong(path, "a number or a name", value)
        return value

    def _scalar(self, value: object, shape: shapes.Type, path: Path) -> Any:
        match shape:
            case shapes.StrType():
                if not isinstance(value, str):
                    return self._wrong(path, "text", value)
            case shapes.BoolType():
                if not isinstance(value, bool):
                    return self._wrong(path, "true or false", value)
            case shapes.IntType():
                if isinstance(value, float) and value.is_integer():
                    value = int(value)
                if isinstance(value, bool) or not isinstance(value, int) or value not in _INT64:
                    return self._wrong(path, "a whole number", value)
            case _:
                raise TypeError(f"no way to fit {shape} is known")  # a new kind of field in the model
        return value

    def _special(self, value: object, shape: shapes.Metadata, path: Path) -> Any:
        extra = shape.extra or {}
        try:
            if "quantity" in extra:
                return self._quantity(value, path)
            if "duration" in extra:
                return self._duration(value, path)
            quantity = self._quantity(value, path)
            return whole(quantity) if isinstance(quantity, str) else quantity
        except ValueError as error:
            self._findings.invalid(path, value, str(error))
            return _UNFIT

    def _quantity(self, value: object, path: Path) -> str | _Unfit:
        if isinstance(value, str):
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._wrong(path, "a quantity such as 500m or 1Gi", value)
        return spell_number(value)

    def _duration(self, value: object, path: Path) -> float | _Unfit:
        if isinstance(value, str):
            return parse_duration(value)
        return self._wrong(path, "a duration such as 20s or 1m30s", value)


def _is_null(source: object) -> bool:
    return source is None or (isinstance(source, Node) and source.value is None)
