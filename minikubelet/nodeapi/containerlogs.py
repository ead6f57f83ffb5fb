"""Container logs as clients ask for them, from the CRI log files on this node.

Belongs here: the query parameters of the log API and reading files by them. May not be here: writing logs,
HTTP. Lines are `<time> <stream> <F|P> <text>`; a P line goes on in the next one. Nothing is ever read whole.
Follows pkg/kubelet/kuberuntime/logs: the tail is cut before times are looked at.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from minikubelet.model.status import from_rfc3339

FOLLOW_SECONDS: Final = 0.2
_CHUNK: Final = 64 * 1024
_LONGEST: Final = 1024 * 1024
"""A line without end is given up at this length, so that a file that is no log fills no memory."""
_STREAMS: Final = {"All": b"", "Stdout": b"stdout", "Stderr": b"stderr"}


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of a log; `tail` and `limit` None are no bound, `since` is in µs since the epoch."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    limit: int | None = None
    since: int | None = None
    stream: bytes = b""


def read_query(params: Mapping[str, str], now: Callable[[], int]) -> LogQuery:
    """The query parameters of the log API; raises ValueError with a sentence. `now` is in µs."""
    since = None
    seconds = _number(params, "sinceSeconds", least=1)
    if seconds is not None and params.get("sinceTime"):
        raise ValueError("at most one of sinceTime or sinceSeconds may be specified")
    if seconds is not None:
        since = now() - seconds * 1_000_000
    elif params.get("sinceTime"):
        since = from_rfc3339(params["sinceTime"])
    stream = params.get("stream", "All")
    if stream not in _STREAMS:
        raise ValueError(f"stream must be one of {', '.join(_STREAMS)}, not {stream!r}")
    return LogQuery(
        follow=_flag(params, "follow"),
        previous=_flag(params, "previous"),
        timestamps=_flag(params, "timestamps"),
        tail=_number(params, "tailLines"),
        limit=_number(params, "limitBytes", least=1),
        since=since,
        stream=_STREAMS[stream],
    )


def _flag(params: Mapping[str, str], name: str) -> bool:
    return params.get(name, "").lower() in {"true", "1", "t"}


def _number(params: Mapping[str, str], name: str, *, least: int = 0) -> int | None:
    text = params.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < len("9223372036854775807")):
        raise ValueError(f"{name} must be a whole number, not {text[:40]!r}")
    if int(text) < least:
        raise ValueError(f"{name} must be greater than {least - 1}")
    return int(text)


def find_log(directory: Path, *, previous: bool) -> Path | None:
    """The log of a container's newest instance in its directory, or of the one before; None without one."""
    try:
        found = [int(file.stem) for file in directory.glob("*.log") if _is_attempt(file.stem)]
    except OSError:
        return None
    wanted = -2 if previous else -1
    return directory / f"{sorted(found)[wanted]}.log" if len(found) >= -wanted else None


def _is_attempt(stem: str) -> bool:
    return stem.isascii() and stem.isdecimal()


async def read_log(path: Path, query: LogQuery, over: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The log as asked for, and what is added later where it is followed, until `over` says so."""
    reader = LogReader(path, query)
    try:
        await asyncio.to_thread(reader.open)
        while True:
            ends = not query.follow or over()
            shown = await asyncio.to_thread(reader.more)
            if shown:
                yield shown
            if reader.full:
                return
            if reader.at_end:
                if ends:
                    return
                await asyncio.sleep(FOLLOW_SECONDS)
    except FileNotFoundError:
        return
    finally:
        reader.close()


class LogReader:
    """Reads one log piece by piece, in threads; a file that was rotated to its end, then the new one."""

    def __init__(self, path: Path, query: LogQuery) -> None:
        self.at_end = False
        self.full = False
        self._path = path
        self._query = query
        self._left = query.limit
        self._since = query.since
        self._file: BinaryIO | None = None
        self._rest = b""
        self._begins = True

    def open(self) -> None:
        """Go to where the tail begins; raises OSError."""
        self._file = self._path.open("rb")
        if self._query.tail is not None:
            self._file.seek(tail_position(self._file, self._query.tail))

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def more(self) -> bytes:
        """The next piece as it is shown, maybe empty; `at_end` and `full` tell what comes after it."""
        if self._file is None:
            raise ValueError("the log is not open")
        data = self._file.read(_CHUNK)
        fresh = None if data else self._next_file()
        self.at_end = not data and fresh is None
        if fresh is not None:
            # Something may have come to the old one after it was read and before there was a new one.
            data = self._file.read()
            self._file.close()
            self._file = fresh
        *lines, self._rest = (self._rest + data).split(b"\n")
        if fresh is not None:
            self._rest = b""
        if len(self._rest) > _LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        shown = b"".join(self._shown(line) for line in lines if line)
        if self._left is not None:
            shown = shown[: self._left]
            self._left -= len(shown)
            self.full = self._left == 0
        return shown

    def _next_file(self) -> BinaryIO | None:
        """The file now at the path, if it is another one."""
        if self._file is None:
            return None
        try:
            there, here = self._path.stat(), os.fstat(self._file.fileno())
            if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                return None
            return self._path.open("rb")
        except OSError:
            return None

    def _shown(self, line: bytes) -> bytes:
        """The text of a line; one that is not in CRI form is shown as it is."""
        parts = line.split(b" ", 3)
        if len(parts) < len(("time", "stream", "tag")):
            return line + b"\n"
        if self._query.stream not in (b"", parts[1]) or not self._recent(parts[0]):
            return b""
        partial = parts[2].startswith(b"P")
        stamp = parts[0] + b" " if self._query.timestamps and self._begins else b""
        self._begins = not partial
        text = parts[3] if len(parts) > len(("time", "stream", "tag")) else b""
        return stamp + text + (b"" if partial else b"\n")

    def _recent(self, time: bytes) -> bool:
        """Whether a line is asked for; the first one that is ends the looking, since times rise."""
        if self._since is None:
            return True
        try:
            if from_rfc3339(time.decode()) < self._since:
                return False
        except ValueError:
            return True
        self._since = None
        return True


def tail_position(file: BinaryIO, wanted: int) -> int:
    """Where the last so many whole lines begin; reads backwards, and only as far as needed."""
    lines = _lines_backwards(file)
    start, _ = next(lines, (0, b""))
    seen = 0
    for offset, line in lines if wanted else ():
        if not _is_partial(line):
            if seen == wanted:
                return start
            seen += 1
        start = offset
    return start


def _lines_backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Where each line begins, and the line; first what follows the last line's end, empty as a rule."""
    position, held = file.seek(0, os.SEEK_END), b""
    while position > 0:
        block = max(0, position - _CHUNK)
        file.seek(block)
        joined = file.read(position - block) + held
        held, *pieces = joined.split(b"\n")
        offset = block + len(joined)
        for piece in reversed(pieces):
            offset -= len(piece)
            yield offset, piece
            offset -= 1
        position = block
    if held:
        yield 0, held


def _is_partial(line: bytes) -> bool:
    parts = line.split(b" ", 3)
    return len(parts) > len(("time", "stream")) and parts[2].startswith(b"P")


def microseconds_now() -> int:
    """The wall clock, in µs since the epoch."""
    return int(dt.datetime.now(dt.UTC).timestamp() * 1_000_000)
