"""Output: lines on stdout, and colour on a terminal only.

Belongs here: how the commands print. May not be here: what is worth a colour.
"""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO

import msgspec


def say(text: str) -> None:
    """Print a line, whatever characters the terminal knows."""
    try:
        sys.stdout.write(f"{text}\n")
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(f"{text.encode(encoding, 'replace').decode(encoding)}\n")


def say_json(value: object) -> None:
    """Print a value as JSON that a person can read as well."""
    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def say_json_array(values: Iterable[object]) -> None:
    """Print values as one JSON array, each as it comes."""
    between = "["
    for value in values:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
        say(between + "\n" + textwrap.indent(text, "  "))
        between = ","
    say("]" if between == "," else "[]")


class Paint:
    """Colours text if the stream is a terminal and NO_COLOR is not set."""

    def __init__(self, stream: TextIO) -> None:
        self.on = stream.isatty() and "NO_COLOR" not in os.environ

    def good(self, text: str) -> str:
        """Green."""
        return self._code(text, "32")

    def bad(self, text: str) -> str:
        """Red."""
        return self._code(text, "31")

    def warn(self, text: str) -> str:
        """Yellow."""
        return self._code(text, "33")

    def strong(self, text: str) -> str:
        """Bold."""
        return self._code(text, "1")

    def faint(self, text: str) -> str:
        """Dim."""
        return self._code(text, "2")

    def _code(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on else text
