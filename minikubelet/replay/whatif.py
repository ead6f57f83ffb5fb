"""What if: the events of a history with some of them changed, and what would have been decided then.

Belongs here: changing and re-running. May not be here: showing. The world does not answer anew: events that
follow stay as recorded, and what the core makes of answers to commands it never gave is part of the result.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

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
from minikubelet.model.ids import PodUid, SlotKey, Source, slot_key
from minikubelet.model.pod import Pod, api_name
from minikubelet.ports.journalport import Record
from minikubelet.replay.podnaming import choose
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.replay.replayhistory import Step, brief_of
from minikubelet.replay.settingpaths import Given, assignment, with_assignment, with_value
from minikubelet.wire.containerhash import container_hash
from minikubelet.wire.manifest import read_manifest
from minikubelet.wire.records import decode_event
from minikubelet.wire.redaction import redact_pod

_NO_SETTINGS = ("v", "node", "boot", "sources", "static_namespace")
_SETTINGS = {"staticPodNamespace": "static_namespace"} | {
    api_name(field): field for field in AgentStarted.__struct_fields__ if field not in _NO_SETTINGS
}
"""settings that decisions depend on, and where events carry them"""
_ROOM = 1 << 20
"""for so many delayed events behind one"""
_LOOKED_AT = ("AgentStarted", "PodSet")


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


class _Defined(msgspec.Struct, frozen=True):
    """A pod as a manifest defines it."""

    pod: Pod
    file: str

    @property
    def slot(self) -> SlotKey:
        return slot_key(self.pod.metadata.namespace, self.pod.metadata.name)

    @property
    def hashes(self) -> tuple[tuple[str, str], ...]:
        return tuple([(c.name, container_hash(c)) for c in self.pod.spec.every_container])

    def event(self) -> PodSet:
        """That the pod is new."""
        return PodSet(
            source=Source.FILE,
            slot=self.slot,
            uid=PodUid(self.pod.metadata.uid),
            pod=redact_pod(self.pod),
            hashes=self.hashes,
            origin=f"{self.file}#0",
        )


class Changes(msgspec.Struct):
    """What is changed about a history: events by seq, settings, and the pods of manifests with their file."""

    dropped: set[int] = msgspec.field(default_factory=set)
    delayed: dict[int, tuple[int, str]] = msgspec.field(default_factory=dict)
    """by so many µs, and as it was spelt; an event comes behind all that came in the meantime"""
    values: dict[int, list[str]] = msgspec.field(default_factory=dict)
    settings: list[str] = msgspec.field(default_factory=list)
    manifests: list[tuple[str, bytes]] = msgspec.field(default_factory=list)


class Scenario:
    """A history with changes, re-run as it is read; raises ReplayError for a change that cannot be made."""

    def __init__(self, state: State, steps: Iterable[Step], changes: Changes, node: str) -> None:
        self._steps = steps
        self._changes = changes
        self._settings = [_setting(text) for text in changes.settings]
        self._state = _with_settings(state, self._settings)
        self._look(node)

    def _look(self, node: str) -> None:
        """Look through the history: whether the changes fit, and which pods the manifests define anew."""
        left = {*self._changes.dropped, *self._changes.delayed, *self._changes.values}
        namespace = ""
        uids: dict[SlotKey, dict[PodUid, int]] = {}
        first = last = 0
        for step in self._steps:
            seq, kind = step.event.seq, brief_of(step.event.body).kind
            first, last = first or seq, seq
            for record in step.commands if left else ():
                if record.seq in left:
                    raise ReplayError(
                        f"{record.seq} is a decision of event {seq}; only events can be changed"
                    )
            if kind in _LOOKED_AT or seq in left:
                event = decode_event(step.event.body)
                if not self._changes.manifests:
                    self._changed(event, seq)
                if isinstance(event, AgentStarted):
                    namespace = namespace or event.static_namespace
                elif isinstance(event, PodSet):
                    uids.setdefault(event.slot, {})[event.uid] = seq
            left.discard(seq)
        if left:
            reach = f"from {first} to {last}" if last else "over nothing"
            raise ReplayError(
                f"there is no event {min(left)}; the history that can be re-run reaches {reach}"
            )
        given = self._changes.manifests
        pods = [pod for each in given for pod in _pods(*each, node, namespace or "kube-system")]
        self._defined = {(pod.slot, list(uids[pod.slot])[-1]): pod for pod in pods if pod.slot in uids}
        older = ((pod, seq) for pod in pods for seq in list(uids.get(pod.slot, {}).values())[:-1])
        self.kept = [
            f"{pod.file} is taken for the newest {pod.slot}: that of seq {n} stays" for pod, n in older
        ]
        self._added = [pod for pod in pods if pod.slot not in uids]

    def run(self) -> Iterator[Outcome]:
        """Take the events in; causes are given by the seqs that were recorded."""
        reducer = Reducer(self._state)
        delayed: dict[int, int] = {}
        for one in self._in_order():
            if one.seq != self._inner(one.shown_seq):
                delayed[one.seq] = one.shown_seq
            event = one.event
            if isinstance(event, PodObserved):
                event = replace(event, after=self._inner(event.after))
            decided = reducer.decide(one.seq, one.at, event) if event is not None else []
            kept = tuple(
                replace(d, causes=tuple(sorted(delayed.get(seq) or self._shown(seq) for seq in d.causes)))
                for d in decided
            )
            yield Outcome(one, kept)

    def _inner(self, seq: int) -> int:
        """The seq that an event is decided with: between two there is room for those that come late."""
        begun = self._state.seq
        return seq if seq <= begun else begun + (seq - begun) * _ROOM

    def _shown(self, inner: int) -> int:
        begun = self._state.seq
        return inner if inner <= begun else begun + (inner - begun) // _ROOM

    def _in_order(self) -> Iterator[Told]:
        """What is told, a delayed event where it comes now."""
        waiting: list[Told] = []
        before = self._state.seq
        for one in chain(self._told(), (None,)):
            while waiting and (one is None or one.at > waiting[0].at):
                before += 1
                yield replace(waiting.pop(0), seq=before)
            if one is None:
                return
            if one.shown_seq in self._changes.delayed:
                by, spelt = self._changes.delayed[one.shown_seq]
                note = one.note if one.event is None else f"delayed by {spelt}"
                insort(waiting, replace(one, at=one.at + by, note=note), key=lambda each: each.at)
            else:
                before = self._inner(one.seq)
                yield replace(one, seq=before)

    def _told(self) -> Iterator[Told]:
        """The events in the order in which they were recorded, changed, and then those that are added."""
        made_from: dict[PodUid, dict[tuple[str, str], str]] = {}
        last, at = self._state.seq, 0
        for step in self._steps:
            seq, at = step.event.seq, step.event.at
            last = step.commands[-1].seq if step.commands else seq
            event, note = decode_event(step.event.body), ""
            if isinstance(event, PodSet) and (pod := self._defined.get((event.slot, event.uid))) is not None:
                event, note = _defined_by(event, pod, made_from), f"defined by {pod.file}"
            else:
                event = _made_from(event, made_from)
            before = event
            event, told = self._changed(event, seq)
            if isinstance(before, PodSet) and isinstance(event, PodSet):
                _learn(made_from, event.uid, before.hashes, event.hashes)
            dropped = seq in self._changes.dropped
            note = "dropped" if dropped else told or note
            yield Told(seq, at, None if dropped else event, tuple(step.commands), note, seq)
        for pod in self._added:
            last, at = last + 1, at + 1
            yield Told(last, at, pod.event(), (), f"added from {pod.file}", last)

    def _changed(self, event: AnyEvent, seq: int) -> tuple[AnyEvent, str]:
        """With its settings and values, and what is to be said of it."""
        note = ""
        if isinstance(event, AgentStarted):
            for field, value, text in self._settings:
                event, note = with_value(event, [field], value, AgentStarted), f"with {text}"
        for text in self._changes.values.get(seq, ()):
            changed = with_assignment(event, text)
            event = _rehashed(event, changed) if isinstance(changed, PodSet) else changed
            note = f"with {text}"
        return event, note


def _setting(text: str) -> tuple[str, Given, str]:
    """The field of a setting, its value, and how both were spelt."""
    path, value = assignment(text, "NAME=VALUE, such as maxPods=10")
    name = ".".join(path)
    return _SETTINGS[choose(name, _SETTINGS, "setting")], value, text


def _with_settings(state: State, settings: Sequence[tuple[str, Given, str]]) -> State:
    node = state.node
    for field, value, _ in settings:
        if field in NodeFacts.__struct_fields__:
            node = with_value(node, [field], value, NodeFacts)
    return replace(state, node=node)


def _pods(file: str, data: bytes, node: str, namespace: str) -> Iterator[_Defined]:
    reading = read_manifest(data, name=file, node_name=node, namespace=namespace)
    if not reading.ok:
        wrong = [text for verdict in reading.verdicts for text in verdict.messages]
        raise ReplayError("\n".join(f"{file}: {text}" for text in wrong))
    for static in reading.pods:
        yield _Defined(static.pod, file)


def _defined_by(event: PodSet, pod: _Defined, made_from: dict[PodUid, dict[tuple[str, str], str]]) -> PodSet:
    """The pod as another manifest defines it; `made_from` learns which hashes its containers have now."""
    _learn(made_from, event.uid, event.hashes, pod.hashes)
    kept = redact_pod(replace(pod.pod, metadata=event.pod.metadata))
    return replace(event, pod=kept, hashes=pod.hashes, origin=f"{pod.file}#0")


def _learn(
    made_from: dict[PodUid, dict[tuple[str, str], str]],
    uid: PodUid,
    before: Sequence[tuple[str, str]],
    after: Sequence[tuple[str, str]],
) -> None:
    """Containers that were made from these hashes are as if made from those: the pod was so all along."""
    now = dict(after)
    changed = {(name, old): now[name] for name, old in before if now.get(name, old) != old}
    if changed:
        made_from.setdefault(uid, {}).update(changed)


def _made_from(event: AnyEvent, made_from: Mapping[PodUid, Mapping[tuple[str, str], str]]) -> AnyEvent:
    """Containers as if they had been made from another definition: hashes by uid and (name, hash)."""
    match event:
        case ContainerStarted() | ContainerStartFailed() if event.uid in made_from:
            hashes = made_from[event.uid]
            return replace(event, hash=hashes.get((event.container, event.hash), event.hash))
        case PodObserved() if event.pod.uid in made_from:
            hashes = made_from[event.pod.uid]
            seen = tuple(replace(c, hash=hashes.get((c.name, c.hash), c.hash)) for c in event.pod.containers)
            return replace(event, pod=replace(event.pod, containers=seen))
        case _:
            return event


def _rehashed(before: AnyEvent | None, after: PodSet) -> PodSet:
    """Containers whose definition was changed get the hash of the changed one."""
    if not isinstance(before, PodSet) or before.pod == after.pod or before.hashes != after.hashes:
        return after
    known = dict(before.hashes)
    old = {c.name: c for c in before.pod.spec.every_container}
    hashes = tuple(
        (c.name, known.get(c.name, "") if old.get(c.name) == c else container_hash(c))
        for c in after.pod.spec.every_container
    )
    return replace(after, hashes=hashes)
