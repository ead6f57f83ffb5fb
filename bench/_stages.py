"""From an agent's own journal: when it saw, decided and finished what a change of the folder asked for.

A change is known by the pod's slot and the content's hash, which the journal keeps as the pod's origin. Times
are seconds since the epoch. The look that found a change begins at `seen`; reading, checking, redaction and
the way to the loop end at `decided`, which is the time of event and command alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.ports.journalport import Record, RecordKind
from minikubelet.wire.records import decode_command, decode_event

SEEN = "kubernetes.io/config.seen"


class Course(msgspec.Struct):
    """What became of one definition of a pod; 0 where it did not come to that."""

    uid: str
    seen: float = 0.0
    decided: float = 0.0
    sandbox: float = 0.0
    started: float = 0.0
    withdrawn: float = 0.0
    stop: float = 0.0
    cleaned: float = 0.0


class Journey(msgspec.Struct):
    """All definitions by (slot, content) and by uid, and how many records of which kind there were."""

    by_content: dict[tuple[str, str], Course] = msgspec.field(default_factory=dict)
    by_uid: dict[str, Course] = msgspec.field(default_factory=dict)
    kinds: dict[str, int] = msgspec.field(default_factory=dict)


def follow(records: Iterable[Record]) -> Journey:
    """Read a whole journal."""
    journey, waiting = Journey(), dict[str, Course]()
    for record in records:
        at = record.at / 1e6
        if record.kind is RecordKind.EVENT:
            _event(journey, waiting, decode_event(record.body), at)
        elif record.kind is RecordKind.COMMAND:
            _command(journey, waiting, decode_command(record.body), at)
    return journey


def _event(journey: Journey, waiting: dict[str, Course], event: e.AnyEvent, at: float) -> None:
    _count(journey, event)
    match event:
        case e.PodSet():
            course = journey.by_uid.setdefault(event.uid, Course(event.uid))
            seen = event.pod.metadata.annotations.get(SEEN, "")
            course.seen = course.seen or (datetime.fromisoformat(seen).timestamp() if seen else 0.0)
            journey.by_content[event.slot, event.origin.rpartition(" ")[2]] = course
            if not course.decided:
                waiting[event.slot] = course
        case e.PodWithdrawn() if event.uid in journey.by_uid:
            journey.by_uid[event.uid].withdrawn = at
        case e.SandboxStarted() if event.uid in journey.by_uid:
            journey.by_uid[event.uid].sandbox = at
        case e.ContainerStarted() if event.uid in journey.by_uid and event.attempt == 0:
            journey.by_uid[event.uid].started = at
        case e.PodCleanedUp() if event.uid in journey.by_uid:
            journey.by_uid[event.uid].cleaned = at
        case _:
            pass


def _command(journey: Journey, waiting: dict[str, Course], command: c.AnyCommand, at: float) -> None:
    _count(journey, command)
    if not isinstance(command, c.RuntimeCommand):
        return
    course = waiting.pop(command.slot, None)
    if course is not None:
        course.decided = at
    if isinstance(command, c.StopContainer) and command.uid in journey.by_uid:
        stopped = journey.by_uid[command.uid]
        stopped.stop = stopped.stop or at


def _count(journey: Journey, what: object) -> None:
    name = type(what).__name__
    journey.kinds[name] = journey.kinds.get(name, 0) + 1
