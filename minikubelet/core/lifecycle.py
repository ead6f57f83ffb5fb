"""Lifecycle: the few ways in which a container's record and a generation move on.

Belongs here: transitions that several events share. May not be here: which event leads to which.
"""

from __future__ import annotations

from msgspec.structs import replace

from minikubelet.core.backoff import delay_after_run
from minikubelet.core.commands import Reason
from minikubelet.core.state import ContainerRecord, Ending, Generation, Life, Moment, Stage

DEFAULT_GRACE = 30


def begun(
    record: ContainerRecord, *, container_id: str, attempt: int, sandbox_id: str, made_from: str, now: Moment
) -> ContainerRecord:
    """A new instance takes the place of the one before, which is kept as `previous` and to be removed."""
    if record.id == container_id:
        return replace(record, touched=now.seq, tries=0, retry_at=0, waiting_reason="", waiting_message="")
    dead = (*record.dead, record.id) if record.id else record.dead
    return ContainerRecord(
        name=record.name,
        id=container_id,
        attempt=attempt,
        sandbox_id=sandbox_id,
        hash=made_from,
        previous=record.ended(),
        dead=dead,
        delay=record.delay,
        touched=now.seq,
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
    )


def ending(
    generation: Generation, reason: Reason, *, now: Moment, remove: bool, grace: int | None = None
) -> Generation:
    """The generation is to end; an ending under way is only ever made shorter and more thorough."""
    if grace is None:
        grace = grace_of(generation)
    before = generation.ending
    if before is None or (generation.stage is Stage.FINISHED and remove):
        made = Ending(reason, now.seq, now.at, grace, remove)
        return replace(generation, ending=made, stage=Stage.ENDING)
    left = before.grace - (now.at - before.at) // 1_000_000
    if grace < left:
        before = replace(before, grace=grace, at=now.at, seq=now.seq)
    return replace(generation, ending=replace(before, remove=before.remove or remove))


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
        qos=generation.qos,
    )
