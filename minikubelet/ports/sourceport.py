"""The source port: what the places that define pods tell the agent, with pods in full.

Belongs here: the facts that sources hand over, the verdict over a manifest file, and the two Protocols.
May not be here: reading files or calling an API server. Whoever takes the facts redacts the pods before
anything is written down: only here do they still hold their secrets.
"""

from __future__ import annotations

from collections.abc import Awaitable
from enum import StrEnum
from typing import Protocol, TypeAlias

import msgspec

from minikubelet.model.ids import PodUid, SlotKey, Source, slot_key
from minikubelet.model.pod import Pod


class FileStatus(StrEnum):
    """What became of a manifest file, in the words that a person is shown."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SHADOWED = "shadowed"
    IGNORED = "ignored"
    UNREADABLE = "unreadable"


class FileVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict over one manifest file.

    `pods` are the slots that the file defines and `kept` those among them that go on with their last good
    definition, since the file itself is broken. `messages` say what is wrong, each with line and field path.
    `foreign`: all that was rejected are objects of other kinds, such as a Deployment.
    """

    file: str
    status: FileStatus
    hash: str = ""
    pods: tuple[SlotKey, ...] = ()
    messages: tuple[str, ...] = ()
    kept: tuple[SlotKey, ...] = ()
    foreign: bool = False

    @property
    def hides_pods(self) -> bool:
        """Whether it may define pods that cannot be known now, so that no unknown pod may be ended."""
        return self.status in {FileStatus.REJECTED, FileStatus.UNREADABLE} and not self.foreign


class PodOffered(msgspec.Struct, frozen=True, kw_only=True):
    """A source holds this pod: new, changed or seen again; `pod` is in full.

    `origin` is `web.yaml#0 sha256:…` or the object's resourceVersion. `deletion_at` is in microseconds since
    the epoch, `deletion_grace` in seconds; both are set only for a pod that is being deleted at the API.
    `finished`: the API server says that it has come to its end, so it is not to be started again. `gates` are
    (type, status) of the conditions that its readiness gates name, as far as the API server has them.
    """

    source: Source
    pod: Pod
    origin: str
    deletion_at: int | None = None
    deletion_grace: int | None = None
    finished: bool = False
    gates: tuple[tuple[str, str], ...] = ()

    @property
    def uid(self) -> PodUid:
        """The pod's identity."""
        return PodUid(self.pod.metadata.uid)

    @property
    def slot(self) -> SlotKey:
        """The pod's place."""
        return slot_key(self.pod.metadata.namespace, self.pod.metadata.name)


class PodRetracted(msgspec.Struct, frozen=True, kw_only=True):
    """A source no longer holds this pod."""

    source: Source
    namespace: str
    name: str
    uid: PodUid
    origin: str = ""


class SourceListed(msgspec.Struct, frozen=True, kw_only=True):
    """A source has given a full list; `present` are the uids it holds, offered or not.

    The first says that the source was seen; each that follows, that changes in between may not have been.
    """

    source: Source
    present: tuple[PodUid, ...] = ()


class MirrorOffered(msgspec.Struct, frozen=True, kw_only=True):
    """The API server holds a mirror pod; `hash` is its annotation `kubernetes.io/config.mirror`."""

    namespace: str
    name: str
    uid: PodUid
    hash: str
    deleting: bool = False


class MirrorRetracted(msgspec.Struct, frozen=True, kw_only=True):
    """The API server no longer holds that mirror pod."""

    namespace: str
    name: str
    uid: PodUid


class VerdictsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """All verdicts over the manifest folder, in order of file names."""

    verdicts: tuple[FileVerdict, ...]


SourceFact: TypeAlias = (
    PodOffered | PodRetracted | SourceListed | MirrorOffered | MirrorRetracted | VerdictsChanged
)


class Sink(Protocol):
    """Where a source puts what it learns, in order."""

    def put(self, *facts: SourceFact) -> Awaitable[None] | None:
        """Take facts learnt together; an answer that can be awaited makes the source wait."""


class PodSource(Protocol):
    """A place that defines pods."""

    async def run(self, sink: Sink) -> None:
        """Tell `sink` all that is there, then every change, until cancelled; outages are its own affair."""
