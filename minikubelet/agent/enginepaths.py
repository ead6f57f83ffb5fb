"""Whether what the agent mounts in its state directory can be seen by an engine outside of its container.

Belongs here: reading the kernel's tables, and the sentence. May not be here: volumes, or how an engine is
asked (its driver does that).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from minikubelet.ports.runtimeport import RuntimeFault

_CAP_SYS_ADMIN: Final = 21
_MARKS: Final = (Path("/.dockerenv"), Path("/run/.containerenv"))


def check_mounts(directory: Path) -> None:
    """Raise RuntimeFault where mounts of the agent would stay in its own container."""
    if not any(mark.exists() for mark in _MARKS):
        return
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    if may_mount(status) and not shares_mounts(table, directory):
        raise RuntimeFault(
            "NotShared",
            f"{directory} is mounted into this container without sharing mounts with the host, so that "
            "volumes in memory would be empty for the pods; mount it with :rshared, or leave out "
            "--cap-add SYS_ADMIN: secrets then lie on the host's disk, readable by root alone",
        )


def may_mount(status: str) -> bool:
    """Whether a process with this /proc/PID/status may mount: CAP_SYS_ADMIN is in effect."""
    words = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return bool(int(words.get("CapEff", "0"), 16) >> _CAP_SYS_ADMIN & 1)


def shares_mounts(table: str, directory: Path) -> bool:
    """Whether the mount that holds a directory is a shared one, as /proc/PID/mountinfo tells it (proc(5))."""
    base = os.path.realpath(directory)
    best, shared = -1, False
    for line in table.splitlines():
        fields = line.split(" ")
        point = fields[4].replace("\\040", " ")
        inside = base == point or base.startswith(f"{point.rstrip('/')}/")
        if inside and len(point) >= best:
            tags = fields[6 : fields.index("-", 6)]
            best, shared = len(point), any(tag.startswith("shared:") for tag in tags)
    return shared
