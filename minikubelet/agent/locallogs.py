"""Container logs for `kubectl logs` on the embedded API server, from the files on this node.

Belongs here: which file a pod's container has, when following it ends, HTTP. May not be here: reading it
(`nodeapi.containerlogs`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from aiohttp import web

from minikubelet.core.reducer import Reducer
from minikubelet.model.ids import PodUid, SlotKey, slot_key
from minikubelet.nodeapi.containerlogs import LogQuery, find_log, microseconds_now, read_log, read_query
from minikubelet.shell.podpaths import PodPaths
from minikubelet.stubapi.stubserver import LogHandler


class LogPlace(msgspec.Struct, frozen=True):
    """The log of one instance of a container."""

    slot: SlotKey
    uid: PodUid
    container: str
    file: Path


def log_handler(paths: PodPaths, reducer: Reducer) -> LogHandler:
    """Answers `pods/log`; what is followed ends with the container."""

    async def handle(
        request: web.Request, namespace: str, name: str, params: Mapping[str, str]
    ) -> web.StreamResponse:
        slot = slot_key(namespace, name)
        try:
            query = read_query(params, microseconds_now)
            place = await asyncio.to_thread(
                find_place, paths, reducer, slot, params.get("container", ""), query
            )
        except ValueError as error:
            return _refusal(str(error))
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        async for chunk in read_log(place.file, query, over(reducer, place)):
            await response.write(chunk)
        await response.write_eof()
        return response

    return handle


def find_place(paths: PodPaths, reducer: Reducer, slot: SlotKey, container: str, query: LogQuery) -> LogPlace:
    """The log that is asked for; raises ValueError with the sentence that a client is told."""
    uid, directory = _newest(paths, reducer, slot)
    held = sorted(d.name for d in directory.iterdir() if d.is_dir()) if directory else []
    pod = slot.partition("/")[2]
    if not container and len(held) > 1:
        raise ValueError(f"a container name must be specified for pod {pod}, choose one of: {held}")
    chosen = container or (held[0] if held else "")
    file = find_log(directory / chosen, previous=query.previous) if directory and chosen in held else None
    if file is None and query.previous:
        raise ValueError(f'previous terminated container "{chosen}" in pod "{pod}" not found')
    if file is None:
        raise ValueError(f'container "{chosen}" in pod "{pod}" is waiting to start, or has no log')
    return LogPlace(slot, uid, chosen, file)


def _newest(paths: PodPaths, reducer: Reducer, slot: SlotKey) -> tuple[PodUid, Path | None]:
    """The newest generation of a pod that has logs."""
    known = reducer.slots.get(slot)
    for gen in reversed(known.generations) if known else ():
        directory = paths.log_directory(slot, gen.uid)
        if directory.is_dir():
            return gen.uid, directory
    return PodUid(""), None


def over(reducer: Reducer, place: LogPlace) -> Callable[[], bool]:
    """Whether the instance that writes a log has ended; one that is only being started has not."""
    attempt = int(place.file.stem)

    def ended() -> bool:
        known = reducer.slots.get(place.slot)
        gen = known.find(place.uid) if known else None
        record = gen.containers.get(place.container) if gen else None
        if record is None:
            return True
        return record.attempt > attempt or (record.attempt == attempt and not record.running)

    return ended


def _refusal(message: str) -> web.Response:
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "BadRequest",
        "message": message,
        "code": 400,
    }
    return web.json_response(status, status=400)
