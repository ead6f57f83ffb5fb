"""Keys that stand more than once in one object of a request's body, of which the last counts.

Belongs here: finding them, in upstream's words. May not be here: whether they are refused (`stubfields`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml


def repeated_in_json(content: bytes) -> list[str]:
    """`duplicate field "spec.nodeName"` for each; `content` has been read as JSON before."""
    return [
        f'duplicate field "{path}"' for path in _paths(json.loads(content, object_pairs_hook=_Object), "")
    ]


def repeated_in_yaml(content: bytes) -> list[str]:
    """`line 4: key "spec" already set in map` for each; `content` has been read as YAML before."""
    document = yaml.compose(content, Loader=yaml.SafeLoader)
    return [f'line {line}: key "{key}" already set in map' for line, key in _lines(document)]


class _Object:
    """An object as it was written: all of its pairs."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for place, item in enumerate(value):
            yield from _paths(item, f"{path}[{place}]")
    elif isinstance(value, _Object):
        seen: set[str] = set()
        for key, child in value.pairs:
            here = f"{path}.{key}" if path else key
            if key in seen:
                yield here
            seen.add(key)
            yield from _paths(child, here)


def _lines(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _lines(item)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            name = str(key.value)
            if name in seen:
                yield key.start_mark.line + 1, name
            seen.add(name)
            yield from _lines(child)
