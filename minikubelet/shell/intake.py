"""Intake: what sources hand over becomes events, redacted.

Belongs here: keeping the full pod in the vault, redacting, hashing containers. May not be here: any
judgement of a pod.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    FileStatus,
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
        self._judged = False

    async def put(self, *facts: SourceFact) -> None:
        """Take facts in: definitions are kept together first; waits while the inbox is full."""
        wanted = [fact.pod for fact in facts if isinstance(fact, PodOffered) and _is_wanted(fact)]
        await self._vault.store(*wanted)
        for fact in facts:
            if self._take(fact):
                await self._inbox.offer(to_event(fact))

    def _take(self, fact: SourceFact) -> bool:
        """Note what others ask for; whether the loop has to know."""
        match fact:
            case PodRetracted():
                self._vault.retract(fact.uid)
            case PodOffered() if not _is_wanted(fact):
                # One being deleted needs its definition no more: kept anew, it would outlive its pod.
                self._vault.retract(fact.uid)
            case VerdictsChanged():
                before, self.verdicts = self.verdicts, fact.verdicts
                judged, self._judged = self._judged, True
                # How many are sound changes with every new file, and nothing is decided from it.
                old, new = _told(before), _told(fact.verdicts)
                return not judged or _says(old) != _says(new)
            case MirrorOffered():
                slot = slot_key(fact.namespace, fact.name)
                self._outbox.mirror_seen(slot, fact.uid, fact.hash, deleting=fact.deleting)
            case MirrorRetracted():
                self._outbox.mirror_gone(slot_key(fact.namespace, fact.name), fact.uid)
            case _:
                pass
        return True


def _is_wanted(fact: PodOffered) -> bool:
    return fact.deletion_at is None


def _told(verdicts: tuple[FileVerdict, ...]) -> ManifestsJudged:
    """The files that may hide pods, those of other kinds, and shadowed ones, with what is wrong with each."""
    hidden = _named(v for v in verdicts if v.hides_pods)
    foreign = _named(v for v in verdicts if v.foreign and v.status is FileStatus.REJECTED)
    shadowed = _named(v for v in verdicts if v.status is FileStatus.SHADOWED)
    accepted = len(verdicts) - len(hidden) - len(foreign) - len(shadowed)
    return ManifestsJudged(rejected=hidden, accepted=accepted, foreign=foreign, shadowed=shadowed)


def _named(verdicts: Iterable[FileVerdict]) -> tuple[tuple[str, str], ...]:
    return tuple([(verdict.file, "; ".join(verdict.messages)) for verdict in verdicts])


def _says(event: ManifestsJudged) -> tuple[tuple[tuple[str, str], ...], ...]:
    return event.rejected, event.foreign, event.shadowed


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
            return _told(fact.verdicts)
        case _ as never:
            assert_never(never)


def _pod_set(fact: PodOffered) -> PodSet:
    spec = fact.pod.spec
    hashes = tuple((c.name, container_hash(c)) for c in spec.every_container)
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
