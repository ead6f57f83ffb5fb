"""A container's log through the engine's API, for logs that cannot be read as files.

Follows with the engine's timestamps and skips what is written already, by time. The engine ends the stream
when the container has exited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from minikubelet.runtimes.docker.dockercrilog import Cursor, LogEntry, whole_time
from minikubelet.runtimes.docker.dockerengine import Engine
from minikubelet.runtimes.docker.dockerframes import FrameParser, LineParser
from minikubelet.runtimes.docker.dockerview import microseconds

Write = Callable[[list[LogEntry]], Awaitable[None]]

_SLACK_SECONDS: Final = 1  # the parts of a long line carry the time of its first one


class Skipper:
    """Lets pass what comes after a cursor."""

    def __init__(self, cursor: Cursor | None) -> None:
        self._cursor = cursor
        self._left = cursor.written if cursor else 0

    def is_new(self, entry: LogEntry) -> bool:
        """Whether this entry, the next of the log, is not written yet."""
        if self._cursor is None or entry.time > self._cursor.time:
            return True
        if entry.time == self._cursor.time and entry.stream == self._cursor.stream:
            self._left -= 1
            return self._left < 0
        return False


async def copy_through_api(
    engine: Engine, container_id: str, cursor: Cursor | None, write: Write, *, tty: bool
) -> None:
    """Writes the log from the cursor to the container's end; raises what `Engine.stream` raises."""
    params = {"stdout": True, "stderr": True, "follow": True, "timestamps": True}
    since = {"since": str(microseconds(cursor.time) // 1_000_000 - _SLACK_SECONDS)} if cursor else {}
    parser, skipper = LineParser() if tty else FrameParser(), Skipper(cursor)
    path = f"containers/{container_id}/logs"
    async with engine.stream("GET", path, params={**params, **since}) as answer:
        async for data, _ in answer.content.iter_chunks():
            entries = [entry_of(stream, payload) for stream, payload in parser.feed(data)]
            new = [entry for entry in entries if skipper.is_new(entry)]
            if new:
                await write(new)


def entry_of(stream: str, payload: bytes) -> LogEntry:
    """An entry of a payload: time, blank, text; without a line's end it is a part of a line."""
    time, _, text = payload.partition(b" ")
    whole = text.endswith(b"\n")
    return LogEntry(
        whole_time(time.decode("ascii", "replace")), stream, text[:-1] if whole else text, not whole
    )
