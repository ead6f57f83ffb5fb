"""What is wanted, as far as it has reached the agent: the judges' own book, kept from outside.

Belongs here: pods by uid, when each was wanted and by which definition, told by the folder's looks and the
API server's watch. May not be here: what the agent believes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Container as Held
from dataclasses import dataclass, field
from typing import Any, Final

from minikubelet.model.ids import PodUid, SlotKey, Source, slot_key
from minikubelet.model.pod import Container, Pod
from minikubelet.ports.apiport import ChangeType, JsonObject
from minikubelet.ports.clockport import Clock
from minikubelet.simulation.simengine import NODE
from minikubelet.simulation.simfolder import MANIFEST, cached_reader
from minikubelet.simulation.simpods import NAMESPACE
from minikubelet.wire.containerhash import container_hash
from minikubelet.wire.pod_codec import decode_pod
from minikubelet.wire.podmarks import CONFIG_MIRROR

NEVER: Final = -1
Fail = Callable[[str, str], None]
"""Told which promise was broken, and how."""


@dataclass(slots=True)
class Wanted:
    """One pod. Times are the engine's, µs; `unwanted_at` is when it was last told not to be wanted.

    `gone_since` is since when nobody can take it for wanted, NEVER if somebody can. `changed_at` is when
    each container's definition changed, `cleaned_at` when the agent had taken away what an earlier life of
    the pod had left.
    """

    uid: PodUid
    slot: SlotKey
    source: Source
    pod: Pod
    hashes: dict[str, str]
    first_at: int
    unwanted_at: int = NEVER
    gone_since: int = NEVER
    cleaned_at: int = NEVER
    grace: int = 30
    most_grace: int = 0
    deleting: bool = False
    changed_at: dict[str, list[int]] = field(default_factory=dict)
    spec: Any = None

    def policy(self, name: str) -> str:
        """The restart policy of a container: its own, or the pod's."""
        return self._container(name).restart_policy or self.pod.spec.restart_policy or "Always"

    def restarts(self, name: str, code: int) -> bool:
        """Whether a container that ended with this code is started again, by a rule or its policy."""
        for rule in self._container(name).restart_policy_rules:
            told = rule.exit_codes
            if told is not None and (code in told.values) is (told.operator == "In"):
                return True
        policy = self.policy(name)
        return policy == "Always" or (policy == "OnFailure" and code != 0)

    def may_end(self, name: str) -> bool:
        """Whether there is an end after which a container is left alone."""
        return not all(self.restarts(name, code) for code in (0, 1, 2, 137, 143))

    def _container(self, name: str) -> Container:
        spec = self.pod.spec
        return next(each for each in (*spec.init_containers, *spec.containers) if each.name == name)

    def changed(self, name: str, since: int) -> bool:
        """Whether a container's definition has changed since then."""
        return any(at >= since for at in self.changed_at.get(name, ()))

    def sidecars(self) -> list[str]:
        """The names of the init containers that run for as long as the pod does."""
        return [c.name for c in self.pod.spec.init_containers if c.restart_policy == "Always"]

    def once(self, name: str) -> bool:
        """Whether a container is an init container that is to end."""
        return any(c.name == name and c.restart_policy != "Always" for c in self.pod.spec.init_containers)


