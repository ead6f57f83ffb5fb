"""The scene of a question: a slot at a moment, and the words that its guards share.

Belongs here: what `whyguards` and `whydeletion` both say. May not be here: guards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from minikubelet.core.commands import CLEANUP_LANE
from minikubelet.core.nodefacts import NodeFacts
from minikubelet.core.state import Generation, Slot
from minikubelet.model.ids import Source
from minikubelet.replay.replaymoments import span

FROM = {Source.FILE: "the manifest folder", Source.API: "the API server", None: "no known source"}


class Scene(NamedTuple):
    """A slot at a moment, with what holds for the node; `rejected` are the broken manifests' names.

    `probed` is what the last probe that failed said, by the container's id and the kind of probe.
    """

    slot: Slot
    node: NodeFacts
    now: int
    rejected: tuple[str, ...] = ()
    probed: Mapping[tuple[str, str], str] = {}


def unlisted(node: NodeFacts) -> list[str]:
    """The sources, as a person calls them, of which it is not known yet what they hold."""
    return [FROM[source] for source in node.sources if source not in node.synced]


def what_is_left(gen: Generation, scene: Scene) -> str:
    """What of an ending pod is still there, as the end of a sentence."""
    parts = []
    for record in gen.containers.values():
        pending = gen.pending.get(record.name)
        if record.running and pending is not None and pending.until:
            left = pending.until - scene.now
            grace = f"its grace period ends in {span(left)}" if left > 0 else "its grace period is over"
            parts.append(f"container {record.name} is being stopped since seq {pending.seq}, {grace}")
        elif record.running:
            parts.append(f"container {record.name} still runs")
        elif pending is not None:
            parts.append(f"{pending.command} of {record.name} is under way since seq {pending.seq}")
    if gen.sandbox is not None or gen.strays:
        parts.append("its sandbox is not removed yet")
    if CLEANUP_LANE in gen.pending:
        parts.append(f"CleanUpPod is under way since seq {gen.pending[CLEANUP_LANE].seq}")
    return f": {', '.join(parts)}" if parts else ""


def times(tries: int) -> str:
    """How often, as people say it."""
    return "once" if tries == 1 else f"{tries} times"


def next_try(until: int, now: int) -> str:
    """When it is tried again, as the end of a sentence."""
    return f"; tried again in {span(until - now)}" if until > now else ""
