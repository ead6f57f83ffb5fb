"""The engine's own log files (driver json-file), read as they grow.

Reading them costs one `stat` when nothing happened, where following through the API holds a connection in
the agent, and a goroutine and an inotify instance (of 128 that a user has) in the engine, per container.
Rotated once: `<path>.1` is the older half.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from minikubelet.runtimes.docker.dockercrilog import Cursor, LogEntry, short_time, whole_time

_CHUNK: Final = 256 * 1024


class _Line(msgspec.Struct):
    log: str = ""
    stream: str = "stdout"
    time: str = ""


_DECODER: Final = msgspec.json.Decoder(_Line)


class JsonLog:
    """The entries of one container's log that come after a cursor. Not thread-safe; its owner has a lock."""

    def __init__(self, path: Path, after: Cursor | None) -> None:
        self._path = path
        self._older = path.with_name(f"{path.name}.1")
        self._file: BinaryIO | None = None
        self._rest = b""
        self._not_after = ""
        self._start(after)

    def read(self) -> list[LogEntry] | None:
        """What is new, at most a chunk of it; None if nothing is."""
        data = self._more()
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [entry for line in lines if (entry := self._decode(line)) is not None]

    def close(self) -> None:
        """Let go of the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _start(self, after: Cursor | None) -> None:
        if after is not None:
            left = after.written  # entries that share a time may lie on both sides of a rotation
            for path in (self._older, self._path):
                offset, left = _behind(path, after, left)
                if offset is not None:
                    self._open(path, offset)
                    return
            self._not_after = after.time  # the engine has dropped that place: all that is newer is new
        self._open(self._older if self._older.exists() else self._path, 0)

    def _open(self, path: Path, offset: int) -> BinaryIO | None:
        self.close()
        self._rest = b""
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        file.seek(offset)
        self._file = file
        return file

    def _more(self) -> bytes:
        file = self._file or self._open(self._path, 0)
        if file is None:
            return b""
        data = file.read(_CHUNK)
        if data or not self._moved_on(file):
            return data
        data = file.read(_CHUNK)  # what came between the last read and the rotation
        if data:
            return data
        file = self._open(self._path, 0)
        return b"" if file is None else file.read(_CHUNK)

    def _moved_on(self, file: BinaryIO) -> bool:
        """Whether the engine writes to another file by now, or has emptied this one."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        here = os.fstat(file.fileno())
        return (now.st_dev, now.st_ino) != (here.st_dev, here.st_ino) or now.st_size < file.tell()

    def _decode(self, line: bytes) -> LogEntry | None:
        try:
            entry = _DECODER.decode(line)
        except msgspec.MsgspecError:
            return None  # torn by a crash of the engine, which goes on in the same file
        time = whole_time(entry.time)
        if self._not_after:
            if time <= self._not_after:
                return None
            self._not_after = ""
        whole = entry.log.endswith("\n")
        return LogEntry(time, entry.stream, (entry.log[:-1] if whole else entry.log).encode(), not whole)


def _behind(path: Path, cursor: Cursor, left: int) -> tuple[int | None, int]:
    """The offset behind the `left`th entry of a cursor's time and stream, else how many are left to find."""
    try:
        if path.stat().st_size == 0:
            return None, left
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _search(content, cursor, left)
    except OSError:
        return None, left


def _search(content: mmap.mmap, cursor: Cursor, left: int) -> tuple[int | None, int]:
    """Found by its time, whose spelling in the file cannot occur in a text: quotes are escaped there."""
    needle = f'"time":"{short_time(cursor.time)}"'.encode()
    place = content.find(needle)
    while place >= 0:
        start, end = content.rfind(b"\n", 0, place) + 1, content.find(b"\n", place)
        if end < 0:
            break
        left -= _stream_of(content[start:end]) == cursor.stream
        if left == 0:
            return end + 1, 0
        place = content.find(needle, end)
    return None, left


def _stream_of(line: bytes) -> str:
    try:
        return _DECODER.decode(line).stream
    except msgspec.MsgspecError:
        return ""