class Book:
    """All pods that ever were wanted."""

    def __init__(self, clock: Clock) -> None:
        self.pods: dict[PodUid, Wanted] = {}
        self._clock = clock
        self._good: dict[str, tuple[PodUid, ...]] = {}
        self._read: set[str] = set()
        """the files that this life of the agent has read well"""
        self._reader = cached_reader(NODE, NAMESPACE)

    def rivals(self, uid: PodUid) -> list[PodUid]:
        """The other pods of a source that ever had the name of this one."""
        own = self.pods.get(uid)
        return [
            each.uid
            for each in (self.pods.values() if own is not None else ())
            if own is not None and each.uid != uid and (each.slot, each.source) == (own.slot, own.source)
        ]

    def forget(self, *, known: Held[PodUid], known_gone: Held[PodUid]) -> None:
        """An agent begins that knows only of these: what the sources said else has to be said again."""
        self._read.clear()
        self._good = {name: tuple(uid for uid in uids if uid in known) for name, uids in self._good.items()}
        for wanted in self.pods.values():
            if wanted.uid not in known_gone:
                wanted.gone_since = NEVER

    def looked(self, found: Mapping[str, bytes | None] | None) -> None:
        """A look at the folder read these contents; None: not read, so what the file held before holds."""
        if found is None:
            return
        hidden = False
        good: dict[str, tuple[PodUid, ...]] = {}
        for name, content in found.items():
            if not name.endswith(MANIFEST):
                continue
            reading = self._reader(content, name) if content is not None else None
            if reading is None or reading.errors or not reading.pods:
                hidden = True
                good[name] = self._good.get(name, ())
                continue
            self._read.add(name)
            good[name] = tuple(self._want_static(each.pod) for each in reading.pods)
        self._good = good
        self._judge_static(hidden=hidden)

    def defined(self, name: str, content: bytes) -> tuple[PodUid, ...]:
        """The pods that a file defines, whether the agent has looked at it or not."""
        return tuple(PodUid(each.pod.metadata.uid) for each in self._reader(content, name).pods)

    def _want_static(self, pod: Pod) -> PodUid:
        uid = PodUid(pod.metadata.uid)
        if uid not in self.pods:
            self._want(uid, Source.FILE, pod)
        return uid

    def _judge_static(self, *, hidden: bool) -> None:
        now = self._clock.now()
        named = {uid for uids in self._good.values() for uid in uids}
        # Which pod a broken file held in an earlier life the agent cannot tell: any of those it knows.
        said = {uid for name in self._read for uid in self._good.get(name, ())}
        slots: dict[SlotKey, set[PodUid]] = {}
        for uid in named:
            slots.setdefault(self.pods[uid].slot, set()).add(uid)
        for wanted in self.pods.values():
            if wanted.source is not Source.FILE:
                continue
            rivals = slots.get(wanted.slot, set()) - {wanted.uid}
            if wanted.uid not in named or rivals:
                wanted.unwanted_at = now
            sure = wanted.uid not in named and not (hidden and not rivals & said)
            self._gone(wanted, gone=sure)

    def shown(self, kind: ChangeType | None, objects: tuple[JsonObject, ...]) -> None:
        """The API server's list (kind None) or a change reached the agent."""
        present = set()
        for found in objects:
            if CONFIG_MIRROR in (found["metadata"].get("annotations") or {}):
                continue
            uid = PodUid(found["metadata"]["uid"])
            if kind is ChangeType.DELETED:
                self._unwant(uid)
            else:
                present.add(uid)
                self._want_api(uid, found)
        if kind is None:
            for wanted in self.pods.values():
                if wanted.source is Source.API and wanted.uid not in present:
                    self._unwant(wanted.uid)

    def _want_api(self, uid: PodUid, found: JsonObject) -> None:
        known = self.pods.get(uid)
        if known is None or known.spec != found["spec"]:
            pod = decode_pod(found).pod
            known = self._want(uid, Source.API, pod)
            known.spec = found["spec"]
        meta = found["metadata"]
        if meta.get("deletionTimestamp"):
            known.deleting = True
            known.grace = min(known.grace, meta["deletionGracePeriodSeconds"])
            known.most_grace = max(known.most_grace, meta["deletionGracePeriodSeconds"])
            self._unwant(uid)
        else:
            self._gone(known, gone=False)

    def _want(self, uid: PodUid, source: Source, pod: Pod) -> Wanted:
        now = self._clock.now()
        hashes = {c.name: container_hash(c) for c in (*pod.spec.init_containers, *pod.spec.containers)}
        known = self.pods.get(uid)
        if known is None:
            slot = slot_key(pod.metadata.namespace, pod.metadata.name)
            known = self.pods[uid] = Wanted(uid, slot, source, pod, hashes, now)
        for name, made_from in hashes.items():
            if known.hashes.get(name) != made_from:
                known.changed_at.setdefault(name, []).append(now)
        known.pod, known.hashes = pod, hashes
        grace = pod.spec.termination_grace_period_seconds
        known.grace = 30 if grace is None else grace
        known.most_grace = max(known.most_grace, known.grace)
        return known

    def _unwant(self, uid: PodUid) -> None:
        known = self.pods.get(uid)
        if known is not None:
            known.unwanted_at = self._clock.now()
            self._gone(known, gone=True)

    def _gone(self, known: Wanted, *, gone: bool) -> None:
        if not gone:
            known.gone_since = NEVER
        elif known.gone_since == NEVER:
            known.gone_since = self._clock.now()
