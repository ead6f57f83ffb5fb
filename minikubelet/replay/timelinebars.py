"""Bars of a timeline: which phase a pod or a container was in, from when to when.

Belongs here: phases from the statuses that were decided. May not be here: drawing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.core.state import Slot
from minikubelet.model.status import ContainerStatus, PodStatus
from minikubelet.replay.timelinerows import Row

PHASES = (c.PublishStatus.__name__, e.PodCleanedUp.__name__)
"""the kinds of rows that begin and end bars"""


class Bar(NamedTuple):
    """One phase of a lane: `look` is pending, waiting, unready, running, ended or failed."""

    slot: str
    container: str
    begins: int
    ends: int
    look: str
    label: str


class Bars:
    """Takes rows in and keeps the bars; a lane is a (slot, container), its container empty for the pod."""

    def __init__(self, before: Iterable[Slot] = ()) -> None:
        self._open: dict[tuple[str, str], tuple[int, str, str]] = {}
        self._done: list[Bar] = []
        self._uids: dict[str, str] = {}
        self._now = 0
        for slot in before:
            for gen in slot.generations:
                if gen.published is not None:
                    self._status(slot.key, gen.uid, gen.published)

    def take(self, row: Row) -> None:
        """Take the next row in."""
        self._now = row.at
        if isinstance(row.body, c.PublishStatus):
            self._status(row.slot, row.uid, row.body.status)
        elif isinstance(row.body, e.PodCleanedUp) and self._uids.get(row.slot) == row.uid:
            for lane in [lane for lane in self._open if lane[0] == row.slot]:
                self._close(lane)

    def within(self, begin: int, end: int) -> list[Bar]:
        """What can be seen of the bars in that time; those that are open go on to its end."""
        still = (Bar(*lane, begins, end, look, label) for lane, (begins, look, label) in self._open.items())
        return [
            bar._replace(begins=max(bar.begins, begin), ends=min(bar.ends, end))
            for bar in (*self._done, *still)
            if bar.begins <= end and bar.ends >= begin
        ]

    def _status(self, slot: str, uid: str, status: PodStatus) -> None:
        self._uids[slot] = uid
        self._phase((slot, ""), *_of_pod(status))
        every = (
            *status.init_container_statuses,
            *status.container_statuses,
            *status.ephemeral_container_statuses,
        )
        for one in every:
            self._phase((slot, one.name), *_of_container(one))
        told = {one.name for one in every}
        for lane in [lane for lane in self._open if lane[0] == slot and lane[1] and lane[1] not in told]:
            self._close(lane)

    def _phase(self, lane: tuple[str, str], look: str, label: str) -> None:
        known = self._open.get(lane)
        if known is not None and known[1:] == (look, label):
            return
        self._close(lane)
        self._open[lane] = (self._now, look, label)

    def _close(self, lane: tuple[str, str]) -> None:
        known = self._open.pop(lane, None)
        if known is not None:
            begins, look, label = known
            # Where the clock was set back meanwhile, how long it lasted is not known.
            self._done.append(Bar(*lane, begins, max(begins, self._now), look, label))


def _of_pod(status: PodStatus) -> tuple[str, str]:
    if status.phase == "Running":
        ready = any(one.type == "Ready" and one.status == "True" for one in status.conditions)
        return ("running", "Running, ready") if ready else ("unready", "Running, not ready")
    look = {"Pending": "pending", "Succeeded": "ended", "Failed": "failed"}.get(status.phase, "waiting")
    return look, status.phase + (f" {status.reason}" if status.reason else "")


def _of_container(status: ContainerStatus) -> tuple[str, str]:
    state = status.state
    if state.running is not None:
        return "running", "running" if status.ready or not status.started else "running, not ready"
    if state.terminated is not None:
        ended = state.terminated
        return (
            "ended" if ended.exit_code == 0 else "failed",
            f"exit {ended.exit_code} {ended.reason}".rstrip(),
        )
    reason = state.waiting.reason if state.waiting is not None else ""
    troubled = "BackOff" in reason or "Err" in reason
    return "failed" if troubled else "waiting", reason or "waiting"
