"""Looking at a manifest folder, or at one manifest file: what is there, and the content of what changed.

Belongs here: reading safely, without ever waiting for a pipe, a device or a socket. Calls here block on the
disk: they are made in threads. May not be here: which file's pod counts (`manifestset`), when to look
(`filesource`), what a manifest means (`wire`, through the `Reader`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from minikubelet.sources.manifestset import (
    Entry,
    FileReading,
    Ignored,
    Listing,
    Loaded,
    Same,
    Unreadable,
)

MOST_BYTES = 10 * 1024 * 1024
"""Upstream's limit (pkg/kubelet/config/file.go, via utilio.ReadAtMost)."""

BIG_BYTES = 256 * 1024
"""From this size on, a file is parsed on its own so that it holds up no other."""

_BACKUP = re.compile(r".*(~|\.bak|\.backup|\.sw[opx]|\.tmp)|#.*#", re.DOTALL)
_COARSE_CLOCK_NS = 100_000_000
_READ_TRIES = 3

Reader: TypeAlias = Callable[[bytes, str], FileReading]
"""Content and shown name of a file to what it says; called in threads, never raises for bad input."""


class Stamp(msgspec.Struct, frozen=True):
    """What tells two contents of a file apart without reading it."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def inode_key(self) -> tuple[int, int]:
        """The file itself, whatever its name."""
        return self.device, self.inode


class Known(msgspec.Struct, frozen=True):
    """What an earlier look knew of a file; a stamp too young to tell a second change apart is None."""

    stamp: Stamp | None
    inode_key: tuple[int, int]
    hash: str


class Request(msgspec.Struct, frozen=True):
    """What a look is to do: files in `dirty` are read whatever their stamp, those in `writing` not at all.

    `known` is what earlier looks found. `single` is set once the path is known to be one file. `only` are the
    names of a partial look: of all others it is known that nothing has happened to them.
    """

    path: Path
    reader: Reader
    known: Mapping[str, Known] = msgspec.field(default_factory=dict)
    dirty: frozenset[str] = frozenset()
    writing: frozenset[str] = frozenset()
    everything: bool = False
    single: bool = False
    defer_big: bool = True
    only: frozenset[str] | None = None


class Look(msgspec.Struct, frozen=True):
    """What a look found.

    `big` are files left to be parsed by `load`. `renamed` are files that are gone while their inode goes on
    under the name of a backup: an editor is at work. `linked`: there are symbolic links among the files,
    whose targets may change without a word from the folder.
    """

    listing: Listing
    known: Mapping[str, Known]
    big: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    single: bool = False
    linked: bool = False


def look(request: Request) -> Look:
    """Look once at the folder or file of `request.path`; never raises for what lies there."""
    try:
        names, single = _names(request)
    except OSError as error:
        return Look(
            Listing(problem=_folder_problem(request.path, error)), request.known, single=request.single
        )
    return _look_at(request, names, single=single)


def _names(request: Request) -> tuple[list[str], bool]:
    """The names to look at, and whether the path is one file; only a missing folder is an error."""
    path = request.path
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not request.single:
            raise
        path.parent.stat()
        return ([path.name] if path.is_symlink() else []), True
    if not stat.S_ISDIR(mode):
        return [path.name], True
    names = _list(path)
    if request.known.keys() - names:
        # A rename during a listing can show both names or none: only what two listings agree on is gone.
        for _ in range(_READ_TRIES):
            again = _list(path)
            if again == names:
                break
            names = again
    return sorted(names), False


def _list(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def _look_at(request: Request, names: Iterable[str], *, single: bool) -> Look:
    folder = request.path.parent if single else request.path
    entries: list[Entry] = []
    known: dict[str, Known] = {}
    big: list[str] = []
    aside: set[tuple[int, int]] = set()
    linked = False
    for name in names:
        file = folder / name
        if not single and (name.startswith(".") or is_backup(name)):
            aside.update(inode_keys(file))
            if not name.startswith("."):
                entries.append(Ignored(name, "looks like an editor's or backup file, by its name"))
            continue
        linked = linked or is_link(file)
        entry, found = entry_of(request, file)
        if found is not None:
            known[name] = found
        if entry is None:
            big.append(name)
            entry = Same(name)
        entries.append(entry)
    gone = sorted(request.known.keys() - known.keys() - {entry.name for entry in entries})
    if single and gone:
        aside.update(key for name in _set_aside(folder) for key in inode_keys(folder / name))
    renamed = tuple(name for name in gone if request.known[name].inode_key in aside)
    return Look(Listing(tuple(entries)), known, tuple(big), renamed, single, linked)


def _set_aside(folder: Path) -> list[str]:
    """The names of hidden and backup files; none of a folder that may not be listed."""
    with contextlib.suppress(OSError):
        return [name for name in _list(folder) if name.startswith(".") or is_backup(name)]
    return []


def is_link(file: Path) -> bool:
    """Whether it is a symbolic link; of a file in a folder that may only be listed, that cannot be told."""
    with contextlib.suppress(OSError):
        return file.is_symlink()
    return False


def is_backup(name: str) -> bool:
    """Whether a name is one that editors give to what they set aside."""
    return _BACKUP.fullmatch(name) is not None


def inode_keys(file: Path) -> Iterable[tuple[int, int]]:
    """The file itself, whatever its name; nothing where there is none."""
    try:
        found = file.lstat()
    except OSError:
        return ()
    return ((found.st_dev, found.st_ino),)


def entry_of(request: Request, file: Path) -> tuple[Entry | None, Known | None]:
    """The entry of one file, None for a big one with new content; and what is known of it from now on."""
    name = file.name
    before = request.known.get(name)
    try:
        found = file.stat()
    except OSError as error:
        return _unreadable(file, error, before)
    if not stat.S_ISREG(found.st_mode):
        return Ignored(name, f"is {_kind(found.st_mode)}, not a file"), None
    if name in request.writing and found.st_nlink == 1 and not file.is_symlink():
        return Same(name), before
    fresh = request.everything or name in request.dirty or before is None
    if before is not None and not fresh and before.stamp == _stamp(found):
        return Same(name), before
    if request.defer_big and BIG_BYTES < found.st_size <= MOST_BYTES:
        return None, before or Known(None, _stamp(found).inode_key, "")
    return load(file, request.reader, before)


def load(file: Path, reader: Reader, before: Known | None = None) -> tuple[Entry, Known | None]:
    """Read and parse one file; `Same` where its content is that of `before`."""
    try:
        data, stamp = _read(file)
    except OSError as error:
        return _unreadable(file, error, before)
    if stamp.size > MOST_BYTES:
        size = f"{stamp.size} bytes long; a manifest may have {MOST_BYTES} at most"
        return Loaded(file.name, "", FileReading(errors=(size,))), _known(stamp, "")
    content = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if before is not None and before.hash == content:
        return Same(file.name), _known(stamp, content)
    return Loaded(file.name, content, _judge(data, file.name, reader)), _known(stamp, content)


def _judge(data: bytes, name: str, reader: Reader) -> FileReading:
    try:
        return reader(data, name)
    except Exception as error:  # noqa: BLE001 - a bug in a codec must cost one file, not all pods
        text = f"minikubelet cannot read this manifest, which is a bug in it: {type(error).__name__}: {error}"
        return FileReading(errors=(text,))


def _read(file: Path) -> tuple[bytes, Stamp]:
    """The content with its stamp, read again while someone writes; a file that is too big is left unread."""
    for attempt in range(_READ_TRIES):
        # Not blocking: between stat and open, a pipe may have taken the file's place.
        try:
            handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except FileNotFoundError:
            if attempt + 1 == _READ_TRIES:
                raise
            continue  # the target of a symlink is being swapped
        with os.fdopen(handle, "rb") as opened:
            before = os.fstat(opened.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise OSError(errno.EINVAL, f"is {_kind(before.st_mode)}, not a file")
            data = opened.read(MOST_BYTES + 1) if before.st_size <= MOST_BYTES else b""
            after = os.fstat(opened.fileno())
        if _stamp(before) == _stamp(after):
            break
    return data, _stamp(after)


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _known(stamp: Stamp, content: str) -> Known:
    # File times tick in steps of some milliseconds: a second change within a step would not show.
    young = abs(time.time_ns() - stamp.ctime_ns) < _COARSE_CLOCK_NS
    return Known(None if young else stamp, stamp.inode_key, content)


def _unreadable(file: Path, error: OSError, before: Known | None) -> tuple[Entry, Known | None]:
    forgotten = Known(None, before.inode_key, "") if before else None
    if isinstance(error, FileNotFoundError) and not file.is_symlink():
        # Gone since it was listed; the next look sees it gone or come back.
        return Same(file.name), before
    reason = "a symbolic link to nothing" if isinstance(error, FileNotFoundError) else _words(error)
    return Unreadable(file.name, f"cannot be read: {reason}"), forgotten


def _folder_problem(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path} does not exist; pods that came from it go on. To end them, make it an empty directory"
    return f"{path} cannot be listed, so pods that came from it go on: {_words(error)}"


def _words(error: OSError) -> str:
    return error.strerror or str(error)


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((word for test, word in kinds if test(mode)), "something special")
