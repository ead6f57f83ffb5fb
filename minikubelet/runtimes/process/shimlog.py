"""A container's log file in CRI format, written by its supervisor.

Belongs here: cutting output into lines and writing them. Kept free of imports that cost memory.
Format: `<RFC 3339 time with nanoseconds> <stream> <P|F> <text>`, P for a part of a line (CRI logging design).
"""

# ruff: noqa: PTH116
# pathlib is larger than all the rest of a supervisor.
from __future__ import annotations

import os
import time

LONGEST = 16 * 1024
"""Bytes of one entry, as in containerd and Docker; longer lines are written in parts."""


class CriLog:
    """One log file, to which the lines of several streams go."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._held: dict[str, bytes] = {}
        self._fd = self._open()

    def write(self, stream: str, data: bytes) -> None:
        """Write all complete lines; the rest is held until its end arrives."""
        data = self._held.pop(stream, b"") + data
        prefix = f"{stamp(time.time_ns())} {stream} ".encode()
        entries = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            begin = 0
            while len(line) - begin > LONGEST:
                entries += [prefix, b"P ", line[begin : begin + LONGEST], b"\n"]
                begin += LONGEST
            entries += [prefix, b"F ", line[begin:], b"\n"]
        while len(rest) > LONGEST:
            entries += [prefix, b"P ", rest[:LONGEST], b"\n"]
            rest = rest[LONGEST:]
        if rest:
            self._held[stream] = rest
        self._append(b"".join(entries))

    def close(self) -> None:
        """Write what is held: a last line without an end is a part, since nothing says it was whole."""
        for stream, rest in self._held.items():
            self._append(f"{stamp(time.time_ns())} {stream} P ".encode() + rest + b"\n")
        self._held = {}
        if self._fd >= 0:
            os.close(self._fd)

    def _append(self, data: bytes) -> None:
        self._follow()
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            return  # a full disk loses lines; it must not end the container

    def _follow(self) -> None:
        """Go over to the file now at the path, if there is one: the agent made it to rotate the log."""
        try:
            there = os.stat(self._path)
            here = os.fstat(self._fd)
        except OSError:
            return
        if (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino):
            old, self._fd = self._fd, self._open()
            os.close(old)

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        except OSError:
            return os.open("/dev/null", os.O_WRONLY)


def stamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nine digits, so that lines of one file sort by time."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"
