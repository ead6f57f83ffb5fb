"""The static pod source: the manifests of a folder, or one manifest file, as facts.

Belongs here: when to look at the folder, one look at a time, and handing the facts over. Looking is
`manifestfiles`, being told of changes `folderwatch`, what follows from a look `manifestset`. A folder that
is missing or cannot be listed keeps its pods, and a verdict says so; only an existing, empty folder ends
them (upstream's pkg/kubelet/config/file.go ends them when the folder is gone).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import anyio.to_thread
import structlog
from msgspec.structs import replace

from minikubelet.model.ids import PodUid, Source
from minikubelet.model.status import rfc3339_micro
from minikubelet.ports.sourceport import FileVerdict, Sink, SourceFact, SourceListed
from minikubelet.sources.folderwatch import FolderWatch, Hints
from minikubelet.sources.manifestadvance import advance
from minikubelet.sources.manifestfiles import Known, Reader, Request, load, look
from minikubelet.sources.manifestset import (
    Entry,
    Listing,
    ManifestState,
    Same,
)
from minikubelet.sources.partiallook import look_again

COALESCE_SECONDS = 0.003
"""Changes this close to one another are looked at together."""

UNWATCHED_SECONDS = 1.0
"""How often to look where changes are not told."""

LINGER_SECONDS = 1.0
"""How long a file may be gone while its inode lives on under a backup's name, as some editors do."""

log = structlog.get_logger(__name__)


