"""A container's log file in CRI format: appended to, reopened after a rotation, resumed after a restart.

Knows lines and files, no engine. The file itself is the memory of what was written: its last line says
where a new agent goes on, and a line torn by a crash is cut off first.
Format: `2026-01-31T12:00:00.123456789Z stdout F text` (the kubelet's CRI logging format).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

_BLOCK: Final = 64 * 1024
_FRACTION: Final = 9


class LogEntry(NamedTuple):
    """A line, or (`partial`) a part of one; `time` has nine digits of fraction and ends in Z."""

    time: str
    stream: str
    text: bytes
    partial: bool


class Cursor(NamedTuple):
    """What was written last: its time and stream, and how many entries of exactly those are written."""

    time: str
    stream: str
    written: int


def whole_time(text: str) -> str:
    """A time as Go prints it (fraction without its last zeros) with all nine digits."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    return f"{head}.{fraction:0<{_FRACTION}}Z"


def short_time(text: str) -> str:
    """The reverse of `whole_time`."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    fraction = fraction.rstrip("0")
    return f"{head}.{fraction}Z" if fraction else f"{head}Z"


class CriLog:
    """The log file of one container. Not thread-safe; its owner has a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def open(self) -> Cursor | None:
        """Make directory and file where they are missing; where the log ends, None if it is empty.

        After a rotation the file may be new and empty: then the newest one beside it tells.
        """
        self._reach()
        _cut_torn_line(self.path)
        rotated = sorted(
            (other for other in self.path.parent.glob(f"{self.path.name}.*") if other.suffix != ".gz"),
            key=lambda other: other.stat().st_mtime_ns,
            reverse=True,
        )
        return cursor_of(self.path, *rotated)

    def append(self, entries: Iterable[LogEntry]) -> None:
        """Write entries in one go, so that a crash leaves whole lines but for the last."""
        data = b"".join(
            b"%s %s %s %s\n" % (e.time.encode(), e.stream.encode(), b"P" if e.partial else b"F", e.text)
            for e in entries
        )
        descriptor, view = self._reach(), memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    def reopen(self) -> None:
        """Go on in a new file at the path: the old one was renamed."""
        self.close()
        self._reach()

    def close(self) -> None:
        """Let go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _reach(self) -> int:
        if self._descriptor is None:
            if not self.path.parent.is_dir():
                _make_directories(self.path.parent)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self.path, flags, 0o640)
        return self._descriptor


def _make_directories(path: Path) -> None:
    """Log directories are for log collectors to read, whatever the umask."""
    missing = [place for place in (path, *path.parents) if not place.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for place in missing[:2]:  # the container's and the pod's; what is above is the agent's own
        place.chmod(0o755)


def _cut_torn_line(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb+") as file:
        end = size
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)


def cursor_of(*newest_first: Path) -> Cursor | None:
    """Where a log ends that lies in these files; None if they hold no line.

    Entries of one stream are in order, and only the parts of one long line share a time: going back from
    the end, the first entry of that stream with another time ends the count.
    """
    time = stream = b""
    written = 0
    for line in _lines_backwards(newest_first):
        parts = line.split(b" ", 3)
        if len(parts) != 4:  # noqa: PLR2004 - time, stream, tag, text
            continue
        if not written:
            time, stream = parts[0], parts[1]
        if parts[1] == stream:
            if parts[0] != time:
                break
            written += 1
    return Cursor(time.decode(), stream.decode(), written) if written else None


def _lines_backwards(newest_first: Iterable[Path]) -> Iterator[bytes]:
    """The whole lines of the files, the last one first, read in blocks and only as far as asked for."""
    for path in newest_first:
        try:
            with path.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                tail = b""
                while end > 0:
                    start = max(0, end - _BLOCK)
                    file.seek(start)
                    first, *lines = (file.read(end - start) + tail).split(b"\n")
                    yield from (line for line in reversed(lines) if line)
                    tail, end = first, start
                if tail:
                    yield tail
        except OSError:
            continue
