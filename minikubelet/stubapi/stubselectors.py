"""Label and field selectors: parse once per request, then match objects.

Pure. The grammar is that of `labelSelector` and `fieldSelector` in the Kubernetes API, including the
set-based `in`, `notin`, `key` and `!key`.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING

import msgspec

from minikubelet.stubapi.stubresources import EVENTS, NAMESPACES, NODES, PODS, SECRETS, Obj, Resource
from minikubelet.stubapi.stubstatus import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEY = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_PART = re.compile(r"\s*((?:[^,()]|\([^()]*\))*)\s*(?:,|$)")

_COMMON_FIELDS = ("metadata.name", "metadata.namespace")
_FIELDS: dict[Resource, tuple[str, ...]] = {
    PODS: (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    EVENTS: (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    NODES: ("spec.unschedulable",),
    NAMESPACES: ("status.phase",),
    SECRETS: ("type",),
}
_ALIASES = {"source": "source.component", "name": "metadata.name"}


class _Op(Enum):
    IN = auto()
    NOT_IN = auto()
    EXISTS = auto()
    MISSING = auto()


class _Term(msgspec.Struct, frozen=True):
    key: str
    op: _Op
    values: frozenset[str] = frozenset()

    def matches(self, value: str | None) -> bool:
        match self.op:
            case _Op.IN:
                return value is not None and value in self.values
            case _Op.NOT_IN:
                return value is None or value not in self.values
            case _Op.EXISTS:
                return value is not None
            case _Op.MISSING:
                return value is None


class Selector(msgspec.Struct, frozen=True):
    """The labels and fields a client asked for."""

    labels: tuple[_Term, ...] = ()
    fields: tuple[_Term, ...] = ()

    @property
    def selects_all(self) -> bool:
        """Whether nothing is left out."""
        return not self.labels and not self.fields

    def matches(self, obj: Obj) -> bool:
        """Whether an object is selected."""
        labels = obj["metadata"].get("labels") or {}
        return all(term.matches(labels.get(term.key)) for term in self.labels) and all(
            term.matches(_field(obj, term.key)) for term in self.fields
        )


def parse_selector(resource: Resource, query: Mapping[str, str]) -> Selector:
    """The selector in a request's `labelSelector` and `fieldSelector`.

    Raises:
        ApiError: 400, with the part that cannot be understood or the field the resource does not have.
    """
    labels = tuple(_label_term(part) for part in _parts(query.get("labelSelector", "")))
    fields = tuple(_field_term(resource, part) for part in _field_parts(query.get("fieldSelector", "")))
    return Selector(labels, fields)


def _parts(text: str) -> list[str]:
    parts, position = [], 0
    while position < len(text):
        found = _PART.match(text, position)
        if found is None:
            raise bad_request(f"unable to parse requirement: {text[position:]!r}")
        parts.append(found.group(1).strip())
        position = found.end()
    return parts


def _label_term(part: str) -> _Term:
    if found := _SET.fullmatch(part):
        values = frozenset(value.strip() for value in found.group(3).split(","))
        wrong = [value for value in sorted(values) if not re.fullmatch(_VALUE, value)]
        if wrong:
            raise bad_request(f"unable to parse requirement: invalid label value {wrong[0]!r} in {part!r}")
        return _Term(found.group(1), _Op.IN if found.group(2) == "in" else _Op.NOT_IN, values)
    if found := _EQUAL.fullmatch(part):
        op = _Op.NOT_IN if found.group(2) == "!=" else _Op.IN
        return _Term(found.group(1), op, frozenset({found.group(3)}))
    if found := _EXISTS.fullmatch(part):
        return _Term(found.group(2), _Op.MISSING if found.group(1) else _Op.EXISTS)
    raise bad_request(f"unable to parse requirement: found {part!r}")


def _field_parts(text: str) -> list[str]:
    return [part for part in re.split(r"(?<!\\),", text) if part]


def _field_term(resource: Resource, part: str) -> _Term:
    found = re.fullmatch(r"([^=!\\]+)(==|=|!=)(.*)", part, re.DOTALL)
    if found is None:
        raise bad_request(f"invalid selector: {part!r}; can't understand it")
    key, op, value = found.groups()
    key = key.strip()
    if key not in _COMMON_FIELDS and key not in _FIELDS.get(resource, ()):
        raise bad_request(f'field label not supported: {key}; "{resource.storage}" does not have it')
    value = re.sub(r"\\([\\,=])", r"\1", value)
    return _Term(_ALIASES.get(key, key), _Op.NOT_IN if op == "!=" else _Op.IN, frozenset({value}))


def _field(obj: Obj, path: str) -> str:
    value: object = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        # An absent flag selects like a false one, an absent text like an empty one.
        return "false" if path in ("spec.unschedulable", "spec.hostNetwork") else ""
    return str(value)
