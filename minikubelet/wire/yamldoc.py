"""Bytes of YAML or JSON to documents whose every value knows its line and column.

Belongs here: encodings, limits against hostile input, syntax errors, duplicate keys, aliases and merge
keys. May not be here: what keys mean. Nodes are built from the parser's events with a stack of our own,
so neither depth nor size of the input can exhaust anything before a limit speaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from minikubelet.wire.yamlscalars import TAG, BadScalar, Scalar, plain, tagged

MAX_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 100
MAX_DOCUMENTS = 1_000
MAX_VALUES = 100_000
"""Values of one file, aliases counted as often as they are used."""

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})", re.ASCII
)
_BOMS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8"))


class YamlFault(ValueError):
    """Input that is no YAML, or too much of it; `line` and `column` count from 1, 0 where there is none."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        where = f"line {line}, column {column}: " if line else ""
        super().__init__(where + message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(slots=True)
class Node:
    """A value with its place. `value` is a scalar, a list of nodes, or a dict of nodes by key.

    `key_line` and `key_column` are those of the key or list item that holds it, counted from 1.
    `weight` counts the values in it, `height` the levels below it.
    """

    value: Scalar | list[Node] | dict[str, Node]
    line: int
    column: int
    key_line: int = 0
    key_column: int = 0
    weight: int = 1
    height: int = 0

    def held_at(self, line: int, column: int) -> Node:
        """The same value as another key holds it, perhaps by alias."""
        return Node(self.value, self.line, self.column, line, column, self.weight, self.height)


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    node: Node
    anchor: str | None
    key: tuple[str, int, int] | None = None
    merges: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents read, and what stopped the reading before the end of the file, if anything did."""

    documents: tuple[Node, ...]
    fault: YamlFault | None = None


def read_documents(data: bytes) -> Documents:
    """Read all documents of a file; empty ones are left out. Never raises on any input."""
    documents: list[Node] = []
    try:
        builder = _Builder(documents)
        for event in yaml.parse(_text(data), Loader=_PARSER):
            builder.take(event)
    except YamlFault as fault:
        return Documents(tuple(documents), fault)
    except yaml.MarkedYAMLError as error:
        return Documents(tuple(documents), _syntax(error))
    except yaml.YAMLError as error:
        return Documents(tuple(documents), YamlFault(f"this is no YAML: {error}"))
    except RecursionError:
        return Documents(tuple(documents), YamlFault(f"nested deeper than {MAX_DEPTH} levels"))
    return Documents(tuple(documents))


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise YamlFault(f"the file has more than {MAX_BYTES // 1024**2} MB")
    encoding, start = "utf-8", 0
    for bom, name in _BOMS:
        if data.startswith(bom):
            encoding, start = name, len(bom)
            break
    try:
        text = data[start:].decode(encoding)
    except UnicodeDecodeError as error:
        before = data[start : start + error.start].decode(encoding, errors="replace")
        raise YamlFault(f"this is no {encoding.upper()} text", *_place(before)) from None
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        what = f"the character U+{ord(bad[0]):04X} may not be in a manifest"
        raise YamlFault(f"{what}: is this a binary file?", *_place(text[: bad.start()]))
    if text.lstrip()[:1] in ("{", "["):  # JSON spells what is beyond the basic plane as two halves
        text = _SURROGATES.sub(_join_surrogates, text)
    return text


def _join_surrogates(match: re.Match[str]) -> str:
    halves = int(match[2], 16).to_bytes(2, "big") + int(match[3], 16).to_bytes(2, "big")
    return match[1] + halves.decode("utf-16-be")


def _place(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax(error: yaml.MarkedYAMLError) -> YamlFault:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "this is no YAML"
    if "nesting depth" in problem:
        problem = f"nested deeper than {MAX_DEPTH} levels"
    elif "cannot start any token" in problem:
        problem = "a tab cannot indent YAML, and text that begins with this character needs quotes"
    elif error.context and error.context_mark:
        problem = f"{problem} ({error.context} that begins on line {error.context_mark.line + 1})"
    return YamlFault(problem, mark.line + 1, mark.column + 1) if mark else YamlFault(problem)


class _Builder:
    """Builds nodes from events."""

    def __init__(self, documents: list[Node]) -> None:
        self._documents = documents
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._total = 0

    def take(self, event: Any) -> None:
        """Take the parser's next event; raises YamlFault."""
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        match event:
            case yaml.DocumentStartEvent():
                self._anchors = {}  # anchors are a document's own
            case yaml.ScalarEvent():
                self._scalar(event, line, column)
            case yaml.AliasEvent():
                self._alias(event.anchor or "", line, column)
            case yaml.MappingStartEvent():
                self._open(Node({}, line, column), event, "map")
            case yaml.SequenceStartEvent():
                self._open(Node([], line, column), event, "seq")
            case yaml.CollectionEndEvent():
                self._close()
            case _:
                pass

    def _scalar(self, event: yaml.ScalarEvent, line: int, column: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.node.value, dict) and top.key is None:
            top.key = (event.value, line, column)
            return
        untagged = event.tag is None
        try:
            if untagged and event.implicit[0]:
                value = plain(event.value)
            else:
                value = tagged(event.tag or "!", event.value)
        except BadScalar as bad:
            raise YamlFault(str(bad), line, column) from None
        node = Node(value, line, column)
        if event.anchor:
            self._anchors[event.anchor] = node
        self._add(node, line, column)

    def _alias(self, anchor: str, line: int, column: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.node.value, dict) and top.key is None:
            raise YamlFault("an alias cannot be a key", line, column)
        if any(held.anchor == anchor for held in self._stack):
            raise YamlFault(f"the alias *{anchor} stands inside what it names", line, column)
        node = self._anchors.get(anchor)
        if node is None:
            raise YamlFault(f"nothing above is named &{anchor}", line, column)
        self._add(node, line, column)

    def _open(self, node: Node, event: Any, kind: str) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and isinstance(top.node.value, dict) and top.key is None:
            raise YamlFault("a key must be a plain word, not a list or a mapping", node.line, node.column)
        if event.tag not in (None, "!", TAG + kind):
            raise YamlFault("tags of lists and mappings are not supported", node.line, node.column)
        self._check_depth(0, node.line, node.column)
        self._stack.append(_Open(node, event.anchor))

    def _check_depth(self, height: int, line: int, column: int) -> None:
        if len(self._stack) + height >= MAX_DEPTH:
            raise YamlFault(f"nested deeper than {MAX_DEPTH} levels", line, column)

    def _close(self) -> None:
        top = self._stack.pop()
        if isinstance(top.node.value, dict):
            for (
                merged
            ) in top.merges:  # what is written outright wins over what is merged, the first merge over later
                for key, child in _entries(merged).items():
                    top.node.value.setdefault(key, child)
        if top.anchor:
            self._anchors[top.anchor] = top.node
        self._add(top.node, top.node.line, top.node.column)

    def _add(self, node: Node, line: int, column: int) -> None:
        self._total += 1
        if not self._stack:
            self._add_document(node, line, column)
            return
        top = self._stack[-1]
        self._check_depth(node.height, line, column)
        top.node.height = max(top.node.height, node.height + 1)
        top.node.weight += node.weight
        if max(top.node.weight, self._total) > MAX_VALUES:
            raise YamlFault(f"more than {MAX_VALUES} values, aliases counted as often as used", line, column)
        if isinstance(top.node.value, list):
            top.node.value.append(node.held_at(line, column))
        elif isinstance(top.node.value, dict) and top.key is not None:
            self._add_entry(top, top.node.value, node)

    def _add_document(self, node: Node, line: int, column: int) -> None:
        if len(self._documents) >= MAX_DOCUMENTS or self._total > MAX_VALUES:
            raise YamlFault(f"more than {MAX_DOCUMENTS} documents or {MAX_VALUES} values", line, column)
        if node.value is not None:
            self._documents.append(node)

    @staticmethod
    def _add_entry(top: _Open, entries: dict[str, Node], node: Node) -> None:
        assert top.key is not None  # noqa: S101 - the caller looked
        (key, line, column), top.key = top.key, None
        if key == "<<":
            top.merges.extend(_merged(node, line, column))
            return
        if key in entries:
            first = entries[key].key_line
            raise YamlFault(f"the key {key[:60]!r} stands here and on line {first}", line, column)
        entries[key] = node.held_at(line, column)


def _merged(node: Node, line: int, column: int) -> list[Node]:
    nodes = node.value if isinstance(node.value, list) else [node]
    if not all(isinstance(one.value, dict) for one in nodes):
        raise YamlFault("<< merges mappings only", line, column)
    return nodes


def _entries(node: Node) -> dict[str, Node]:
    return node.value if isinstance(node.value, dict) else {}
