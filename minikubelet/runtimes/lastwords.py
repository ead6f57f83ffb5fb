"""The termination message of a container: from its file, else from the end of its log.

Belongs here: reading either, for all drivers. May not be here: when a message is asked for. Both are written
by the container, so reads are bounded and follow no link. Limits are the kubelet's: 4096 bytes of file, 2048
bytes or 80 lines of log (pkg/kubelet/kuberuntime/kuberuntime_container.go).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_FILE_BYTES: Final = 4096
_LOG_BYTES: Final = 2048
_LOG_LINES: Final = 80
_READ_BYTES: Final = 64 * 1024  # of a log in CRI format, whose lines have 40 bytes of their own


def termination_message(file: Path | None, log: Path | None) -> str:
    """What the file holds; where it holds nothing, the end of the log if there is one to fall back to."""
    message = _text(_end_of(file, _FILE_BYTES, from_start=True)) if file is not None else ""
    return message if message or log is None else _last_lines(log)


def _end_of(path: Path, count: int, *, from_start: bool = False) -> bytes:
    """At most `count` bytes of a regular file, its last ones; nothing if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        details = os.fstat(descriptor)
        if not stat.S_ISREG(details.st_mode):
            return b""
        return os.pread(descriptor, count, 0 if from_start else max(0, details.st_size - count))
    finally:
        os.close(descriptor)


def _last_lines(log: Path) -> str:
    texts: list[bytes] = []
    for line in _end_of(log, _READ_BYTES).split(b"\n"):
        parts = line.split(b" ", 3)
        if len(parts) == 4:  # noqa: PLR2004 - time, stream, tag, text
            texts.append(parts[3] + (b"\n" if parts[2] == b"F" else b""))
    lines = b"".join(texts).splitlines(keepends=True)
    return _text(b"".join(lines[-_LOG_LINES:])[-_LOG_BYTES:])


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")
