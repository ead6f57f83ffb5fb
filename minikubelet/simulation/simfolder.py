"""A manifest folder in memory, with those who write into it and what a watch tells of that.

Belongs here: files, half-written ones, renames, a folder that is gone or cannot be read; the look and the
watch that the file source is given. May not be here: what a manifest says.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, Self

import msgspec

from minikubelet.sources.filesource import LINGER_SECONDS
from minikubelet.sources.folderwatch import FolderWatch
from minikubelet.sources.manifestfiles import Known, Look, Reader, Request, is_backup, load
from minikubelet.sources.manifestreading import manifest_reader
from minikubelet.sources.manifestset import (
    Entry,
    FileReading,
    Gone,
    Ignored,
    Listing,
    Loaded,
    Same,
    Unreadable,
)

FOLDER: Final = Path("/simulated/manifests")
MANIFEST: Final = ".yaml"
"""how the name of a file ends that is meant to be a manifest"""


class ManifestFile(msgspec.Struct):
    """A file: what it holds, which inode it is, and whether it can be read."""

    content: bytes
    inode: int
    readable: bool = True


@lru_cache(maxsize=4096)
def _read(data: bytes, name: str, node: str, namespace: str) -> FileReading:
    return manifest_reader(node_name=node, namespace=namespace)(data, name)


def cached_reader(node: str, namespace: str) -> Reader:
    """The agent's own reader; reading is pure, so the same content is read once in many simulations."""

    def read(data: bytes, name: str) -> FileReading:
        return _read(data, name, node, namespace)

    return read