class FileSource:
    """Static pods of `path`, a folder or one file, read through `reader`.

    `frequency` is `fileCheckFrequency` in seconds, `now` microseconds since the epoch for `config.seen`;
    `first_seen` holds that annotation of pods known from an earlier life of the agent.
    """

    def __init__(
        self,
        path: Path,
        reader: Reader,
        *,
        now: Callable[[], int],
        frequency: float = 20.0,
        first_seen: Mapping[PodUid, str] | None = None,
    ) -> None:
        self._path = path.absolute()
        self._reader = reader
        self._now = now
        self._frequency = frequency
        self._state = ManifestState(str(self._path), first_seen=first_seen or {})
        self._known: dict[str, Known] = {}
        self._single = False
        self._linked = False
        self._listed = False
        self._whole_at: float | None = None
        self._loading: set[str] = set()
        self._loaded: list[tuple[Entry, Known | None]] = []
        self._lingering: dict[str, float] = {}
        self._said = ""

    @property
    def verdicts(self) -> tuple[FileVerdict, ...]:
        """The verdicts of the last look."""
        return self._state.verdicts or ()

    async def run(self, sink: Sink) -> None:
        """Tell `sink` of all pods, then of every change, until cancelled."""
        clock = asyncio.get_running_loop().time
        with FolderWatch(self._path, clock) as watch:
            async with asyncio.TaskGroup() as group:
                hints = Hints(everything=True)
                while True:
                    facts = await self._look(watch, hints, group)
                    await _put(sink, facts)
                    hints = await self._pause(watch, clock)

    async def _look(
        self, watch: FolderWatch, hints: Hints, group: asyncio.TaskGroup
    ) -> tuple[SourceFact, ...]:
        watch.arm(single=self._single)
        self._say(watch.problem)
        loaded = {entry.name: (entry, known) for entry, known in self._loaded}
        self._loaded.clear()
        self._known.update({name: known for name, (_, known) in loaded.items() if known is not None})
        request = Request(
            path=self._path,
            reader=self._reader,
            known=dict(self._known),
            dirty=hints.dirty,
            writing=watch.writing(),
            everything=hints.everything,
            single=self._single,
            only=None if loaded or not self._told(watch, hints) else hints.dirty,
        )
        if request.only is None:
            self._whole_at = asyncio.get_running_loop().time()
        found = await anyio.to_thread.run_sync(look_again, request, abandon_on_cancel=True)
        watch.drain()
        if found.listing.problem:
            self._whole_at = None
        if found.single != self._single:
            self._single = found.single
            watch.arm(single=self._single)
            watch.suspect()
        self._linked = found.linked or (self._linked and found.listing.partial)
        entries = {entry.name: entry for entry in found.listing.entries}
        for name, (entry, _) in loaded.items():
            if isinstance(entries.get(name), Same):
                entries[name] = entry
        self._known = dict(found.known)
        if found.listing.problem:
            for name in loaded:
                self._known.pop(name, None)
        self._hold_back(watch.writing() - request.writing, entries, request, loaded.keys())
        self._linger(found.renamed, entries, request.known)
        for name in found.big:
            self._load_apart(group, name, watch)
        return self._advance(replace(found.listing, entries=tuple(entries.values())))

    def _told(self, watch: FolderWatch, hints: Hints) -> bool:
        """Whether the hints tell all that has changed since a whole look at a folder of plain files."""
        plain = not (self._single or self._linked or self._lingering)
        now = asyncio.get_running_loop().time()
        recent = self._whole_at is not None and now < self._whole_at + self._frequency
        sure = watch.complete and not (hints.everything or watch.suspected)
        return sure and plain and recent and bool(hints.dirty)

    def _hold_back(
        self, begun: frozenset[str], entries: dict[str, Entry], request: Request, loaded: Collection[str]
    ) -> None:
        """Undo what was read of files whose writing began during the look."""
        for name in begun & entries.keys():
            entries[name] = Same(name)
            self._known.pop(name, None)
            if name in request.known and name not in loaded:
                self._known[name] = replace(request.known[name], stamp=None)

    def _linger(
        self, renamed: tuple[str, ...], entries: dict[str, Entry], before: Mapping[str, Known]
    ) -> None:
        now = asyncio.get_running_loop().time()
        self._lingering = {name: self._lingering.get(name, now + LINGER_SECONDS) for name in renamed}
        for name, until in self._lingering.items():
            if now < until:
                entries[name] = Same(name)
                self._known[name] = before[name]

    def _advance(self, listing: Listing) -> tuple[SourceFact, ...]:
        self._state, facts = advance(self._state, listing, now=rfc3339_micro(self._now()))
        if not self._listed and not self._loading:
            self._listed = True
            present = tuple(wanted.uid for wanted in self._state.desired.values())
            facts = (*facts, SourceListed(source=Source.FILE, present=present))
        return facts

    def _load_apart(self, group: asyncio.TaskGroup, name: str, watch: FolderWatch) -> None:
        """Parse a big file in a thread of its own while other files go on."""
        if name in self._loading:
            return
        self._loading.add(name)
        folder = self._path.parent if self._single else self._path
        known = self._known.get(name)

        async def load_it() -> None:
            entry = await anyio.to_thread.run_sync(
                load, folder / name, self._reader, known, abandon_on_cancel=True
            )
            self._loading.discard(name)
            self._loaded.append(entry)
            watch.changed.set()

        group.create_task(load_it())

    async def _pause(self, watch: FolderWatch, clock: Callable[[], float]) -> Hints:
        """Wait until there is a reason to look again."""
        told = watch.complete and not self._linked
        since = self._whole_at if told and self._whole_at is not None else clock()
        poll = since + (self._frequency if told else min(self._frequency, UNWATCHED_SECONDS))
        while True:
            deadline = min([poll, *self._lingering.values(), watch.next_due() or poll])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await watch.changed.wait()
                    await asyncio.sleep(COALESCE_SECONDS)
            watch.drain()
            watch.writing()
            hints = watch.take()
            if hints.dirty or hints.everything or self._loaded or clock() >= deadline:
                return hints

    def _say(self, problem: str) -> None:
        if problem and problem != self._said:
            log.warning("manifest folder is not watched", problem=problem)
        self._said = problem


async def _put(sink: Sink, facts: tuple[SourceFact, ...]) -> None:
    waiting = sink.put(*facts)
    if waiting is not None:
        await waiting


def judge_folder(path: Path, reader: Reader) -> tuple[FileVerdict, ...]:
    """Judge what lies at `path` now, without an agent: for a person who asks before or after an edit."""
    found = look(Request(path=path.absolute(), reader=reader, defer_big=False))
    state, _ = advance(ManifestState(str(path)), found.listing, now="")
    return state.verdicts or ()
