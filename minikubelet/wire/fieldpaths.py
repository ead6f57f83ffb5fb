"""Where in an object a finding is: paths of fields, how they are spelt, and the line they stand on.

Belongs here: paths and the collection of findings. May not be here: any rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from minikubelet.wire.yamldoc import Node

Path: TypeAlias = tuple[str | int, ...]

MAX_FINDINGS = 20
_MAX_COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where. Messages never quote what could be a secret."""

    path: Path
    message: str


@dataclass(slots=True)
class Findings:
    """Collects findings; beyond a bound they are dropped, so that hostile input cannot make it grow."""

    found: list[Finding] = field(default_factory=list)

    def add(self, path: Path, message: str) -> None:
        """Take one finding."""
        if len(self.found) < _MAX_COUNTED:
            self.found.append(Finding(path, message))

    def required(self, path: Path, why: str = "") -> None:
        """A value is missing."""
        self.add(path, f"Required value: {why}" if why else "Required value")

    def invalid(self, path: Path, value: object, why: str) -> None:
        """A value breaks a rule; give only values that are no secret."""
        self.add(path, f"Invalid value: {spell(value)}: {why}")

    def unsupported(self, path: Path, value: object, supported: tuple[str, ...]) -> None:
        """A word is not among those allowed."""
        words = ", ".join(f'"{word}"' for word in supported if word)
        self.add(path, f"Unsupported value: {spell(value)}: supported values: {words}")

    def duplicate(self, path: Path, value: object) -> None:
        """A value that must be unique is there twice."""
        self.add(path, f"Duplicate value: {spell(value)}")

    def forbidden(self, path: Path, why: str) -> None:
        """A field may not be used here."""
        self.add(path, f"Forbidden: {why}")


def spell(value: object) -> str:
    """Show a value in a message, at most 80 characters of it."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    shown = text if len(text) <= 80 else text[:77] + "…"  # noqa: PLR2004 - a line's worth
    return f'"{shown}"' if isinstance(value, str) else shown


def spell_path(path: Path) -> str:
    """Spell a path as upstream does: `spec.containers[0].image`."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif "." in step or "/" in step:
            parts.append(f"[{spell(step)[1:-1]}]")
        else:
            parts.append(f".{spell(step)[1:-1]}" if parts else spell(step)[1:-1])
    return "".join(parts)


def line_of(document: Node, path: Path) -> int:
    """The line of the field, or of the nearest one around it that is written down."""
    node = document
    line = node.line
    for step in path:
        child = _child(node, step)
        if child is None:
            break
        node, line = child, child.key_line
    return line


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(node.value, dict):
        return node.value.get(str(step))
    if isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    return None


def report(document: Node, found: list[Finding]) -> tuple[str, ...]:
    """Spell findings with lines, in the order of lines, at most 20 and how many more there are."""
    placed = sorted((line_of(document, one.path), number, one) for number, one in enumerate(found))
    lines = [_spell_finding(line, one) for line, _, one in placed[:MAX_FINDINGS]]
    if len(placed) > MAX_FINDINGS:
        lines.append(f"… and {len(placed) - MAX_FINDINGS} more")
    return tuple(lines)


def _spell_finding(line: int, one: Finding) -> str:
    path = spell_path(one.path)
    return f"line {line}: {path}: {one.message}" if path else f"line {line}: {one.message}"
