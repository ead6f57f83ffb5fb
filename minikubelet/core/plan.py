"""Plan: what follows from all that is known of a slot.

Belongs here: which generation may act, what no source holds any more, statuses, the mirror pod, the
timer. May not be here: how a pod is brought up (`plan_sync`) or down (`plan_stop`). The plan is level
triggered: it looks at the state, not at the event that led to it, and planning twice adds nothing.
"""

from __future__ import annotations

from itertools import takewhile

from msgspec.structs import replace

from minikubelet.core import lifecycle
from minikubelet.core.admission import admit
from minikubelet.core.backoff import MIRROR_PAUSE
from minikubelet.core.behaviours import Behaviour
from minikubelet.core.commands import (
    CreateMirror,
    Decision,
    DeleteApiPod,
    DeleteMirror,
    PublishStatus,
    Reason,
    WakeAt,
)
from minikubelet.core.draft import Draft
from minikubelet.core.nodefacts import NodeFacts
from minikubelet.core.plan_stop import stop
from minikubelet.core.plan_sync import sync
from minikubelet.core.project import project
from minikubelet.core.project_container import changes_at
from minikubelet.core.state import Generation, Mirror, Moment, Slot, Stage
from minikubelet.model.ids import Source
from minikubelet.model.status import PodStatus

HASH_ANNOTATION = "kubernetes.io/config.hash"


def plan(slot: Slot, node: NodeFacts, now: Moment, before: Slot | None = None) -> tuple[Slot, list[Decision]]:
    """Decide for one slot; the slot that comes back knows what was decided.

    `before` is the slot as it was last planned for the same node: what has not changed since needs no new
    status.
    """
    if not node.listed:
        return _remember_unheld(slot, node), []
    draft = Draft(now, node.behaviours)
    for generation in slot.generations:
        if _gone(generation, node):
            slot = slot.drop(generation.uid)
            continue
        gen = _unclaimed(slot, generation, node, now)
        gen = _advance(slot, gen, node, draft)
        slot = slot if gen is generation else slot.put(gen)
    slot = _publish(slot, node, draft, before)
    slot = _release(slot, draft)
    slot = _mirror(slot, node, draft, before)
    return replace(_wake(slot, draft), planned_at=now.at), draft.decisions


def no_moment_came(before: Slot, slot: Slot, now: Moment) -> bool:
    """Whether time alone gives no reason to plan again: the clock went on, the timer armed is not due."""
    armed = slot.wake_at == before.wake_at and not 0 < slot.wake_at <= now.at
    return armed and 0 < slot.planned_at <= now.at


def _remember_unheld(slot: Slot, node: NodeFacts) -> Slot:
    """Note which pods no file holds while all files are sound: one may be broken once they can be ended."""
    sound = node.rejected == 0 and Behaviour.SOUND_LISTS_ARE_REMEMBERED in node.behaviours
    for gen in slot.generations if sound else ():
        if gen.source is Source.FILE and _synced(gen, node) and not (gen.offered or gen.unheld):
            slot = slot.put(replace(gen, unheld=True))
    return slot


def _unclaimed(slot: Slot, gen: Generation, node: NodeFacts, now: Moment) -> Generation:
    """End what no source holds, once that is known.

    While a manifest is broken, a pod from files that is not offered may be the one in the broken file, and
    a pod found on the runtime may come from it too: both are left alone. A pod found where a source wants
    another one is in its way, whoever may have wanted it.
    """
    if gen.offered or gen.stage is Stage.CLEANED or _goes_anyway(gen, node):
        return gen
    broken = node.rejected > 0 and not gen.unheld
    if gen.source is None and any(other.offered for other in slot.generations):
        gone, reason = True, Reason.POD_REPLACED
    elif gen.source is None:
        gone, reason = node.all_synced and not broken, Reason.POD_UNKNOWN
    else:
        gone = _synced(gen, node) and not (broken and gen.source is Source.FILE)
        reason = Reason.POD_REMOVED
    return lifecycle.ending(gen, reason, now=now, remove=True) if gone else gen


