"""Merge: the sources' facts into one stream of updates for each pod.

Belongs here: which of ADD, UPDATE, DELETE, REMOVE, RECONCILE a definition means (upstream's
pkg/kubelet/config/config.go, podStorage.merge), and what each does to the generations of a slot.
"""

from __future__ import annotations

from enum import Enum

from msgspec.structs import replace

from minikubelet.core import lifecycle
from minikubelet.core.commands import Reason
from minikubelet.core.events import PodSet, PodWithdrawn
from minikubelet.core.qos import qos_class
from minikubelet.core.shutdown import to_come_back
from minikubelet.core.state import Generation, Moment, Slot, Stage


class Update(Enum):
    """Upstream's pod operations, as its config channel names them."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    REMOVE = "REMOVE"
    RECONCILE = "RECONCILE"


def classify(slot: Slot, event: PodSet | PodWithdrawn) -> Update:
    """What this fact means for the slot, before it is taken in."""
    known = slot.find(event.uid)
    if isinstance(event, PodWithdrawn):
        return Update.REMOVE
    if event.deletion_at is not None:
        return Update.DELETE
    if known is None or not known.offered or known.pod is None:
        return Update.ADD
    ended_elsewhere = event.finished and known.ending is None
    changed = known.pod != event.pod or known.hashes != dict(event.hashes) or known.gates != event.gates
    if ended_elsewhere or changed:
        return Update.UPDATE
    return Update.RECONCILE


def merge(slot: Slot, event: PodSet | PodWithdrawn, now: Moment) -> Slot:
    """Take a source's fact into the slot's generations."""
    if isinstance(event, PodWithdrawn):
        return _withdraw(slot, event, now)
    if classify(slot, event) is Update.RECONCILE:
        return slot
    return _set(slot, event, now)


def comes_back(known: Generation) -> bool:
    """Whether a pod that is wanted is being removed (a file was edited and edited back): it begins anew."""
    return known.ending is not None and known.ending.remove and known.deletion_at is None


def _set(slot: Slot, event: PodSet, now: Moment) -> Slot:
    for other in slot.generations:
        if other.source is event.source and other.uid != event.uid:
            ended = lifecycle.ending(other, Reason.POD_REPLACED, now=now, remove=True)
            slot = slot.put(replace(ended, offered=False, reborn=None))
    known = slot.find(event.uid) or Generation(uid=event.uid, slot=slot.key, born_at=now.at)
    if not known.offered:
        known = to_come_back(known, now)
    changed = replace(
        known,
        source=event.source,
        pod=event.pod,
        hashes=dict(event.hashes),
        origin=event.origin,
        spec_seq=now.seq,
        offered=True,
        unheld=False,
        qos=qos_class(event.pod),
        gates=event.gates,
        deletion_at=known.deletion_at if event.deletion_at is None else event.deletion_at,
    )
    if event.deletion_at is not None:
        grace = event.deletion_grace
        changed = lifecycle.ending(changed, Reason.POD_DELETED, now=now, remove=True, grace=grace)
    elif event.finished and changed.ending is None:
        changed = _over(changed, now)
    return slot.put(replace(changed, reborn=now.seq if comes_back(changed) else None))


def _over(gen: Generation, now: Moment) -> Generation:
    """It has come to its end without this node: evicted, or run by a life of which nothing is left.

    As upstream (pkg/kubelet/pod_workers.go, UpdatePod), such a pod is stopped and never started again.
    """
    ending = lifecycle.new_ending(gen, Reason.POD_FINISHED, now, remove=False)
    return replace(gen, ending=ending, stage=Stage.ENDING, over=True)


def _withdraw(slot: Slot, event: PodWithdrawn, now: Moment) -> Slot:
    known = slot.find(event.uid)
    if known is None:
        return slot
    if known.stage is Stage.CLEANED:
        return slot.drop(known.uid)
    ended = lifecycle.ending(known, Reason.POD_REMOVED, now=now, remove=True)
    return slot.put(replace(ended, offered=False, reborn=None))
