"""Intake: what sources hand over becomes events, redacted.

Belongs here: keeping the full pod in the vault, redacting, hashing containers. May not be here: any
judgement of a pod.
"""

from __future__ import annotations

from typing import assert_never

from minikubelet.core.events import (
    AnyEvent,
    ManifestsJudged,
    MirrorGone,
    MirrorSeen,
    PodSet,
    PodWithdrawn,
    SourceSynced,
)
from minikubelet.model.ids import slot_key
from minikubelet.ports.outboxport import Outbox
from minikubelet.ports.sourceport import (
    FileVerdict,
    MirrorOffered,
    MirrorRetracted,
    PodOffered,
    PodRetracted,
    SourceFact,
    SourceListed,
    VerdictsChanged,
)
from minikubelet.shell.inbox import Inbox
from minikubelet.shell.vault import Vault
from minikubelet.wire.containerhash import container_hash
from minikubelet.wire.redaction import redact_pod


class Intake:
    """The sink of all sources."""

    def __init__(self, vault: Vault, inbox: Inbox, outbox: Outbox) -> None:
        self._vault = vault
        self._inbox = inbox
        self._outbox = outbox
        self.verdicts: tuple[FileVerdict, ...] = ()

    async def put(self, fact: SourceFact) -> None:
        """Take one fact, and wait while the inbox is full."""
        if isinstance(fact, PodRetracted) or (isinstance(fact, PodOffered) and fact.deletion_at is not None):
            # One that is being deleted needs its definition no more: kept anew, it would outlive its pod.
            self._vault.retract(fact.uid)
        elif isinstance(fact, PodOffered):
            await self._vault.store(fact.pod)
        elif isinstance(fact, VerdictsChanged):
            self.verdicts = fact.verdicts
        elif isinstance(fact, MirrorOffered):
            slot = slot_key(fact.namespace, fact.name)
            self._outbox.mirror_seen(slot, fact.uid, fact.hash, deleting=fact.deleting)
        elif isinstance(fact, MirrorRetracted):
            self._outbox.mirror_gone(slot_key(fact.namespace, fact.name), fact.uid)
        await self._inbox.offer(to_event(fact))


def to_event(fact: SourceFact) -> AnyEvent:
    """A source's fact as the event that the journal keeps."""
    match fact:
        case PodOffered():
            return _pod_set(fact)
        case PodRetracted():
            slot = slot_key(fact.namespace, fact.name)
            return PodWithdrawn(source=fact.source, slot=slot, uid=fact.uid, origin=fact.origin)
        case SourceListed():
            return SourceSynced(source=fact.source, present=fact.present)
        case MirrorOffered():
            slot = slot_key(fact.namespace, fact.name)
            return MirrorSeen(slot=slot, uid=fact.uid, hash=fact.hash, deleting=fact.deleting)
        case MirrorRetracted():
            return MirrorGone(slot=slot_key(fact.namespace, fact.name), uid=fact.uid)
        case VerdictsChanged():
            hidden = tuple((v.file, "; ".join(v.messages)) for v in fact.verdicts if v.hides_pods)
            return ManifestsJudged(rejected=hidden, accepted=len(fact.verdicts) - len(hidden))
        case _ as never:
            assert_never(never)


def _pod_set(fact: PodOffered) -> PodSet:
    spec = fact.pod.spec
    hashes = tuple((c.name, container_hash(c)) for c in (*spec.init_containers, *spec.containers))
    return PodSet(
        source=fact.source,
        slot=fact.slot,
        uid=fact.uid,
        pod=redact_pod(fact.pod),
        hashes=hashes,
        origin=fact.origin,
        deletion_at=fact.deletion_at,
        deletion_grace=fact.deletion_grace,
        finished=fact.finished,
        gates=fact.gates,
    )
