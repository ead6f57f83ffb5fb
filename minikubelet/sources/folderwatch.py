"""Being told at once when something in the manifest folder changes, through inotify (asyncinotify).

Belongs here: which files changed and which are still being written. May not be here: looking at files.
Whatever cannot be watched (limits exhausted, folder not there) costs speed only: the source polls as well.
asyncinotify is taken for its events and watches; its fd is read by a reader of our own, so that all that is
pending can be taken in at one moment (`drain`), right after a look at the folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from asyncinotify import Event, Inotify, Mask, Watch

SETTLE_SECONDS = 2.0
"""A file on which nobody closes a write is read after so long without a change …"""

MOST_WRITING_SECONDS = 10.0
"""… or so long after the first."""

_CONTENT = Mask.CREATE | Mask.MODIFY | Mask.CLOSE_WRITE | Mask.MOVE | Mask.DELETE | Mask.ATTRIB
_OWN = Mask.DELETE_SELF | Mask.MOVE_SELF
_LOST = _OWN | Mask.UNMOUNT | Mask.IGNORED
_NAMES_ONLY = Mask.CREATE | Mask.MOVE | Mask.DELETE


class Hints(msgspec.Struct, frozen=True):
    """What changed since the last hints: names to read, or everything."""

    dirty: frozenset[str] = frozenset()
    everything: bool = False


class FolderWatch:
    """Watches a folder, or the folder of a single file; use it as a context manager in a running loop."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._inotify: Inotify | None = None
        self._folder: Watch | None = None
        self._parent: Watch | None = None
        self._parent_mask = Mask.ZERO
        self._watched: tuple[int, int] | None = None
        self._dirty: set[str] = set()
        self._everything = False
        self._writing: dict[str, tuple[float, float]] = {}
        self.changed = asyncio.Event()
        self.problem = ""

    def __enter__(self) -> Self:
        """Begin with nothing watched; `arm` does the rest."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of everything."""
        self._close()

    @property
    def complete(self) -> bool:
        """Whether changes of the folder's content are told."""
        return self._folder is not None

    @property
    def suspected(self) -> bool:
        """Whether anything may have changed since the last hints, told or not."""
        return self._everything

    def arm(self, *, single: bool) -> None:
        """Watch what is there now; `single`: the path is one file. Called before each look at the folder."""
        try:
            self._open()
            self._watch_parent(single=single)
            self._watch_folder(single=single)
            self.problem = ""
        except OSError as error:
            self.problem = self._words(error)

    def take(self) -> Hints:
        """Answer what changed since the last time."""
        self.changed.clear()
        hints = Hints(frozenset(self._dirty), self._everything)
        self._dirty.clear()
        self._everything = False
        return hints

    def suspect(self) -> None:
        """Take it that anything may have changed unnoticed."""
        self._everything = True
        self.changed.set()

    def writing(self) -> frozenset[str]:
        """Names of files that someone is writing at this moment, as far as is known."""
        now = self._clock()
        over = [name for name in self._writing if self._due(name) <= now]
        for name in over:
            del self._writing[name]
            self._dirty.add(name)
        return frozenset(self._writing)

    def next_due(self) -> float | None:
        """When the first of the files being written is to be read all the same, on the clock given."""
        return min((self._due(name) for name in self._writing), default=None)

    def drain(self) -> None:
        """Take in all events that have come so far."""
        while self._inotify is not None:
            event = self._inotify.sync_get()
            if event is None:
                return
            self._take_in(event)

    def _open(self) -> None:
        if self._inotify is None:
            self._inotify = Inotify(cache_size=64, sync_timeout=0)
            asyncio.get_running_loop().add_reader(self._inotify.fd, self.drain)

    def _close(self) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
        self._inotify = self._folder = self._parent = self._watched = None

    def _watch_parent(self, *, single: bool) -> None:
        mask = (_CONTENT if single else _NAMES_ONLY) | _OWN | Mask.ONLYDIR
        if self._inotify is not None and (self._parent is None or self._parent_mask != mask):
            self._parent = self._inotify.add_watch(self._path.parent, mask)
            self._parent_mask = mask

    def _watch_folder(self, *, single: bool) -> None:
        if self._inotify is None:
            return
        if single:
            self._folder = self._parent
            return
        found = self._path.stat()
        if self._folder is not None and self._watched == (found.st_dev, found.st_ino):
            return
        if self._folder is not None:
            # The path leads to another folder now: what was known is of no use.
            self._inotify.rm_watch(self._folder)
            self._folder = None
            self._everything = True
        self._folder = self._inotify.add_watch(self._path, _CONTENT | _OWN | Mask.ONLYDIR)
        self._watched = (found.st_dev, found.st_ino)

    def _take_in(self, event: Event) -> None:
        watch = event.watch
        if Mask.Q_OVERFLOW in event:
            self._everything = True
            self._writing.clear()
        elif watch is None or watch not in (self._folder, self._parent):
            return  # of a folder that the path does not lead to any more
        elif event.mask & _LOST:
            self._lose(watch)
        elif watch is self._parent and (event.name is None or event.name.name != self._path.name):
            return
        elif watch is self._folder and event.name is not None:
            self._note(event, event.name.name)
        else:
            self._everything = True  # the folder itself came, went or was replaced
        self.changed.set()

    def _note(self, event: Event, name: str) -> None:
        now = self._clock()
        if Mask.MODIFY in event:
            # No reason to look yet: the writer has not finished.
            self._writing[name] = (self._writing.get(name, (now, now))[0], now)
            return
        if Mask.CREATE in event and Mask.ISDIR not in event:
            self._writing[name] = (now, now)
        elif Mask.ATTRIB not in event:
            self._writing.pop(name, None)
        self._dirty.add(name)

    def _lose(self, watch: Watch) -> None:
        self._everything = True
        if watch is self._folder:
            self._folder = self._watched = None
        if watch is self._parent:
            self._parent = None
        if self._inotify is not None:
            with contextlib.suppress(OSError):  # mostly it is gone already; a moved folder's is not
                self._inotify.rm_watch(watch)

    def _words(self, error: OSError) -> str:
        if error.errno == errno.ENOENT and self._parent is not None:
            return ""  # its coming will be told
        reason = error.strerror or str(error)
        if error.errno in {errno.EMFILE, errno.ENOSPC}:
            reason = "the limits of inotify are exhausted; raise fs.inotify.max_user_watches and _instances"
        return f"changes in {self._path} are found by polling only: {reason}"

    def _due(self, name: str) -> float:
        first, last = self._writing[name]
        return min(first + MOST_WRITING_SECONDS, last + SETTLE_SECONDS)
