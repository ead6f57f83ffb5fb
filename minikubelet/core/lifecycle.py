"""Lifecycle: the few ways in which a container's record and a generation move on.

Belongs here: transitions that several events share. May not be here: which event leads to which.
"""

from __future__ import annotations

from msgspec.structs import replace

from minikubelet.core.backoff import SECOND, delay_after_run, next_crash_delay
from minikubelet.core.commands import Reason
from minikubelet.core.state import ContainerRecord, Ending, Generation, Life, Moment, Stage

DEFAULT_GRACE = 30


def begun(
    record: ContainerRecord, *, container_id: str, attempt: int, sandbox_id: str, made_from: str, now: Moment
) -> ContainerRecord:
    """A new instance takes the place of the one before, which is kept as `previous` and to be removed.

    The back-off after its end is longer if the one before ended in the same sandbox, by itself; a container
    whose definition changed begins anew.
    """
    # A driver may give an id again: what an attempt that a crash cut short left is this very instance now.
    dead = tuple(d for d in (*record.dead, record.id) if d not in ("", container_id))
    delay = record.delay if made_from == record.hash or not record.hash else 0
    if record.life is Life.EXITED and record.sandbox_id == sandbox_id and not record.again:
        delay = next_crash_delay(delay)
    return ContainerRecord(
        name=record.name,
        id=container_id,
        attempt=attempt,
        sandbox_id=sandbox_id,
        hash=made_from,
        previous=record.ended(),
        dead=dead,
        delay=delay,
        touched=now.seq,
        as_of=now.seq,
    )


def exited(
    record: ContainerRecord, *, exit_code: int, reason: str, message: str, finished_at: int, now: Moment
) -> ContainerRecord:
    """The current instance has ended; an end that the engine's clock puts into the future is now."""
    finished_at = min(finished_at, now.at)
    return replace(
        record,
        life=Life.EXITED,
        exit_code=exit_code,
        reason=reason or ("Completed" if exit_code == 0 else "Error"),
        message=message,
        finished_at=finished_at,
        delay=delay_after_run(record.delay, finished_at - record.started_at),
        touched=now.seq,
        as_of=now.seq,
    )


def ending(
    generation: Generation, reason: Reason, *, now: Moment, remove: bool, grace: int | None = None
) -> Generation:
    """The generation is to end; an ending under way is only ever made shorter and more thorough."""
    made = new_ending(generation, reason, now, remove=remove, grace=grace)
    before = generation.ending
    if before is None or (generation.stage is Stage.FINISHED and remove):
        return replace(generation, ending=made, stage=Stage.ENDING)
    left = before.grace - max(0, now.at - before.at) // SECOND
    if made.grace < left or (made.grace < before.grace and made.grace < _longest_stop(generation, now)):
        before = replace(before, grace=made.grace, at=now.at, seq=now.seq)
    return replace(generation, ending=replace(before, remove=before.remove or remove))


def _longest_stop(generation: Generation, now: Moment) -> int:
    """Seconds left of the stops under way: a container that came up late may have longer than its pod."""
    stops = (p.until for p in generation.pending.values() if p.command == "StopContainer")
    return max(((until - now.at) // SECOND for until in stops), default=0)


def new_ending(
    generation: Generation, reason: Reason, now: Moment, *, remove: bool, grace: int | None = None
) -> Ending:
    """An end that begins now; without a grace period of its own it has the pod's."""
    return Ending(reason, now.seq, now.at, grace_of(generation) if grace is None else grace, remove)


def grace_of(generation: Generation) -> int:
    """The pod's own grace period in seconds."""
    if generation.pod is None or generation.pod.spec.termination_grace_period_seconds is None:
        return DEFAULT_GRACE
    return max(0, generation.pod.spec.termination_grace_period_seconds)


def reborn(generation: Generation, spec_seq: int, now: Moment) -> Generation:
    """The same pod once more, with nothing of its earlier life."""
    return Generation(
        uid=generation.uid,
        slot=generation.slot,
        source=generation.source,
        pod=generation.pod,
        hashes=generation.hashes,
        origin=generation.origin,
        spec_seq=spec_seq,
        born_at=now.at,
        offered=True,
        since=now.seq,
        qos=generation.qos,
        gates=generation.gates,
    )