class SimFolder:
    """The folder, whose files may be `linked` to others.

    `looked` is told of each look: None for a folder that could not be listed.
    """

    def __init__(self) -> None:
        self.files: dict[str, ManifestFile] = {}
        self.there = True
        self.deaf = False
        self.linked = False
        self.watches: list[SimWatch] = []
        self.looked: Callable[[Mapping[str, bytes | None] | None], None] = lambda _found: None
        self._inodes = 0
        self._aside: dict[str, float] = {}
        self._seen: dict[str, bytes | None] = {}

    def manifests(self) -> list[str]:
        """The names of the files that are meant to be manifests, which is not the agent's to say."""
        return [name for name in self.files if name.endswith(MANIFEST)]

    def replace(self, name: str, content: bytes) -> None:
        """Rename a finished file into place."""
        self._inodes += 1
        self.files[name] = ManifestFile(content, self._inodes)
        self._tell(name)

    def swap(self, contents: Mapping[str, bytes]) -> None:
        """Exchange what several files are links to; all that is told is the link of their directory."""
        for name, content in contents.items():
            self._inodes += 1
            self.files[name] = ManifestFile(content, self._inodes)
        self._tell("..data")

    def begin(self, name: str, content: bytes) -> None:
        """Open a file, empty it, and write the first part."""
        found = self.files.get(name)
        if found is None:
            self._inodes += 1
            found = self.files[name] = ManifestFile(b"", self._inodes)
        found.content = content
        self._tell(name, writing=True)

    def finish(self, name: str, content: bytes) -> None:
        """Write the rest and close; a file that was removed meanwhile has no name any more."""
        found = self.files.get(name)
        if found is not None:
            found.content = content
            self._tell(name)

    def remove(self, name: str) -> None:
        """Remove a file."""
        if self.files.pop(name, None) is not None:
            self._tell(name)

    def rename(self, old: str, new: str) -> None:
        """Rename a file."""
        found = self.files.pop(old, None)
        if found is not None:
            self.files[new] = found
            self._tell(old)
            self._tell(new)

    def permit(self, name: str, *, readable: bool) -> None:
        """Change who may read a file."""
        found = self.files.get(name)
        if found is not None:
            found.readable = readable
            self._tell(name, content=False)

    def show(self, *, there: bool) -> None:
        """Let the folder vanish, or come back."""
        self.there = there
        for watch in self.watches:
            watch.suspect()

    def _tell(self, name: str, *, writing: bool = False, content: bool = True) -> None:
        for watch in [] if self.deaf else self.watches:
            watch.note(name, writing=writing, content=content)

    def look(self, request: Request) -> Look:
        """What `manifestfiles.look` does for a folder on a disk."""
        if not self.there:
            self.looked(None)
            text = "the folder does not exist; pods that came from it go on"
            return Look(Listing(problem=text), request.known)
        only = request.only
        names = self._names(request)
        entries: list[Entry] = []
        known = {} if only is None else {k: v for k, v in request.known.items() if k not in names}
        aside = [(0, file.inode) for name, file in self.files.items() if is_backup(name)]
        seen = {} if only is None else {k: v for k, v in self._seen.items() if k not in names}
        for name in sorted(names):
            file = self.files.get(name)
            if file is None:
                entries.append(Gone(name))
            elif is_backup(name):
                entries.append(Ignored(name, "looks like an editor's or backup file, by its name"))
            else:
                entry, found = self._entry(request, name, file, seen)
                entries.append(entry)
                if found is not None:
                    known[name] = found
        gone = sorted(request.known.keys() - known.keys() - self.files.keys())
        renamed = tuple(name for name in gone if request.known[name].inode_key in aside)
        now = asyncio.get_running_loop().time()
        self._aside = {name: self._aside.get(name, now) for name in renamed}
        for name, since in self._aside.items():
            if now < since + LINGER_SECONDS:
                seen.setdefault(name, None)
        self._seen = dict(seen)
        self.looked(seen)
        return Look(
            Listing(tuple(entries), partial=only is not None), known, renamed=renamed, linked=self.linked
        )

    def _names(self, request: Request) -> set[str]:
        """What is to be looked at; where a known name is gone, what it may be called now as well."""
        if request.only is None:
            return set(self.files)
        missing = any(name in request.known and name not in self.files for name in request.only)
        return {*request.only, *(self.files.keys() - request.known.keys() if missing else ())}

    def _entry(
        self, request: Request, name: str, file: ManifestFile, seen: dict[str, bytes | None]
    ) -> tuple[Entry, Known | None]:
        before, key = request.known.get(name), (0, file.inode)
        seen[name] = None
        if not file.readable:
            forgotten = Known(None, before.inode_key, "") if before else None
            return Unreadable(name, "cannot be read: Permission denied"), forgotten
        if name in request.writing:
            return Same(name), before
        content = f"sha256:{hashlib.sha256(file.content).hexdigest()}"
        seen[name] = file.content
        if before is not None and before.hash == content:
            return Same(name), Known(None, key, content)
        return Loaded(name, content, request.reader(file.content, name)), Known(None, key, content)

    def load(self, file: Path, reader: Reader, before: Known | None = None) -> tuple[Entry, Known | None]:
        """What `manifestfiles.load` does; nothing here is big enough for it."""
        return load(file, reader, before)

    def watch(self, path: Path, clock: Callable[[], float]) -> SimWatch:
        """A watch of this folder."""
        return SimWatch(self, path, clock)


class SimWatch(FolderWatch):
    """The real watch, told by the simulated folder instead of by inotify."""

    def __init__(self, folder: SimFolder, path: Path, clock: Callable[[], float]) -> None:
        super().__init__(path, clock)
        self._simulated = folder

    def __enter__(self) -> Self:
        """Begin to be told."""
        self._simulated.watches.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Be told no more."""
        self._simulated.watches = [each for each in self._simulated.watches if each is not self]

    @property
    def complete(self) -> bool:
        """Whether changes are told."""
        return self._simulated.there and not self._simulated.deaf

    def arm(self, *, single: bool) -> None:
        """There is nothing to arm."""

    def note(self, name: str, *, writing: bool, content: bool) -> None:
        """Hear of one file, as from inotify: a write that goes on, its end, or another's permission."""
        if writing:
            now = self._clock()
            self._writing[name] = (self._writing.get(name, (now, now))[0], now)
            return
        if content:
            self._writing.pop(name, None)
        self._dirty.add(name)
        self.changed.set()
