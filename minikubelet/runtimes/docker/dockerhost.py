"""The engine's process on this host: how far down it can set OOM scores, whose it is, what it sees.

Lowering oom_score_adj below one's own takes CAP_SYS_RESOURCE, which engines in containers and rootless ones
lack; runc then fails with an error that names something else. The floor is found out once and said once: by
a look at the engine's process where it is local, from the first failure where it is not.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Final

import structlog

_CAP_SYS_RESOURCE: Final = 24
_WHOLE_RANGE: Final = 4294967295
_SIGNS: Final = ("can't get final child's PID from pipe", "oom_score_adj")

_log = structlog.get_logger(__name__)


class OomFloor:
    """The lowest OOM score the engine can give; None while nothing speaks against any."""

    def __init__(self) -> None:
        self._floor: int | None = None

    def look(self, engine_socket: Path | None) -> None:
        """Looks at the process behind the socket; an engine elsewhere is left to `learn`."""
        if self._floor is None and engine_socket is not None:
            floor = floor_of(_process_behind(engine_socket))
            if floor is not None:
                self._set(floor)

    def learn(self, message: str, wanted: int) -> bool:
        """Whether a failed start was due to the score asked for; if so, the next ones are clamped.

        Several may be under way when the first one fails: each was asked for before the floor was known.
        """
        if wanted >= (self._floor or 0) or not any(sign in message for sign in _SIGNS):
            return False
        if self._floor is None:
            self._set(0)
        return True

    def clamp(self, score: int) -> int:
        """The score, or the lowest that can be had."""
        return score if self._floor is None else max(score, self._floor)

    def _set(self, floor: int) -> None:
        self._floor = floor
        _log.warning(
            "the Docker engine lacks CAP_SYS_RESOURCE: OOM scores below the floor are raised to it, so that"
            " Guaranteed and critical pods are not preferred when memory runs out",
            floor=floor,
        )


def same_mounts(engine_socket: Path | None) -> bool:
    """Whether the process behind the socket is seen to have this process's mount namespace."""
    process = _process_behind(engine_socket) if engine_socket is not None else None
    try:
        return process is not None and (process / "ns/mnt").samefile("/proc/self/ns/mnt")
    except OSError:
        return False


def of_another_user(engine_socket: Path | None) -> int | None:
    """The user whose process listens there, if that is not the agent's own; None where it cannot be told."""
    peer = _peer(engine_socket) if engine_socket is not None else None
    return None if peer is None or peer[1] == os.geteuid() else peer[1]


def in_user_namespace(uid_map: Path = Path("/proc/self/uid_map")) -> bool:
    """Whether a process's users are not its host's (user_namespaces(7))."""
    try:
        return _mapped(uid_map) != [0, 0, _WHOLE_RANGE]
    except (OSError, ValueError):
        return False


def _process_behind(engine_socket: Path) -> Path | None:
    """The /proc directory of who listens there, None if it cannot be told."""
    peer = _peer(engine_socket)
    return Path("/proc") / str(peer[0]) if peer is not None and peer[0] > 0 else None


def _peer(engine_socket: Path) -> tuple[int, int] | None:
    """Process id (0 where it is of a namespace out of sight) and user of who listens there."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(2)
            peer.connect(str(engine_socket))
            size = struct.calcsize("3i")
            pid, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    except OSError:
        return None
    return pid, uid


def _mapped(uid_map: Path) -> list[int]:
    return [int(number) for number in uid_map.read_text(encoding="ascii").split()]


def floor_of(process: Path | None) -> int | None:
    """The floor that holds for a process and its children; None if it has none or cannot be seen."""
    if process is None:
        return None
    try:
        status = dict(
            line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
        )
        capable = int(status["CapEff"], 16) >> _CAP_SYS_RESOURCE & 1
        mapped = _mapped(process / "uid_map")
        score = int((process / "oom_score_adj").read_text())
    except (OSError, ValueError, KeyError):
        return None
    if capable and mapped[:3] == [0, 0, _WHOLE_RANGE]:
        return None
    return max(0, score)
