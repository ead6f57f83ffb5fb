"""What if: the events of a history with some of them changed, and what would have been decided then.

Belongs here: changing and re-running. May not be here: showing. The world does not answer anew: events that
follow stay as recorded, and what the core makes of answers to commands it never gave is part of the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from minikubelet.core.commands import Decision
from minikubelet.core.events import (
    AgentStarted,
    AnyEvent,
    ContainerStarted,
    ContainerStartFailed,
    PodObserved,
    PodSet,
)
from minikubelet.core.nodefacts import NodeFacts
from minikubelet.core.reducer import Reducer
from minikubelet.core.reducer import Snapshot as State
from minikubelet.model.ids import PodUid, Source, slot_key
from minikubelet.model.pod import Pod, api_name
from minikubelet.ports.journalport import Record
from minikubelet.replay.podnaming import choose
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.replay.replayhistory import Step
from minikubelet.replay.settingpaths import assignment, with_value
from minikubelet.wire.containerhash import container_hash
from minikubelet.wire.manifest import read_manifest
from minikubelet.wire.records import decode_event
from minikubelet.wire.redaction import redact_pod

_NO_SETTINGS = ("v", "node", "boot", "sources", "static_namespace")
_SETTINGS = {"staticPodNamespace": "static_namespace"} | {
    api_name(field): field for field in AgentStarted.__struct_fields__ if field not in _NO_SETTINGS
}
"""settings that decisions depend on, and where events carry them"""


class Told(msgspec.Struct, frozen=True):
    """An event to be taken in, and what was recorded of it; `note` says what was changed about it."""

    seq: int
    at: int
    event: AnyEvent | None
    recorded: tuple[Record, ...] = ()
    note: str = ""
    shown_seq: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """What was recorded and what is decided now, of one event."""

    told: Told
    decisions: tuple[Decision, ...]


class Scenario:
    """The events of a history, to be changed and then run."""

    def __init__(self, state: State, steps: Sequence[Step]) -> None:
        self._state = state
        self.told = [
            Told(s.event.seq, s.event.at, decode_event(s.event.body), tuple(s.commands), "", s.event.seq)
            for s in steps
        ]

    def drop(self, seq: int) -> None:
        """Leave an event out."""
        index = self._index(seq)
        self.told[index] = replace(self.told[index], event=None, note="dropped")

    def delay(self, seq: int, by: int, spelt: str) -> None:
        """Let an event come later by so many µs, behind all that came in the meantime."""
        index = self._index(seq)
        moved = self.told.pop(index)
        at = moved.at + by
        place = next((n for n, one in enumerate(self.told) if n >= index and one.at > at), len(self.told))
        before = self.told[place - 1].seq if place else moved.seq
        after = self.told[place].seq if place < len(self.told) else before + 2
        moved = replace(moved, seq=max(before, after - 1), at=at, note=f"delayed by {spelt}")
        self.told.insert(place, moved)

    def set(self, seq: int, text: str) -> None:
        """Change a field of an event: `path=value`."""
        index = self._index(seq)
        path, value = assignment(text)
        event = with_value(self.told[index].event, path, value, type(self.told[index].event))
        if isinstance(event, PodSet):
            event = _rehashed(self.told[index].event, event)
        self.told[index] = replace(self.told[index], event=event, note=f"with {text}")

    def manifest(self, data: bytes, name: str, node: str) -> None:
        """Let the pods of a manifest have been defined by it all along; a new one comes at the end."""
        namespace = next(
            (t.event.static_namespace for t in self.told if isinstance(t.event, AgentStarted)), "kube-system"
        )
        reading = read_manifest(data, name=name, node_name=node, namespace=namespace)
        if not reading.ok:
            wrong = [text for verdict in reading.verdicts for text in verdict.messages]
            raise ReplayError("\n".join(f"{name}: {text}" for text in wrong))
        for static in reading.pods:
            self._define(static.pod, name)

    def setting(self, text: str) -> None:
        """Change a setting in every life of the agent: `name=value`."""
        path, value = assignment(text, "NAME=VALUE, such as maxPods=10")
        field = _SETTINGS[choose(path[0], _SETTINGS, "setting")]
        lives = [n for n, one in enumerate(self.told) if isinstance(one.event, AgentStarted)]
        for index in lives:
            event = with_value(self.told[index].event, [field], value, AgentStarted)
            self.told[index] = replace(self.told[index], event=event, note=f"with {text}")
        if field in NodeFacts.__struct_fields__:
            node = with_value(self._state.node, [field], value, NodeFacts)
            self._state = replace(self._state, node=node)

    def run(self) -> list[Outcome]:
        """Take the events in; causes are given by the seqs that were recorded."""
        reducer = Reducer(self._state)
        shown = {one.seq: one.shown_seq for one in self.told if one.seq != one.shown_seq}
        outcomes = []
        for one in self.told:
            decided = reducer.decide(one.seq, one.at, one.event) if one.event is not None else []
            kept = tuple(
                replace(d, causes=tuple(sorted(shown.get(seq, seq) for seq in d.causes))) for d in decided
            )
            outcomes.append(Outcome(one, kept))
        return outcomes

    def _index(self, seq: int) -> int:
        for index, one in enumerate(self.told):
            if one.shown_seq == seq:
                return index
            if seq in [record.seq for record in one.recorded]:
                raise ReplayError(f"{seq} is a decision of event {one.shown_seq}; only events can be changed")
        reach = f"{self.told[0].shown_seq} to {self.told[-1].shown_seq}" if self.told else "nothing"
        raise ReplayError(f"there is no event {seq}; the history that can be re-run reaches from {reach}")

    def _define(self, pod: Pod, name: str) -> None:
        slot = slot_key(pod.metadata.namespace, pod.metadata.name)
        mine = [t.event.uid for t in self.told if isinstance(t.event, PodSet) and t.event.slot == slot]
        hashes = _hashes(pod)
        if not mine:
            last = self.told[-1]
            event = PodSet(
                source=Source.FILE, slot=slot, uid=PodUid(pod.metadata.uid), pod=redact_pod(pod),
                hashes=hashes, origin=f"{name}#0",
            )  # fmt: skip
            seq = max([last.seq, *(record.seq for record in last.recorded)]) + 1
            self.told.append(Told(seq, last.at + 1, event, (), f"added from {name}", seq))
            return
        made_from: dict[tuple[str, str], str] = {}
        for index, one in enumerate(self.told):
            held = one.event
            if isinstance(held, PodSet) and held.slot == slot and held.uid == mine[-1]:
                kept = redact_pod(replace(pod, metadata=held.pod.metadata))
                changed = replace(held, pod=kept, hashes=hashes, origin=f"{name}#0")
                self.told[index] = replace(one, event=changed, note=f"defined by {name}")
                made_from |= {(n, old): dict(hashes)[n] for n, old in held.hashes if n in dict(hashes)}
            elif held is not None:
                self.told[index] = replace(one, event=_made_from(held, mine[-1], made_from))


def _made_from(event: AnyEvent, uid: PodUid, hashes: Mapping[tuple[str, str], str]) -> AnyEvent:
    """Containers of the pod as if they had been made from another definition: hashes by (name, hash)."""
    match event:
        case ContainerStarted() | ContainerStartFailed() if event.uid == uid:
            return replace(event, hash=hashes.get((event.container, event.hash), event.hash))
        case PodObserved() if event.pod.uid == uid:
            seen = tuple(replace(c, hash=hashes.get((c.name, c.hash), c.hash)) for c in event.pod.containers)
            return replace(event, pod=replace(event.pod, containers=seen))
        case _:
            return event


def _hashes(pod: Pod) -> tuple[tuple[str, str], ...]:
    return tuple((c.name, container_hash(c)) for c in pod.spec.every_container)


def _rehashed(before: AnyEvent | None, after: PodSet) -> PodSet:
    """Containers whose definition was changed get the hash of the changed one."""
    if not isinstance(before, PodSet) or before.pod == after.pod or before.hashes != after.hashes:
        return after
    known = dict(before.hashes)
    old = {c.name: c for c in (*before.pod.spec.init_containers, *before.pod.spec.containers)}
    containers = (*after.pod.spec.init_containers, *after.pod.spec.containers)
    hashes = tuple(
        (c.name, known.get(c.name, "") if old.get(c.name) == c else container_hash(c)) for c in containers
    )
    return replace(after, hashes=hashes)
