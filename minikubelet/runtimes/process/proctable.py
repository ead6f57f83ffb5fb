"""What /proc says of processes: children, start times, who belongs to a container.

Belongs here: reading /proc, and killing what it shows. The supervisor imports this: no costly imports.
"""

# ruff: noqa: PTH110, PTH208
# pathlib is larger than all the rest of a supervisor.
from __future__ import annotations

import os


def boot_id() -> str:
    """Differs after each start of the machine; empty where /proc does not say."""
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def start_time(pid: int) -> int:
    """Ticks since boot at which a process began (field 22 of stat); 0 if there is none.

    Together with the pid and the boot id it names one process for ever.
    """
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


def stat_fields(pid: int) -> list[bytes]:
    """The fields of /proc/<pid>/stat from the third on (state, ppid, pgrp, session …)."""
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def children(pid: int) -> list[int]:
    """The direct children of a process, zombies too."""
    listing = f"/proc/{pid}/task/{pid}/children"
    if os.path.exists(listing):
        return [int(child) for child in _read(listing).split()]
    return [each for each in pids() if (fields := stat_fields(each)) and int(fields[1]) == pid]


def pids() -> list[int]:
    """All processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def marked(assignment: bytes) -> list[int]:
    """Processes begun with that environment assignment, such as a container's marker, dead ones left out."""
    return [
        pid
        for pid in pids()
        if pid != os.getpid() and assignment in _read(f"/proc/{pid}/environ").split(b"\0")
    ]


def kill(pid: int, number: int) -> None:
    """Send a signal; a process that is gone is no error."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def kill_group(pid: int, number: int) -> None:
    """Send a signal to a process group; a group that is gone is no error."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(fd)
