"""Apply: what each event of a pod changes in what is known. One arm an event.

Belongs here: taking facts in. May not be here: deciding what to do about them (`plan`).
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from minikubelet.core import lifecycle
from minikubelet.core.answers import answered, awaited
from minikubelet.core.backoff import MIRROR_PAUSE, NEVER_MADE, retry_delay
from minikubelet.core.commands import CLEANUP_LANE, SANDBOX_LANE
from minikubelet.core.events import (
    CommandFailed,
    ContainerProbed,
    ContainerRemoved,
    ContainerStarted,
    ContainerStartFailed,
    ContainerStopped,
    MirrorGone,
    MirrorSeen,
    PodCleanedUp,
    PodObserved,
    PodResult,
    PodSet,
    PodWithdrawn,
    ResultEvent,
    SandboxRemoved,
    SandboxStarted,
    SandboxStartFailed,
    SandboxStopped,
    SlotEvent,
    StorageMeasured,
    TimerFired,
)
from minikubelet.core.eviction import outgrown
from minikubelet.core.look import observe
from minikubelet.core.merge import merge
from minikubelet.core.probes import probed
from minikubelet.core.state import (
    Generation,
    Life,
    Mirror,
    Moment,
    Pending,
    Retry,
    Sandbox,
    Slot,
    Stage,
    record_of,
    with_record,
)


def apply(slot: Slot, event: SlotEvent, now: Moment) -> Slot:
    """Take one event of this slot in."""
    match event:
        case PodObserved():
            return observe(slot, event, now)
        case ContainerProbed():
            return probed(slot, event, now)
        case StorageMeasured():
            return outgrown(slot, event, now)
        case TimerFired():
            return replace(slot, wake_at=0)
        case PodSet() | PodWithdrawn():
            return merge(slot, event, now)
        case MirrorSeen():
            return _mirror_seen(slot, event, now)
        case MirrorGone():
            return _mirror_gone(slot, event, now)
        case _:
            return _result(slot, event, now)


def _mirror_seen(slot: Slot, event: MirrorSeen, now: Moment) -> Slot:
    """A mirror whose deletion was asked for stays asked for: the outbox does not forget."""
    mirror = Mirror(event.uid, event.hash, event.deleting, now.seq)
    asked = slot.mirror_asked if slot.mirror_asked == f"delete:{event.uid}" else ""
    return replace(slot, mirror=mirror, mirror_asked=asked, mirror_seq=now.seq)


def _mirror_gone(slot: Slot, event: MirrorGone, now: Moment) -> Slot:
    mirror = slot.mirror
    if mirror is None or mirror.uid != event.uid:
        return slot
    ours = slot.mirror_asked == f"delete:{mirror.uid}" and not mirror.deleting
    free_at = 0 if ours else now.at + MIRROR_PAUSE
    return replace(slot, mirror=None, mirror_asked="", mirror_free_at=free_at, mirror_seq=now.seq)


def _result(slot: Slot, event: ResultEvent, now: Moment) -> Slot:
    generation = slot.find(event.uid)
    answer = answered(event)
    pending = awaited(generation, answer) if generation else None
    if generation is None or pending is None:
        return slot
    gen = _settled(generation, answer.lane)
    if isinstance(event, PodCleanedUp):
        return _cleaned(slot, gen, now)
    return slot.put(_result_of(gen, pending, event, now))


def _result_of(gen: Generation, pending: Pending, event: PodResult, now: Moment) -> Generation:
    match event:
        case SandboxStarted():
            return _sandbox_started(gen, event, now)
        case SandboxStartFailed() | CommandFailed():
            return _failed(gen, event, now)
        case ContainerStarted():
            return _container_started(gen, pending, event, now)
        case ContainerStartFailed():
            return _container_start_failed(gen, pending, event, now)
        case ContainerStopped():
            return _container_stopped(gen, event, now)
        case ContainerRemoved():
            return _container_removed(gen, event, now)
        case SandboxStopped():
            return _sandbox_stopped(gen, event, now)
        case SandboxRemoved():
            return _sandbox_removed(gen, event, now)
        case _ as never:
            assert_never(never)


def _settled(gen: Generation, lane: str) -> Generation:
    """The command of the lane is answered."""
    return replace(gen, pending={k: v for k, v in gen.pending.items() if k != lane})


def _succeeded(gen: Generation, lane: str) -> Generation:
    if lane not in gen.retries:
        return gen
    return replace(gen, retries={k: v for k, v in gen.retries.items() if k != lane})


def _failed(gen: Generation, event: SandboxStartFailed | CommandFailed, now: Moment) -> Generation:
    lane, command, *_ = answered(event)
    before = gen.retries.get(lane)
    tries = before.tries + 1 if before else 1
    message = f"{command}: {event.reason}: {event.message}"
    retry = Retry(tries, now.at + retry_delay(tries), message, now.seq)
    return replace(gen, retries={**gen.retries, lane: retry})


def _sandbox_started(gen: Generation, event: SandboxStarted, now: Moment) -> Generation:
    gen = _succeeded(gen, SANDBOX_LANE)
    sandbox = Sandbox(event.sandbox_id, event.attempt, ready=True, ips=event.ips, touched=now.seq)
    strays = gen.strays
    if gen.sandbox is not None and gen.sandbox.id != sandbox.id:
        strays = (*strays, gen.sandbox.id)
    attempt = max(gen.sandbox_attempt, event.attempt)
    return replace(gen, sandbox=sandbox, sandbox_attempt=attempt, strays=strays, as_of=now.seq)


def _sandbox_stopped(gen: Generation, event: SandboxStopped, now: Moment) -> Generation:
    gen = _succeeded(gen, SANDBOX_LANE)
    if gen.sandbox is None or gen.sandbox.id != event.sandbox_id:
        return gen
    return replace(gen, sandbox=replace(gen.sandbox, ready=False, touched=now.seq), as_of=now.seq)


def _sandbox_removed(gen: Generation, event: SandboxRemoved, now: Moment) -> Generation:
    gen = _succeeded(gen, f"sandbox:{event.sandbox_id}")
    strays = tuple(s for s in gen.strays if s != event.sandbox_id)
    sandbox = None if gen.sandbox and gen.sandbox.id == event.sandbox_id else gen.sandbox
    return replace(gen, strays=strays, sandbox=sandbox, as_of=now.seq)


def _container_started(gen: Generation, pending: Pending, event: ContainerStarted, now: Moment) -> Generation:
    gen = _succeeded(gen, event.container)
    record = lifecycle.begun(
        record_of(gen, event.container),
        container_id=event.container_id,
        attempt=event.attempt,
        sandbox_id=pending.target,
        made_from=event.hash,
        now=now,
    )
    started = event.started_at or now.at
    return with_record(gen, replace(record, life=Life.RUNNING, image_id=event.image_id, started_at=started))


def _container_start_failed(
    gen: Generation, pending: Pending, event: ContainerStartFailed, now: Moment
) -> Generation:
    record = record_of(gen, event.container)
    waiting = {"waiting_reason": event.reason, "waiting_message": event.message, "failed_at": now.at}
    if not event.container_id:
        tries = record.tries + 1
        retry_at = now.at + retry_delay(tries, event.reason)
        told = {"touched": now.seq, "as_of": now.seq, "unsure": event.reason not in NEVER_MADE}
        return with_record(gen, replace(record, tries=tries, retry_at=retry_at, **told, **waiting))
    record = lifecycle.begun(
        record,
        container_id=event.container_id,
        attempt=event.attempt,
        sandbox_id=pending.target,
        made_from=event.hash,
        now=now,
    )
    record = lifecycle.exited(
        replace(record, image_id=event.image_id, started_at=event.started_at or now.at),
        exit_code=event.exit_code,
        reason=event.ended,
        message=event.message,
        finished_at=now.at,
        now=now,
    )
    return with_record(gen, replace(record, **waiting))


def _container_stopped(gen: Generation, event: ContainerStopped, now: Moment) -> Generation:
    gen = _succeeded(gen, event.container)
    record = record_of(gen, event.container)
    if record.id != event.container_id or not record.running:
        return gen
    record = replace(record, started_at=event.started_at or record.started_at)
    return with_record(
        gen,
        lifecycle.exited(
            record,
            exit_code=event.exit_code,
            reason=event.reason,
            message=event.message,
            finished_at=event.finished_at or now.at,
            now=now,
        ),
    )


def _container_removed(gen: Generation, event: ContainerRemoved, now: Moment) -> Generation:
    gen = _succeeded(gen, f"remove:{event.container_id}")
    record = record_of(gen, event.container)
    dead = tuple(d for d in record.dead if d != event.container_id)
    return with_record(gen, replace(record, dead=dead, as_of=now.seq))


def _cleaned(slot: Slot, gen: Generation, now: Moment) -> Slot:
    """Nothing is left of it on the node: an API pod stays until its object goes, others are forgotten.

    Unless something of it showed up meanwhile: then its end goes on. An evicted one has finished.
    """
    gen = _succeeded(gen, CLEANUP_LANE)
    if gen.alive or gen.sandbox is not None or gen.strays:
        return slot.put(gen)
    if gen.ending is not None and not gen.ending.remove:
        return slot.put(replace(gen, stage=Stage.FINISHED, since=now.seq))
    gen = replace(gen, stage=Stage.CLEANED, since=now.seq)
    if gen.reborn is not None:
        return slot.drop(gen.uid).put(lifecycle.reborn(gen, gen.reborn, now))
    if gen.offered:
        return slot.put(gen)
    return replace(slot.drop(gen.uid), mirror_seq=now.seq)
