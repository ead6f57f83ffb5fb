"""From bytes as they arrive to lines and JSON.

Pure functions of bytes: no sockets, no waiting, and nothing of what the JSON means.
"""

from __future__ import annotations

from typing import Any

import msgspec

MOST_LINE_BYTES = 64 * 1024 * 1024


class LineSplitter:
    """Cuts a stream of bytes into lines, however the chunks fall; a line may be far longer than a chunk."""

    __slots__ = ("_most", "_pieces", "_size")

    def __init__(self, most_bytes: int = MOST_LINE_BYTES) -> None:
        self._most = most_bytes
        # Pieces are joined once per line: adding each chunk to one growing bytes would be quadratic.
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Answer the lines that this chunk ends, without their line feed and without empty ones.

        Raises:
            ValueError: a line grew beyond the limit.
        """
        *ends, rest = chunk.split(b"\n")
        lines = [line for end in ends if (line := self._ended(end)).strip()]
        self._keep(rest)
        return lines

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished line is held."""
        return self._size

    def _ended(self, end: bytes) -> bytes:
        self._keep(end)
        line = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return line

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most:
            raise ValueError(f"a line is longer than {self._most} bytes")
        if piece:
            self._pieces.append(piece)


def decode_json(data: bytes) -> Any:
    """Decode JSON.

    Raises:
        ValueError: it is none, or nested too deep.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise ValueError("JSON is nested too deep") from None
