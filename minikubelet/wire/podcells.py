"""The READY, STATUS and RESTARTS that `kubectl get pods` shows, computed from a pod's status.

Belongs here: what upstream's printPod computes (pkg/printers/internalversion). May not be here: columns.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias

import msgspec

Obj: TypeAlias = dict[str, Any]
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def human_duration(seconds: float) -> str:
    """A span as kubectl writes it: `45s`, `3m12s`, `5h`, `2d3h`."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return _two(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two(whole, _DAY, "d", _HOUR, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _two(whole, _YEAR, "y", _DAY, "d")
    return f"{whole // _YEAR}y"


def _two(seconds: int, big: int, big_name: str, small: int, small_name: str) -> str:
    rest = seconds % big // small
    return f"{seconds // big}{big_name}" + (f"{rest}{small_name}" if rest else "")


def since(text: str | None, now: datetime) -> str:
    """How long ago a timestamp was."""
    moment = parse_time(text)
    return "<unknown>" if moment is None else human_duration((now - moment).total_seconds())


def parse_time(text: str | None) -> datetime | None:
    """The moment in a timestamp with a zone, or None for what is none."""
    try:
        moment = datetime.fromisoformat(str(text).upper())
    except ValueError:
        return None
    return moment if moment.tzinfo else None


class PodCells(msgspec.Struct, frozen=True):
    """The computed cells of one pod."""

    ready: str
    status: str
    restarts: str


class _Tally:
    """What the walk over a pod's container states gathers."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.ready = 0
        self.restarts = 0
        self.last_restart: datetime | None = None

    def count(self, status: Obj) -> None:
        self.restarts += status.get("restartCount") or 0
        finished = parse_time(((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt"))
        if finished and (self.last_restart is None or finished > self.last_restart):
            self.last_restart = finished


def pod_cells(pod: Obj, now: datetime) -> PodCells:
    """The cells of a pod as of `now`."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    phase = status.get("phase") or ""
    tally = _Tally(status.get("reason") or phase)
    if _condition(status, "PodScheduled").get("reason") == "SchedulingGated":
        tally.reason = "SchedulingGated"
    sidecars = {c.get("name") for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"}
    initializing, sidecar_tally = _walk_init(spec, status, sidecars, tally)
    if not initializing or _condition(status, "Initialized").get("status") == "True":
        tally.restarts, tally.last_restart = sidecar_tally.restarts, sidecar_tally.last_restart
        _walk_main(status, tally)
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            tally.reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            tally.reason = "Terminating"
    total = len(spec.get("containers") or []) + len(sidecars)
    restarts = str(tally.restarts)
    if tally.restarts and tally.last_restart:
        restarts = f"{restarts} ({human_duration((now - tally.last_restart).total_seconds())} ago)"
    return PodCells(f"{tally.ready}/{total}", tally.reason, restarts)


def _condition(status: Obj, kind: str) -> Obj:
    found = [entry for entry in status.get("conditions") or [] if entry.get("type") == kind]
    return found[0] if found else {}


def _walk_init(spec: Obj, status: Obj, sidecars: set[str | None], tally: _Tally) -> tuple[bool, _Tally]:
    only_sidecars = _Tally("")
    total = len(spec.get("initContainers") or [])
    for place, container in enumerate(status.get("initContainerStatuses") or []):
        sidecar = container.get("name") in sidecars
        tally.count(container)
        if sidecar:
            only_sidecars.count(container)
        state = container.get("state") or {}
        terminated = state.get("terminated")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if sidecar and container.get("started"):
            tally.ready += bool(container.get("ready"))
            continue
        waiting = (state.get("waiting") or {}).get("reason")
        if terminated is not None:
            tally.reason = "Init:" + _ended(terminated)
        elif waiting and waiting != "PodInitializing":
            tally.reason = f"Init:{waiting}"
        else:
            tally.reason = f"Init:{place}/{total}"
        return True, only_sidecars
    return False, only_sidecars


def _ended(terminated: Obj) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode') or 0}"


def _walk_main(status: Obj, tally: _Tally) -> None:
    running = False
    for container in reversed(status.get("containerStatuses") or []):
        tally.count(container)
        state = container.get("state") or {}
        waiting = (state.get("waiting") or {}).get("reason")
        if waiting:
            tally.reason = waiting
        elif state.get("terminated") is not None:
            tally.reason = _ended(state["terminated"])
        elif container.get("ready") and state.get("running") is not None:
            running = True
            tally.ready += 1
    if tally.reason == "Completed" and running:
        ready = _condition(status, "Ready").get("status") == "True"
        tally.reason = "Running" if ready else "NotReady"
