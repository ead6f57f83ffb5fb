"""A container's log through the engine's API, for logs that cannot be read as files.

Reads with the engine's timestamps and skips what is written already. An engine's `follow` may end before it
has given the last lines, so what is complete is only what was read once more without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from minikubelet.runtimes.docker.dockercrilog import Cursor, LogEntry, whole_time
from minikubelet.runtimes.docker.dockerengine import Engine
from minikubelet.runtimes.docker.dockerframes import FrameParser, LineParser
from minikubelet.runtimes.docker.dockerview import microseconds

Write = Callable[[list[LogEntry]], None]

_SLACK_SECONDS: Final = 1  # lines of two streams are in the order of arrival, not quite in that of time


class Skipper:
    """Lets pass what comes after the entry that a cursor names; its time alone decides if it never comes."""

    def __init__(self, cursor: Cursor | None) -> None:
        self._cursor = cursor
        self._left = cursor.written if cursor else 0
        self._newer: list[LogEntry] = []

    def take(self, entries: list[LogEntry]) -> list[LogEntry]:
        """Of these entries, the next of the log, those that are not written yet."""
        new = []
        for entry in entries:
            if self._cursor is None or self._left == 0:
                new.append(entry)
            elif (entry.time, entry.stream) == (self._cursor.time, self._cursor.stream):
                self._left -= 1
                self._newer.clear()  # what came before it was written before it
            elif entry.time > self._cursor.time:
                self._newer.append(entry)
        return new

    def rest(self) -> list[LogEntry]:
        """At the end of the log: what is newer than a cursor that was not found."""
        return self._newer


async def copy_through_api(
    engine: Engine, container_id: str, cursor: Cursor | None, write: Write, *, tty: bool, follow: bool
) -> None:
    """Writes the log from the cursor to its end, which `follow` puts off to the container's.

    Raises what `Engine.stream` raises.
    """
    params = {"stdout": True, "stderr": True, "follow": follow, "timestamps": True}
    since = {"since": str(microseconds(cursor.time) // 1_000_000 - _SLACK_SECONDS)} if cursor else {}
    parser, skipper = LineParser() if tty else FrameParser(), Skipper(cursor)
    path = f"containers/{container_id}/logs"
    async with engine.stream("GET", path, params={**params, **since}) as answer:
        async for data, _ in answer.content.iter_chunks():
            new = skipper.take([entry_of(stream, payload) for stream, payload in parser.feed(data)])
            if new:
                write(new)
    if rest := skipper.rest():
        write(rest)


def entry_of(stream: str, payload: bytes) -> LogEntry:
    """An entry of a payload: time, blank, text; without a line's end it is a part of a line."""
    time, _, text = payload.partition(b" ")
    whole = text.endswith(b"\n")
    return LogEntry(
        whole_time(time.decode("ascii", "replace")), stream, text[:-1] if whole else text, not whole
    )
