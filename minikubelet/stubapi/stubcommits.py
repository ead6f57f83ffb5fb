"""The one writer of the stub API server: decides, writes to disk, then applies, in groups.

Requests hand in a decision function; those that arrive together share one disk flush. What could not be
written was never stored. No rules of any resource here.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import structlog

from minikubelet.stubapi.stubstatus import ApiError, internal_error
from minikubelet.stubapi.stubstore import Change, ChangeKind, Key, Store, Stored, watch_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from minikubelet.stubapi.stubpersistence import StateLog
    from minikubelet.stubapi.stubresources import Obj, Resource

_log = structlog.get_logger(__name__)


class Act(Enum):
    """What becomes of an object."""

    KEEP = auto()
    PUT = auto()
    REMOVE = auto()


class Decision(msgspec.Struct, frozen=True):
    """The outcome of a decision function: the act, and the object as it is afterwards."""

    act: Act
    obj: Obj


Lookup: TypeAlias = "Callable[[Resource, Key], Obj | None]"
Decide: TypeAlias = "Callable[[Obj | None, Lookup], Decision]"
"""From the current object (a copy of its own, or None) to a decision; raises `ApiError` to refuse."""


class _Job(msgspec.Struct, frozen=True):
    resource: Resource
    key: Key
    decide: Decide
    dry_run: bool
    done: asyncio.Future[Obj]


class _Group:
    """The changes of one disk flush while they are not applied yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pending: dict[tuple[Resource, Key], Stored | None] = {}
        self.changes: list[Change] = []
        self.answers: list[tuple[asyncio.Future[Obj], Obj]] = []
        self.refusals: list[tuple[asyncio.Future[Obj], Exception]] = []
        """told last: one may rest on what this group stores, and whoever is told so has to find that"""

    def current(self, resource: Resource, key: Key) -> Stored | None:
        if (resource, key) in self._pending:
            return self._pending[resource, key]
        return self._store.get(resource, key)

    def lookup(self, resource: Resource, key: Key) -> Obj | None:
        stored = self.current(resource, key)
        return None if stored is None else stored.obj

    def decide(self, job: _Job) -> None:
        before = self.current(job.resource, job.key)
        copy: Obj | None = None if before is None else msgspec.json.decode(before.raw)
        try:
            decision = job.decide(copy, self.lookup)
        except Exception as problem:  # noqa: BLE001 - whatever refuses one request is that request's answer
            self.refusals.append((job.done, problem))
            return
        if decision.act is not Act.KEEP and not job.dry_run:
            self._record(job, before, decision)
        self.answers.append((job.done, decision.obj))

    def _record(self, job: _Job, before: Stored | None, decision: Decision) -> None:
        version = self._store.version + len(self.changes) + 1
        decision.obj["metadata"]["resourceVersion"] = str(version)
        after = Stored(decision.obj, msgspec.json.encode(decision.obj))
        removed = decision.act is Act.REMOVE
        kind = ChangeKind.DELETED if removed else ChangeKind.MODIFIED if before else ChangeKind.ADDED
        line = watch_line(kind, after.raw)
        self.changes.append(Change(version, kind, job.resource, job.key, after, before, line))
        self._pending[job.resource, job.key] = None if removed else after


class Committer:
    """Runs the decisions one after the other and commits them in groups."""

    def __init__(self, store: Store, log: StateLog) -> None:
        self._store = store
        self._log = log
        self._jobs: asyncio.Queue[_Job | None] = asyncio.Queue()
        self._closed = False

    async def submit(self, resource: Resource, key: Key, decide: Decide, *, dry_run: bool = False) -> Obj:
        """Decide about one object and wait until the outcome is on disk and visible.

        Raises:
            ApiError: what `decide` raised, or 500 when the disk refused the write.
        """
        if self._closed:
            raise _stopping()
        done: asyncio.Future[Obj] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait(_Job(resource, key, decide, dry_run, done))
        return await done

    def close(self) -> None:
        """Take no more decisions; `run` ends after those that are queued."""
        self._closed = True
        self._jobs.put_nowait(None)

    async def run(self) -> None:
        """Serve the submitted decisions until `close`."""
        try:
            while True:
                jobs = [await self._jobs.get()]
                while not self._jobs.empty():
                    jobs.append(self._jobs.get_nowait())
                await self._commit([job for job in jobs if job is not None])
                if None in jobs:
                    return
        finally:
            self._closed = True
            while not self._jobs.empty():
                left = self._jobs.get_nowait()
                if left is not None:
                    _answer_error(left.done, _stopping())

    async def _commit(self, jobs: list[_Job]) -> None:
        group = _Group(self._store)
        for job in jobs:
            group.decide(job)
        try:
            if group.changes:
                await asyncio.to_thread(self._log.append, group.changes)
        except OSError as error:
            problem = error.strerror or str(error)
            await _log.aerror("the state could not be written", problem=problem)
            for done, _ in (*group.answers, *group.refusals):
                _answer_error(done, internal_error(f"the state could not be written: {problem}"))
            return
        for change in group.changes:
            self._store.apply(change)
        for done, obj in group.answers:
            if not done.done():
                done.set_result(obj)
        for done, refusal in group.refusals:
            _answer_error(done, refusal)
        if self._log.wants_compaction:
            await asyncio.to_thread(self._log.compact, self._store.version, self._store.everything())


def _stopping() -> ApiError:
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", "the server is shutting down")


def _answer_error(done: asyncio.Future[Obj], problem: Exception) -> None:
    if not done.done():
        done.set_exception(problem)