def _goes_anyway(gen: Generation, node: NodeFacts) -> bool:
    """Whether its end is under way and will leave nothing of it."""
    stays = Behaviour.UNCLAIMED_WHILE_ENDING in node.behaviours and gen.ending and not gen.ending.remove
    return gen.stage is Stage.ENDING and not stays


def _gone(gen: Generation, node: NodeFacts) -> bool:
    """An API pod that left nothing on the node and whose object went while the agent was away."""
    return gen.stage is Stage.CLEANED and not gen.offered and _synced(gen, node)


def _synced(gen: Generation, node: NodeFacts) -> bool:
    return gen.source in node.synced or gen.source not in node.sources


def _advance(slot: Slot, gen: Generation, node: NodeFacts, draft: Draft) -> Generation:
    if gen.ending is None:
        if gen.pod is None or not (gen.offered or _synced(gen, node)) or waits_for(slot, gen, node):
            return gen
        if node.max_pods and gen.admitted is None:
            gen = admit(slot, gen, gen.pod, node, draft)
            if gen.admitted is None:
                return gen
        return sync(gen, draft)
    over = gen.stage is Stage.CLEANED or (gen.stage is Stage.FINISHED and not gen.alive)
    return gen if over else stop(gen, gen.ending, draft)


def waits_for(slot: Slot, gen: Generation, node: NodeFacts) -> Generation | None:
    """The older generation of the slot that has to be gone before this one may start."""
    before = takewhile(lambda other: other.uid != gen.uid, slot.generations)
    return next((g for g in before if g.alive or (g.sandbox is not None and _in_the_way(g, node))), None)


def _in_the_way(gen: Generation, node: NodeFacts) -> bool:
    """Whether its sandbox has to be gone too: it holds ports, or a container that may come up yet."""
    created = Behaviour.CREATED_HOLDS_BACK in node.behaviours
    return _holds_ports(gen) or (created and any(record.dead for record in gen.containers.values()))


def _holds_ports(gen: Generation) -> bool:
    if gen.pod is None:
        return True
    containers = (*gen.pod.spec.init_containers, *gen.pod.spec.containers)
    return any(port.host_port for container in containers for port in container.ports)


def _release(slot: Slot, draft: Draft) -> Slot:
    """Let the API objects of terminated pods go, their last status told: nothing is left on the node."""
    for gen in slot.generations:
        if gen.stage is Stage.CLEANED and gen.ending and gen.offered and not gen.released:
            command = DeleteApiPod(slot=gen.slot, reason=gen.ending.reason, uid=gen.uid)
            draft.decide(command, gen.ending.seq)
            slot = slot.put(replace(gen, released=True))
    return slot


def _publish(slot: Slot, node: NodeFacts, draft: Draft, before: Slot | None) -> Slot:
    """Tell statuses that changed.

    What has not changed is not looked at: a status depends on time only at the moments that wake the slot.
    """
    newest = slot.generations[-1].uid if slot.generations else None
    planned: tuple[Generation, ...] = ()
    if before is not None and before.generations and no_moment_came(before, slot, draft.now):
        planned = before.generations if before.generations[-1].uid == newest else ()
    for gen in slot.generations:
        visible = gen.offered or (gen.uid == newest and gen.source is Source.FILE)
        unchanged = gen.told and any(gen is one for one in planned)
        known_better = gen.over and not gen.containers
        if unchanged or not visible or gen.pod is None or known_better:
            continue
        status = project(gen, node, draft.now)
        for moment in changes_at(gen, draft.now.at, draft.behaviours):
            draft.wake_by(moment)
        if gen.told and status == gen.published:
            continue
        draft.decide(_status_told(gen, status, draft), gen.spec_seq)
        slot = slot.put(replace(gen, published=status, told=True))
    return slot


