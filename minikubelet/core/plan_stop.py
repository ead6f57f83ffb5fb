"""Plan of a pod's end: main containers together, sidecars in reverse order, sandbox, clean-up.

Belongs here: what upstream's killPod and SyncTerminatedPod order. May not be here: why a pod ends.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from minikubelet.core.backoff import SECOND
from minikubelet.core.behaviours import Behaviour
from minikubelet.core.commands import (
    CLEANUP_LANE,
    SANDBOX_LANE,
    CleanUpPod,
    Reason,
    RemoveSandbox,
    StopContainer,
    StopSandbox,
)
from minikubelet.core.draft import Draft
from minikubelet.core.state import (
    ContainerRecord,
    Ending,
    Generation,
    Pending,
    Stage,
    busy_lanes,
    init_containers,
    is_sidecar,
    record_of,
)

LEAST_GRACE: Final = 2
"""seconds that upstream leaves even to a pod whose own grace period is shorter"""


def stop(gen: Generation, ending: Ending, draft: Draft) -> Generation:
    """Decide the next commands of a generation that ends."""
    sidecars = tuple(c.name for c in init_containers(gen) if is_sidecar(c))
    for record in gen.containers.values():
        if record.name not in sidecars:
            gen = stop_container(gen, record, draft, ending.reason, _grace_left(record, ending, draft))
    busy = busy_lanes(gen)
    if any(lane not in sidecars for lane in busy):
        return gen
    for name in reversed(sidecars):
        if name in busy:
            record = record_of(gen, name)
            return stop_container(gen, record, draft, ending.reason, _grace_left(record, ending, draft))
    return _take_down(gen, ending, draft)


def stop_container(
    gen: Generation, record: ContainerRecord, draft: Draft, reason: Reason, grace: int
) -> Generation:
    """Stop one running container; a stop under way is repeated only with a shorter grace period."""
    if not record.running:
        return gen
    pending = gen.pending.get(record.name)
    if pending is not None:
        if not _shortened(gen, pending, draft.now.at + (grace + 1) * SECOND):
            return gen
        reason = Reason.GRACE_SHORTENED
    elif draft.held_back(gen, record.name):
        return gen
    command = StopContainer(
        slot=gen.slot,
        reason=reason,
        uid=gen.uid,
        container=record.name,
        container_id=record.id,
        grace=grace,
    )
    causes = (gen.spec_seq, record.touched, gen.ending.seq if gen.ending else 0)
    return draft.issue(gen, command, *causes)


def _shortened(gen: Generation, pending: Pending, until: int) -> bool:
    """Whether the pod's end was hastened after this stop began, so that it would end too late."""
    hastened = gen.ending is not None and gen.ending.seq > pending.seq
    return hastened and pending.command == "StopContainer" and until <= pending.until


def _grace_left(record: ContainerRecord, ending: Ending, draft: Draft) -> int:
    late = record.touched > ending.seq
    if late and Behaviour.FULL_GRACE_WHEN_LATE in draft.behaviours:
        return max(LEAST_GRACE, ending.grace)
    left = ending.at + ending.grace * SECOND - draft.now.at
    return min(ending.grace, max(0, -(-left // SECOND)))


def _take_down(gen: Generation, ending: Ending, draft: Draft) -> Generation:
    """Nothing runs any more: the sandbox goes, and for good, or for room on the disk, all that is left."""
    if not ending.remove and ending.reason is not Reason.POD_EVICTED:
        return _finish(gen, ending, draft)
    sandboxes = (*gen.strays, gen.sandbox.id) if gen.sandbox else gen.strays
    for sandbox_id in sandboxes:
        gen = remove_sandbox(gen, sandbox_id, ending.reason, draft)
    if sandboxes or draft.held_back(gen, CLEANUP_LANE):
        return gen
    keep = gen.reborn is not None or not ending.remove
    command = CleanUpPod(slot=gen.slot, reason=ending.reason, uid=gen.uid, keep_definition=keep)
    return draft.issue(gen, command, ending.seq)


def _finish(gen: Generation, ending: Ending, draft: Draft) -> Generation:
    if gen.sandbox is None or not gen.sandbox.ready:
        return replace(gen, stage=Stage.FINISHED)
    if draft.held_back(gen, SANDBOX_LANE):
        return gen
    command = StopSandbox(slot=gen.slot, reason=ending.reason, uid=gen.uid, sandbox_id=gen.sandbox.id)
    return draft.issue(gen, command, ending.seq)


def remove_sandbox(gen: Generation, sandbox_id: str, reason: Reason, draft: Draft) -> Generation:
    """Remove a sandbox with all containers in it, unless that is under way or waits after a failure."""
    if draft.held_back(gen, f"sandbox:{sandbox_id}"):
        return gen
    command = RemoveSandbox(slot=gen.slot, reason=reason, uid=gen.uid, sandbox_id=sandbox_id)
    return draft.issue(gen, command, gen.ending.seq if gen.ending else 0)
