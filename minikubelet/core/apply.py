"""Apply: what each event of a pod changes in what is known. One arm an event.

Belongs here: taking facts in. May not be here: deciding what to do about them (`plan`).
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from minikubelet.core import lifecycle
from minikubelet.core.backoff import retry_delay
from minikubelet.core.events import (
    CommandFailed,
    ContainerRemoved,
    ContainerStarted,
    ContainerStartFailed,
    ContainerStopped,
    MirrorGone,
    MirrorSeen,
    PodCleanedUp,
    PodObserved,
    PodSet,
    PodWithdrawn,
    ResultEvent,
    SandboxRemoved,
    SandboxStarted,
    SandboxStartFailed,
    SandboxStopped,
    SlotEvent,
    TimerFired,
)
from minikubelet.core.look import observe
from minikubelet.core.merge import merge
from minikubelet.core.state import (
    Generation,
    Life,
    Mirror,
    Moment,
    Retry,
    Sandbox,
    Slot,
    Stage,
    record_of,
    with_record,
)

MIRROR_PAUSE = 300_000
"""µs that a mirror pod deleted by somebody stays away: `kubectl delete` must see it go."""


def apply(slot: Slot, event: SlotEvent, now: Moment) -> Slot:
    """Take one event of this slot in."""
    match event:
        case PodSet() | PodWithdrawn():
            return merge(slot, event, now)
        case MirrorSeen():
            mirror = Mirror(event.uid, event.hash, event.deleting, now.seq)
            return replace(slot, mirror=mirror, mirror_asked="", mirror_seq=now.seq)
        case MirrorGone():
            return _mirror_gone(slot, event, now)
        case PodObserved():
            return observe(slot, event, now)
        case TimerFired():
            return replace(slot, wake_at=0)
        case _:
            return _result(slot, event, now)


def _mirror_gone(slot: Slot, event: MirrorGone, now: Moment) -> Slot:
    mirror = slot.mirror
    if mirror is None or mirror.uid != event.uid:
        return slot
    ours = slot.mirror_asked == f"delete:{mirror.uid}" and not mirror.deleting
    free_at = 0 if ours else now.at + MIRROR_PAUSE
    return replace(slot, mirror=None, mirror_asked="", mirror_free_at=free_at, mirror_seq=now.seq)


def _result(slot: Slot, event: ResultEvent, now: Moment) -> Slot:
    generation = slot.find(event.uid)
    if generation is None:
        return slot
    if isinstance(event, PodCleanedUp):
        return _cleaned(slot, generation, now)
    return slot.put(_result_of(generation, event, now))


def _result_of(gen: Generation, event: ResultEvent, now: Moment) -> Generation:  # noqa: C901 - one arm an event
    match event:
        case SandboxStarted():
            return _sandbox_started(gen, event, now)
        case SandboxStartFailed():
            gen = _answered(gen, "sandbox")
            return _failed(gen, "sandbox", "StartSandbox", f"{event.reason}: {event.message}", now)
        case ContainerStarted():
            return _container_started(gen, event, now)
        case ContainerStartFailed():
            return _container_start_failed(gen, event, now)
        case ContainerStopped():
            return _container_stopped(gen, event, now)
        case ContainerRemoved():
            return _container_removed(gen, event)
        case SandboxStopped():
            return _sandbox_stopped(gen, event, now)
        case SandboxRemoved():
            return _sandbox_removed(gen, event)
        case CommandFailed():
            gen = _answered(gen, event.lane)
            return _failed(gen, event.lane, event.command, f"{event.reason}: {event.message}", now)
        case PodCleanedUp():
            return gen
        case _ as never:
            assert_never(never)


def _answered(gen: Generation, lane: str) -> Generation:
    if lane not in gen.pending:
        return gen
    return replace(gen, pending={k: v for k, v in gen.pending.items() if k != lane})


def _succeeded(gen: Generation, lane: str) -> Generation:
    gen = _answered(gen, lane)
    if lane not in gen.retries:
        return gen
    return replace(gen, retries={k: v for k, v in gen.retries.items() if k != lane})


def _failed(gen: Generation, lane: str, command: str, message: str, now: Moment) -> Generation:
    before = gen.retries.get(lane)
    tries = before.tries + 1 if before else 1
    retry = Retry(tries, now.at + retry_delay(tries), f"{command}: {message}", now.seq)
    return replace(gen, retries={**gen.retries, lane: retry})


def _sandbox_started(gen: Generation, event: SandboxStarted, now: Moment) -> Generation:
    gen = _succeeded(gen, "sandbox")
    sandbox = Sandbox(event.sandbox_id, event.attempt, ready=True, ips=event.ips, touched=now.seq)
    strays = gen.strays
    if gen.sandbox and gen.sandbox.id != sandbox.id and gen.sandbox.id not in strays:
        strays = (*strays, gen.sandbox.id)
    return replace(gen, sandbox=sandbox, sandbox_attempt=event.attempt, strays=strays)


def _sandbox_stopped(gen: Generation, event: SandboxStopped, now: Moment) -> Generation:
    gen = _succeeded(gen, "sandbox")
    if gen.sandbox and gen.sandbox.id == event.sandbox_id:
        gen = replace(gen, sandbox=replace(gen.sandbox, ready=False, touched=now.seq))
    return gen


def _sandbox_removed(gen: Generation, event: SandboxRemoved) -> Generation:
    gen = _succeeded(gen, f"sandbox:{event.sandbox_id}")
    strays = tuple(s for s in gen.strays if s != event.sandbox_id)
    sandbox = None if gen.sandbox and gen.sandbox.id == event.sandbox_id else gen.sandbox
    return replace(gen, strays=strays, sandbox=sandbox)


def _container_started(gen: Generation, event: ContainerStarted, now: Moment) -> Generation:
    gen = _succeeded(gen, event.container)
    record = lifecycle.begun(
        record_of(gen, event.container),
        container_id=event.container_id,
        attempt=event.attempt,
        sandbox_id=gen.sandbox.id if gen.sandbox else "",
        made_from=event.hash,
        now=now,
    )
    started = event.started_at or now.at
    return with_record(gen, replace(record, life=Life.RUNNING, image_id=event.image_id, started_at=started))


def _container_start_failed(gen: Generation, event: ContainerStartFailed, now: Moment) -> Generation:
    gen = _answered(gen, event.container)
    record = record_of(gen, event.container)
    waiting = {"waiting_reason": event.reason, "waiting_message": event.message, "failed_at": now.at}
    if not event.container_id:
        tries = record.tries + 1
        retry_at = now.at + retry_delay(tries, event.reason)
        return with_record(gen, replace(record, tries=tries, retry_at=retry_at, touched=now.seq, **waiting))
    record = lifecycle.begun(
        record,
        container_id=event.container_id,
        attempt=event.attempt,
        sandbox_id=gen.sandbox.id if gen.sandbox else "",
        made_from=event.hash,
        now=now,
    )
    record = lifecycle.exited(
        replace(record, started_at=now.at),
        exit_code=event.exit_code,
        reason="StartError",
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


def _container_removed(gen: Generation, event: ContainerRemoved) -> Generation:
    gen = _succeeded(gen, f"remove:{event.container_id}")
    record = record_of(gen, event.container)
    return with_record(gen, replace(record, dead=tuple(d for d in record.dead if d != event.container_id)))


def _cleaned(slot: Slot, gen: Generation, now: Moment) -> Slot:
    """Nothing is left of it on the node: an API pod stays until its object goes, others are forgotten."""
    gen = replace(_succeeded(gen, "cleanup"), stage=Stage.CLEANED, sandbox=None, strays=())
    if gen.reborn is not None:
        return slot.drop(gen.uid).put(lifecycle.reborn(gen, gen.reborn, now))
    if gen.offered:
        return slot.put(gen)
    return replace(slot.drop(gen.uid), mirror_seq=now.seq)
