"""The engine's multiplexed streams: bytes in, whole frames out.

Eight bytes of header (stream, three zeros, length in network order) before each payload, see the engine's
API under ContainerAttach. Sans I/O.
"""

from __future__ import annotations

import struct
from typing import Final

_HEADER: Final = struct.Struct(">BxxxL")
STREAMS: Final = {1: "stdout", 2: "stderr"}


class FrameParser:
    """Feeds on pieces of any size."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """The frames that are whole now: name of the stream, payload."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= _HEADER.size:
            stream, length = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append((STREAMS.get(stream, "stdout"), bytes(self._buffer[_HEADER.size : end])))
            del self._buffer[:end]
        return frames


class LineParser:
    """The same shape for the plain stream of a container with a terminal: every line is of stdout."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """The lines that are whole now, each with its end."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [("stdout", line + b"\n") for line in lines]
