"""Step: the one function that every event passes.

Belongs here: taking an event in and deciding what follows. May not be here: anything else; `apply`
knows what an event means and `plan` what follows from a state.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from minikubelet.core.apply import apply
from minikubelet.core.backoff import is_of_pull, retry_delay
from minikubelet.core.behaviours import Behaviour
from minikubelet.core.commands import Decision
from minikubelet.core.events import (
    AgentStarted,
    ContainerStartFailed,
    ManifestsJudged,
    NodeEvent,
    NodeMeasured,
    NodeSeen,
    NodeShutdownCancelled,
    NodeShuttingDown,
    PodObserved,
    PodSet,
    RuntimeListed,
    SlotEvent,
    SourceSynced,
)
from minikubelet.core.merge import comes_back
from minikubelet.core.nodefacts import NodeFacts
from minikubelet.core.plan import no_moment_came, plan
from minikubelet.core.pressure import measured
from minikubelet.core.shutdown import after_shutdown, end_for_shutdown, to_come_back
from minikubelet.core.state import Generation, Moment, Slot, Stage, record_of, with_record
from minikubelet.model.ids import PodUid, Source


def step(slot: Slot, event: SlotEvent, node: NodeFacts, now: Moment) -> tuple[Slot, list[Decision]]:
    """Take an event of a slot in and decide; the commands are in order."""
    if isinstance(event, PodObserved) and _of_before(slot, event, node):
        return slot, []
    after = apply(slot, event, now)
    if isinstance(event, PodSet) and _newly_held(slot, event):
        after = _ask_again(_since_the_clean_up(slot, after, event.uid, node), node)
    if isinstance(event, ContainerStartFailed) and Behaviour.UNSURE_UNTIL_SEEN in node.behaviours:
        after = _unsure_still(slot, after, event)
    if isinstance(event, ContainerStartFailed) and Behaviour.PULLS_COUNT_APART in node.behaviours:
        after = _counted_apart(slot, after, event, now)
    if _nothing_new(slot, after, now):
        return after, []
    return plan(after, node, now, before=slot)


def _newly_held(before: Slot, event: PodSet) -> bool:
    known = before.find(event.uid)
    return known is None or not known.offered


def _of_before(slot: Slot, event: PodObserved, node: NodeFacts) -> bool:
    """Whether a look at a pod of which nothing is known any more began before one was cleaned up."""
    return event.after < node.cleaned and slot.find(event.pod.uid) is None


def _since_the_clean_up(before: Slot, after: Slot, uid: PodUid, node: NodeFacts) -> Slot:
    """Let looks that began before the last pod was cleaned up show nothing of a new one, be it the same."""
    gen = after.find(uid)
    if gen is None or before.find(uid) is not None or gen.since >= node.cleaned:
        return after
    return after.put(replace(gen, since=node.cleaned))


def _ask_again(slot: Slot, node: NodeFacts) -> Slot:
    """Let a mirror that was asked for, and was not seen to come, be asked for once more."""
    again = slot.mirror is None and Behaviour.MIRRORS_ASKED_AGAIN in node.behaviours
    return replace(slot, mirror_asked="") if again else slot


def _unsure_still(before: Slot, after: Slot, event: ContainerStartFailed) -> Slot:
    """Keep in doubt what an earlier start may have done, though this one never reached the engine."""
    known = before.find(event.uid)
    if known is None or event.container_id or not record_of(known, event.container).unsure:
        return after
    gen = after.find(event.uid) or known
    return after.put(with_record(gen, replace(record_of(gen, event.container), unsure=True)))


def _counted_apart(before: Slot, after: Slot, event: ContainerStartFailed, now: Moment) -> Slot:
    """Begin to count anew where pulls fail after other calls did, or other calls after pulls."""
    known, gen = before.find(event.uid), after.find(event.uid)
    if known is None or gen is None or event.container_id:
        return after
    was, record = record_of(known, event.container), record_of(gen, event.container)
    if not was.tries or is_of_pull(was.waiting_reason) is is_of_pull(event.reason):
        return after
    return after.put(
        with_record(gen, replace(record, tries=1, retry_at=now.at + retry_delay(1, event.reason)))
    )


def _nothing_new(before: Slot, after: Slot, now: Moment) -> bool:
    """Whether the last plan still stands: nothing changed, and no moment that it waited for has come."""
    same = after.generations is before.generations and after.mirror is before.mirror
    return same and no_moment_came(before, after, now)


def step_node(node: NodeFacts, event: NodeEvent, now: Moment) -> NodeFacts:
    """Take an event of the node in; each slot then goes through `step_slot_for_node`."""
    match event:
        case AgentStarted():
            known = node if node.name == event.node else NodeFacts()
            return NodeFacts(
                name=event.node,
                boot=event.boot,
                sources=event.sources,
                has_api=event.has_api,
                runtime=event.runtime,
                node_ips=event.node_ips,
                max_pods=event.max_pods,
                allocatable_cpu=event.allocatable_cpu,
                allocatable_memory=event.allocatable_memory,
                allocatable_storage=event.allocatable_storage,
                labels=tuple(sorted({**dict(known.labels), **dict(event.labels)}.items())),
                taints=known.taints,
                huge_pages=event.huge_pages,
                sysctls=event.sysctls,
                lacks_apparmor=event.lacks_apparmor,
                crowded=node.crowded,
                used=node.used,
                behaviours=event.behaviours,
                eviction=event.eviction,
            )
        case NodeSeen():
            return replace(node, labels=event.labels, taints=event.taints)
        case SourceSynced():
            return replace(node, synced=tuple(dict.fromkeys((*node.synced, event.source))))
        case RuntimeListed():
            return replace(node, listed=True)
        case ManifestsJudged():
            return replace(node, rejected=len(event.rejected))
        case NodeShuttingDown():
            return replace(node, going_down=True)
        case NodeShutdownCancelled():
            return replace(node, going_down=False)
        case NodeMeasured():
            return replace(node, pressure=measured(node, event.signals, now.at))
        case _ as never:
            assert_never(never)


def step_slot_for_node(
    slot: Slot, event: NodeEvent, node: NodeFacts, now: Moment
) -> tuple[Slot, list[Decision]]:
    """What an event of the node means for one slot."""
    if isinstance(event, AgentStarted):
        return _new_life(slot), []
    match event:
        case SourceSynced():
            slot = _synced(slot, event, node, now)
        case NodeShuttingDown():
            slot = end_for_shutdown(slot, event.below, event.grace, now)
        case NodeShutdownCancelled():
            slot = after_shutdown(slot, now)
        case _:
            pass
    return plan(slot, node, now)


def _synced(slot: Slot, event: SourceSynced, node: NodeFacts, now: Moment) -> Slot:
    """What a source holds is offered again in this life."""
    if event.source is Source.API:
        slot = _ask_again(slot, node)
    for known in slot.generations:
        if known.uid in event.present and not known.offered:
            gen = to_come_back(known, now)
            reborn = now.seq if comes_back(gen) else None
            source = gen.source or event.source
            slot = slot.put(replace(gen, offered=True, unheld=False, source=source, reborn=reborn))
    return slot


def _new_life(slot: Slot) -> Slot:
    """Commands that were under way are not answered any more, and upstream has to be told again."""
    kept = tuple(_new_life_of(gen) for gen in slot.generations)
    return Slot(key=slot.key, generations=kept, counted=slot.counted)


def _new_life_of(gen: Generation) -> Generation:
    """In a new life everything is looked at before anything is decided, refused static pods once more.

    What a critical pod lacked may be there by now, and nobody may want it any more.
    """
    sure = {name: replace(r, unsure=False) if r.unsure else r for name, r in gen.containers.items()}
    if gen.refused is not None and gen.source is Source.FILE and not (gen.ending and gen.ending.remove):
        gen = replace(gen, refused=None, ending=None, stage=Stage.ACTIVE)
    return replace(
        gen,
        containers=sure,
        pending={},
        retries={},
        offered=False,
        unheld=False,
        told=False,
        released=False,
        reborn=None,
        lacking=(),
    )
