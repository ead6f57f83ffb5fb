"""The state of the stub API server on disk: one append-only log of JSON lines, compacted in place.

Synchronous; called from a worker thread. A line is `crc32hex SP json LF`; the first names the format and
the version. What is damaged is set aside and said, never a reason not to start. No rules, no HTTP.
"""

from __future__ import annotations

import errno
import fcntl
import os
import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from minikubelet.stubapi.stubresources import BY_STORAGE, Obj, Resource
from minikubelet.stubapi.stubstore import Change, ChangeKind, Key, Stored, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_log = structlog.get_logger(__name__)
_FORMAT = 1
_COMPACT_BYTES = 4 * 1024 * 1024
_COMPACT_FACTOR = 4


class StateInUseError(OSError):
    """Another server has this state directory open."""


class StateLog:
    """The log file of one state directory, held exclusively from construction until `close`."""

    def __init__(self, directory: Path, *, compact_bytes: int = _COMPACT_BYTES) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._path = directory / "state.log"
        self._lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            os.close(self._lock)
            raise StateInUseError(f"{directory}: another API server uses this state directory") from problem
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._size = 0
        self._floor = compact_bytes
        self._compact_at = compact_bytes
        self._broken = False

    @property
    def wants_compaction(self) -> bool:
        """Whether the log has grown far beyond what is live."""
        return self._size > self._compact_at

    def load(self) -> tuple[int, list[tuple[Resource, Obj]]]:
        """The newest version and the live objects; call once, before anything else."""
        data = self._path.read_bytes()
        state = _Replay()
        self._size = state.read(data)
        if self._size < len(data):
            self._set_aside(data)
        if self._size == 0:
            self._write(_encode({"format": _FORMAT, "version": state.version}))
        return state.version, list(state.objects.values())

    def append(self, changes: Iterable[Change]) -> None:
        """Write changes and flush them to the disk, all or none.

        Raises:
            OSError: nothing was kept. A flush that failed is never retried: the next append begins by
                moving what was safe before into a new file.
        """
        if self._broken:
            self._move()
        self._write(b"".join(_encode_change(change) for change in changes))

    def compact(self, version: int, objects: Iterable[tuple[Resource, Stored]]) -> None:
        """Replace the log by the live objects alone; a failure leaves the old log in use."""
        lines = [_encode({"format": _FORMAT, "version": version})]
        lines += [_encode_put(version, resource, stored.raw) for resource, stored in objects]
        content = b"".join(lines)
        # Whether or not this works out, the next attempt waits until the log has grown again.
        self._compact_at = max(self._floor, self._size * 2, len(content) * _COMPACT_FACTOR)
        try:
            self._replace(content)
        except OSError as problem:
            _log.warning("the state log could not be compacted", problem=str(problem))
        else:
            self._compact_at = max(self._floor, len(content) * _COMPACT_FACTOR)

    def close(self) -> None:
        """Release the files; may be called twice."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1

    def _write(self, content: bytes) -> None:
        try:
            _write_all(self._file, content, self._size)
        except OSError:
            self._undo()
            raise
        try:
            os.fdatasync(self._file)
        except OSError:
            self._undo()
            # After a failed flush the kernel may have dropped the pages: nothing later can be trusted.
            self._broken = True
            raise
        self._size += len(content)

    def _undo(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._broken = True

    def _move(self) -> None:
        safe = os.pread(self._file, self._size, 0)
        if _Replay().read(safe) != self._size:
            raise OSError(errno.EIO, "the state log is damaged after an earlier failure; restart the server")
        self._replace(safe)
        self._broken = False

    def _replace(self, content: bytes) -> None:
        path = self._directory / "state.log.new"
        new = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            _write_all(new, content, 0)
            os.fdatasync(new)
            path.replace(self._path)
        except OSError:
            os.close(new)
            path.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file, self._size = new, len(content)
        _sync_directory(self._directory)

    def _set_aside(self, data: bytes) -> None:
        aside = self._directory / "state.log.damaged"
        descriptor = os.open(aside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, data[self._size :], 0)
        finally:
            os.close(descriptor)
        os.ftruncate(self._file, self._size)
        _log.warning("unreadable end of the state log set aside", kept_bytes=self._size, aside=str(aside))


class _Replay:
    """The live objects as the lines of a log are read."""

    def __init__(self) -> None:
        self.version = 0
        self.objects: dict[tuple[str, Key], tuple[Resource, Obj]] = {}

    def read(self, data: bytes) -> int:
        """Take lines until the end or the first bad one; returns how many bytes were good."""
        good = 0
        while (end := data.find(b"\n", good)) >= 0:
            try:
                self._take(_decode(data[good:end]), first=good == 0)
            except (ValueError, KeyError, TypeError):
                break
            good = end + 1
        return good

    def _take(self, record: Any, *, first: bool) -> None:
        if first:
            if record["format"] != _FORMAT:
                raise ValueError("a format of another release")
            self.version = int(record["version"])
            return
        resource = BY_STORAGE[record["resource"]]
        if "delete" in record:
            self.objects.pop((resource.storage, Key(*record["delete"])), None)
        else:
            obj = record["put"]
            self.objects[resource.storage, key_of(obj)] = (resource, obj)
        self.version = max(self.version, int(record["version"]))


def _decode(line: bytes) -> Any:
    checksum, _, payload = line.partition(b" ")
    if int(checksum, 16) != zlib.crc32(payload):
        raise ValueError("the checksum does not match")
    return msgspec.json.decode(payload)


def _frame(payload: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def _encode(record: Obj) -> bytes:
    return _frame(msgspec.json.encode(record))


def _encode_put(version: int, resource: Resource, raw: bytes) -> bytes:
    head = msgspec.json.encode({"version": version, "resource": resource.storage})
    return _frame(head[:-1] + b',"put":' + raw + b"}")


def _encode_change(change: Change) -> bytes:
    if change.kind is not ChangeKind.DELETED:
        return _encode_put(change.version, change.resource, change.after.raw)
    where = [change.key.namespace, change.key.name]
    return _encode({"version": change.version, "resource": change.resource.storage, "delete": where})


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
