"""Plan of a pod's end: main containers together, sidecars in reverse order, sandbox, clean-up.

Belongs here: what upstream's killPod and SyncTerminatedPod order. May not be here: why a pod ends.
"""

from __future__ import annotations

from msgspec.structs import replace

from minikubelet.core.backoff import SECOND
from minikubelet.core.commands import (
    SANDBOX_LANE,
    CleanUpPod,
    Reason,
    RemoveSandbox,
    StopContainer,
    StopSandbox,
)
from minikubelet.core.draft import Draft
from minikubelet.core.state import ContainerRecord, Ending, Generation, Stage, sidecar_names


def stop(gen: Generation, draft: Draft) -> Generation:
    """Decide the next commands of a generation that ends."""
    ending = gen.ending
    if ending is None:
        return gen
    sidecars = sidecar_names(gen)
    for record in gen.containers.values():
        if record.name not in sidecars:
            gen = stop_container(gen, record, draft, ending.reason, _grace_left(ending, draft))
    if any(_busy(gen, name) for name in gen.containers if name not in sidecars):
        return gen
    for name in reversed(sidecars):
        if _busy(gen, name):
            return stop_container(gen, gen.containers[name], draft, ending.reason, _grace_left(ending, draft))
    if SANDBOX_LANE in gen.pending or any(_busy(gen, name) for name in gen.containers):
        return gen
    return _take_down(gen, ending, draft)


def stop_container(
    gen: Generation, record: ContainerRecord, draft: Draft, reason: Reason, grace: int
) -> Generation:
    """Stop one running container; a stop under way is repeated only with a shorter grace period."""
    if not record.running:
        return gen
    pending = gen.pending.get(record.name)
    if pending is not None:
        if pending.command != "StopContainer" or draft.now.at + (grace + 1) * SECOND > pending.until:
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


def _busy(gen: Generation, name: str) -> bool:
    return gen.containers[name].running or name in gen.pending


def _grace_left(ending: Ending, draft: Draft) -> int:
    left = ending.at + ending.grace * SECOND - draft.now.at
    return min(ending.grace, max(0, -(-left // SECOND)))


def _take_down(gen: Generation, ending: Ending, draft: Draft) -> Generation:
    """Nothing runs any more: the sandbox goes, and for good all that is left."""
    if not ending.remove:
        return _finish(gen, ending, draft)
    sandboxes = (*gen.strays, gen.sandbox.id) if gen.sandbox else gen.strays
    for sandbox_id in sandboxes:
        gen = remove_sandbox(gen, sandbox_id, ending.reason, draft)
    if sandboxes or draft.held_back(gen, "cleanup"):
        return gen
    keep = gen.reborn is not None
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
