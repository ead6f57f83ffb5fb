"""Container logs for `kubectl logs`, read from the files on this node.

Belongs here: the log query parameters of the Kubernetes API over CRI log files. May not be here: writing
logs. Lines are `<time> <stream> <F|P> <text>`; a P line goes on in the next one.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec
from aiohttp import web

from minikubelet.stubapi.stubserver import LogHandler

FOLLOW_INTERVAL = 0.2


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of a log; `tail` and `limit` None are no bound."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail: int | None = None
    limit: int | None = None
    since: dt.datetime | None = None


def log_handler(logs: Path) -> LogHandler:
    """Answers `pods/log` from the directory of container logs."""

    async def handle(
        request: web.Request, namespace: str, name: str, params: Mapping[str, str]
    ) -> web.StreamResponse:
        try:
            query = read_query(params)
        except ValueError as error:
            return _refusal(400, "BadRequest", str(error))
        file = await asyncio.to_thread(find_log, logs, namespace, name, query)
        if file is None:
            return _refusal(400, "BadRequest", _missing(name, query))
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        async for chunk in read_log(file, query):
            await response.write(chunk)
        await response.write_eof()
        return response

    return handle


def _missing(name: str, query: LogQuery) -> str:
    if query.previous:
        return f'previous terminated container "{query.container}" in pod "{name}" not found'
    return f'container "{query.container}" in pod "{name}" is waiting to start, or has no log'


def _refusal(code: int, reason: str, message: str) -> web.Response:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }
    return web.json_response(status, status=code)


def read_query(params: Mapping[str, str]) -> LogQuery:
    """The query of `pods/log`; raises ValueError with a sentence."""
    since = None
    if "sinceSeconds" in params:
        seconds = _number(params, "sinceSeconds") or 0
        since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)
    elif "sinceTime" in params:
        since = dt.datetime.fromisoformat(params["sinceTime"])
    return LogQuery(
        container=params.get("container", ""),
        follow=params.get("follow") == "true",
        previous=params.get("previous") == "true",
        timestamps=params.get("timestamps") == "true",
        tail=_number(params, "tailLines"),
        limit=_number(params, "limitBytes"),
        since=since,
    )


def _number(params: Mapping[str, str], name: str) -> int | None:
    text = params.get(name)
    if text is None:
        return None
    if not text.isdecimal():
        raise ValueError(f"{name} must be a whole number, not {text!r}")
    return int(text)


def find_log(logs: Path, namespace: str, name: str, query: LogQuery) -> Path | None:
    """The log file of a container's newest instance, or of the one before; None if there is none."""
    directories = [d for d in logs.glob(f"{namespace}_{name}_*") if d.is_dir()]
    directories.sort(key=lambda d: d.stat().st_mtime)
    if not directories:
        return None
    containers = sorted(d for d in directories[-1].iterdir() if d.is_dir())
    chosen = [d for d in containers if d.name == query.container] if query.container else containers[:1]
    if not chosen:
        return None
    files = sorted((f for f in chosen[0].glob("*.log") if f.stem.isdecimal()), key=lambda f: int(f.stem))
    wanted = -2 if query.previous else -1
    return files[wanted] if len(files) >= -wanted else None


async def read_log(file: Path, query: LogQuery) -> AsyncIterator[bytes]:
    """The log as a client asked for it, and what is added later where it follows."""
    left = query.limit
    position, partial = 0, b""
    lines: list[bytes] | deque[bytes]
    first = True
    while True:
        data, position = await asyncio.to_thread(_read_from, file, position)
        complete, _, partial = (partial + data).rpartition(b"\n")
        lines = [line for line in complete.split(b"\n") if line and _wanted(line, query)]
        if first and query.tail is not None:
            lines = deque(lines, maxlen=query.tail)
        first = False
        shown = b"".join(_shown(line, query) for line in lines)
        if left is not None:
            shown = shown[:left]
            left -= len(shown)
        if shown:
            yield shown
        if not query.follow or left == 0:
            return
        await asyncio.sleep(FOLLOW_INTERVAL)


def _read_from(file: Path, position: int) -> tuple[bytes, int]:
    try:
        with file.open("rb") as opened:
            opened.seek(position)
            data = opened.read()
    except FileNotFoundError:
        return b"", position
    return data, position + len(data)


def _wanted(line: bytes, query: LogQuery) -> bool:
    if query.since is None:
        return True
    try:
        return dt.datetime.fromisoformat(line.split(b" ", 1)[0].decode()) >= query.since
    except ValueError:
        return True


def _shown(line: bytes, query: LogQuery) -> bytes:
    """The text of a CRI line; one that is not in that form is shown as it is."""
    parts = line.split(b" ", 3)
    if len(parts) < len(("time", "stream", "tag")):
        return line + b"\n"
    text = parts[3] if len(parts) > len(("time", "stream", "tag")) else b""
    ending = b"" if parts[2].startswith(b"P") else b"\n"
    return (parts[0] + b" " if query.timestamps else b"") + text + ending