def _status_told(gen: Generation, status: PodStatus, draft: Draft) -> PublishStatus:
    static = gen.source is Source.FILE and Behaviour.STATUSES_NAME_THEIR_MIRROR in draft.behaviours
    return PublishStatus(
        slot=gen.slot,
        reason=Reason.STATUS_CHANGED,
        uid=gen.uid,
        status=status,
        mirror_hash=config_hash(gen) if static else "",
    )


def _mirror(slot: Slot, node: NodeFacts, draft: Draft, before: Slot | None) -> Slot:
    """Keep one mirror pod for the newest static pod; known only once the API server was listed."""
    if not node.has_api or Source.API not in node.synced:
        return slot
    wanted = _mirrored(slot)
    if slot.mirror is not None:
        orphaned = _orphaned(slot, node, before)
        return _existing_mirror(slot, slot.mirror, wanted, draft, orphaned=orphaned)
    if wanted is None:
        return slot
    if draft.now.at < slot.mirror_free_at <= draft.now.at + MIRROR_PAUSE:
        draft.wake_by(slot.mirror_free_at)
        return slot
    hashed = config_hash(wanted)
    asked = f"create:{hashed}"
    if slot.mirror_asked == asked:
        return slot
    command = CreateMirror(slot=slot.key, reason=Reason.MIRROR_MISSING, uid=wanted.uid, hash=hashed)
    draft.decide(command, wanted.spec_seq, slot.mirror_seq)
    return replace(slot, mirror_asked=asked)


def _existing_mirror(
    slot: Slot, mirror: Mirror, wanted: Generation | None, draft: Draft, *, orphaned: bool
) -> Slot:
    outdated = mirror.deleting or (wanted is not None and mirror.hash != config_hash(wanted))
    asked = f"delete:{mirror.uid}"
    if not (outdated or orphaned) or slot.mirror_asked == asked:
        return slot
    reason = Reason.MIRROR_OUTDATED if outdated else Reason.MIRROR_ORPHANED
    command = DeleteMirror(slot=slot.key, reason=reason, mirror_uid=mirror.uid)
    draft.decide(command, mirror.seq, wanted.spec_seq if wanted else 0)
    return replace(slot, mirror_asked=asked)


def _mirrored(slot: Slot) -> Generation | None:
    """The static pod that the mirror pod copies: the newest that is not on its way out."""
    for gen in reversed(slot.generations):
        leaving = gen.ending is not None and gen.ending.remove and gen.reborn is None
        if gen.source is Source.FILE and gen.pod is not None and not leaving:
            return gen
    return None


def _orphaned(slot: Slot, node: NodeFacts, before: Slot | None) -> bool:
    """Whether there is no static pod for the mirror, and no file is broken that may hold it.

    Of one that has just gone since its file went away, it is certain.
    """
    held = any(gen.source is Source.FILE and gen.stage is not Stage.CLEANED for gen in slot.generations)
    if held or not node.all_synced:
        return False
    return node.rejected == 0 or (
        Behaviour.MIRRORS_GO_WITH_THEIR_FILES in node.behaviours
        and before is not None
        and any(_given_up(gen) and slot.find(gen.uid) is None for gen in before.generations)
    )


def _given_up(gen: Generation) -> bool:
    """Whether a static pod ends because its file went away."""
    return gen.source is Source.FILE and gen.ending is not None and gen.ending.reason is Reason.POD_REMOVED


def config_hash(gen: Generation) -> str:
    """The `kubernetes.io/config.hash` of a static pod, empty if there is none."""
    return gen.pod.metadata.annotations.get(HASH_ANNOTATION, "") if gen.pod else ""


def _wake(slot: Slot, draft: Draft) -> Slot:
    if draft.wake == 0 or draft.now.at < slot.wake_at <= draft.wake:
        return slot
    draft.decide(WakeAt(slot=slot.key, reason=Reason.TIMER, at=draft.wake))
    return replace(slot, wake_at=draft.wake)
