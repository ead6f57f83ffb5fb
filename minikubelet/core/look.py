"""Look: what an observation of the runtime changes in what is known of a pod.

Belongs here: level-triggered comparison of what the runtime shows with the records. A lost, repeated or
reordered observation changes nothing in the end. May not be here: results of commands (`apply`).

An observation that began before the state of a container was last told is older than that state and says
nothing of it; a container that is being started is left to the answer of the command.
"""

from __future__ import annotations

from msgspec.structs import replace

from minikubelet.core import lifecycle
from minikubelet.core.commands import SANDBOX_LANE
from minikubelet.core.events import PodObserved
from minikubelet.core.state import (
    ContainerRecord,
    Generation,
    Life,
    Moment,
    Sandbox,
    Slot,
    Stage,
    Termination,
    record_of,
    with_record,
)
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod, ObservedSandbox

UNKNOWN_EXIT = 137


def observe(slot: Slot, event: PodObserved, now: Moment) -> Slot:
    """Take an observation in; a pod that nobody has asked for becomes a generation of its own."""
    known = slot.find(event.pod.uid)
    shown = bool(event.pod.sandboxes or event.pod.containers)
    if known is None and not shown:
        return slot
    gen = known or Generation(uid=event.pod.uid, slot=slot.key, born_at=now.at, spec_seq=now.seq)
    if event.after < max(slot.looked, gen.since):
        return slot
    slot = replace(slot, looked=event.after)
    if shown and gen.stage is Stage.CLEANED:
        gen = replace(gen, stage=Stage.ENDING)
    elif _just_as_known(gen, event.pod):
        return slot
    gen = _sandboxes(gen, event, now)
    for name in _names(gen, event):
        instances = [c for c in event.pod.containers if c.name == name]
        gen = _container(gen, name, instances, event.after, now)
    if known is None:
        return replace(slot, generations=(gen, *slot.generations))
    return slot if gen is known else slot.put(gen)


def _just_as_known(gen: Generation, pod: ObservedPod) -> bool:
    """Whether it is seen at a glance that nothing is new: one sandbox, one instance of each container."""
    known = gen.sandbox
    if known is None or gen.strays or len(pod.sandboxes) != 1 or len(pod.containers) != len(gen.containers):
        return False
    box = pod.sandboxes[0]
    if (
        box.id != known.id
        or box.ready is not known.ready
        or box.attempt != known.attempt
        or box.ips != known.ips
    ):
        return False
    for shown in pod.containers:
        record = gen.containers.get(shown.name)
        if record is None or record.id != shown.id or record.dead or record.unsure:
            return False
        if shown.phase is not (ContainerPhase.RUNNING if record.running else ContainerPhase.EXITED):
            return False
    return True


def _names(gen: Generation, event: PodObserved) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*gen.containers, *(c.name for c in event.pod.containers))))


def _sandboxes(gen: Generation, event: PodObserved, now: Moment) -> Generation:
    if event.after < gen.as_of:
        return gen
    shown = sorted(event.pod.sandboxes, key=lambda s: (not s.ready, -s.attempt, -s.created_at, s.id))
    candidates = shown
    starting = gen.pending.get(SANDBOX_LANE)
    if starting is not None and starting.command == "StartSandbox":
        shown = [s for s in shown if s.attempt != starting.attempt]
        candidates = [s for s in shown if s.ready]
    current = _current_sandbox(gen.sandbox, candidates, now)
    strays = tuple(s.id for s in shown if current is None or s.id != current.id)
    attempt = max([gen.sandbox_attempt, *(s.attempt for s in shown)])
    if (current, strays, attempt) == (gen.sandbox, gen.strays, gen.sandbox_attempt):
        return gen
    return replace(gen, sandbox=current, strays=strays, sandbox_attempt=attempt)


def _current_sandbox(known: Sandbox | None, shown: list[ObservedSandbox], now: Moment) -> Sandbox | None:
    if not shown:
        return None
    best = shown[0]
    same = next((s for s in shown if known is not None and s.id == known.id), None)
    chosen = same if same is not None and (same.ready or not best.ready) else best
    seen = Sandbox(chosen.id, chosen.attempt, ready=chosen.ready, ips=chosen.ips, touched=now.seq)
    if known is not None and replace(seen, touched=known.touched) == known:
        return known
    return seen


def _container(
    gen: Generation, name: str, instances: list[ObservedContainer], after: int, now: Moment
) -> Generation:
    before = record = record_of(gen, name)
    pending = gen.pending.get(name)
    if after < record.as_of or (pending is not None and pending.command == "StartContainer"):
        return gen
    if any(c.id == record.id and c.phase is ContainerPhase.UNKNOWN for c in instances):
        return gen
    instances.sort(key=lambda c: (-c.attempt, c.id != record.id, -c.created_at, c.id))
    ran = [c for c in instances if c.phase in (ContainerPhase.RUNNING, ContainerPhase.EXITED)]
    newest = next((c for c in ran if c.attempt >= record.attempt), None)
    if newest is not None:
        record = _with_previous(_shown(record, newest, now), ran)
    elif record.running:
        record = lifecycle.exited(
            record,
            exit_code=UNKNOWN_EXIT,
            reason="ContainerStatusUnknown",
            message="The container could not be located on the node",
            finished_at=now.at,
            now=now,
        )
    dead = tuple(c.id for c in instances if c.id != record.id)
    if record is before and dead == before.dead and not before.unsure:
        return gen
    return with_record(gen, replace(record, dead=dead, as_of=before.as_of, unsure=False))


def _with_previous(record: ContainerRecord, ran: list[ObservedContainer]) -> ContainerRecord:
    """How the instance before ended, from what is left of it, where it is not remembered."""
    if record.previous is not None or record.attempt < 1:
        return record
    for older in ran:
        if older.attempt < record.attempt and older.phase is ContainerPhase.EXITED:
            code = UNKNOWN_EXIT if older.exit_code is None else older.exit_code
            reason = older.reason or ("Completed" if code == 0 else "Error")
            times = (older.started_at, older.finished_at)
            return replace(record, previous=Termination(older.id, code, reason, older.message, *times))
    return record


def _shown(record: ContainerRecord, shown: ObservedContainer, now: Moment) -> ContainerRecord:
    running = shown.phase is ContainerPhase.RUNNING
    if shown.id == record.id and running == record.running:
        return record
    if shown.id != record.id:
        record = lifecycle.begun(
            record,
            container_id=shown.id,
            attempt=shown.attempt,
            sandbox_id=shown.sandbox_id,
            made_from=shown.hash,
            now=now,
        )
    record = replace(
        record,
        image_id=shown.image_id or record.image_id,
        started_at=shown.started_at or record.started_at or now.at,
    )
    if running:
        return replace(record, life=Life.RUNNING, touched=now.seq)
    return lifecycle.exited(
        record,
        exit_code=UNKNOWN_EXIT if shown.exit_code is None else shown.exit_code,
        reason=shown.reason,
        message=shown.message,
        finished_at=shown.finished_at or now.at,
        now=now,
    )
