"""What is left to tell upstream of one slot, and what of it comes next.

Belongs here: coalescing and order within a slot, without I/O. May not be here: calls (`podcalls`) and their
timing (`outbox`). Mirrors are removed before one is made, a final status goes before its pod is released.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

import msgspec

from minikubelet.core.commands import (
    CreateMirror,
    DeleteApiPod,
    DeleteMirror,
    PublishStatus,
    UpstreamCommand,
)
from minikubelet.model.ids import PodUid
from minikubelet.model.status import PodStatus
from minikubelet.reporting.podcalls import Answer, Outcome


class RemoveMirror(msgspec.Struct, frozen=True):
    """Delete a mirror pod."""

    uid: PodUid


class SendStatus(msgspec.Struct, frozen=True):
    """Send the status of pod `uid` to the object that shows it: itself, or its mirror."""

    uid: PodUid
    object_uid: PodUid
    status: PodStatus


class ReleasePod(msgspec.Struct, frozen=True):
    """Delete an API pod that has come to its end."""

    uid: PodUid


class MakeMirror(msgspec.Struct, frozen=True):
    """Create the mirror of static pod `uid`."""

    uid: PodUid
    hash: str


Call: TypeAlias = RemoveMirror | SendStatus | ReleasePod | MakeMirror


class Sent(msgspec.Struct, frozen=True):
    """A status that its object has, and the object's version then."""

    object_uid: PodUid
    status: PodStatus
    version: str


@dataclass(slots=True)
class SlotBox:
    """All that is known of one slot. Keys of `statuses`, `sent`, `static` are uids of pods, not of mirrors.

    `static` has the config.hash of static pods: only a mirror with that hash is told their status.
    """

    statuses: dict[PodUid, PodStatus] = field(default_factory=dict)
    sent: dict[PodUid, Sent] = field(default_factory=dict)
    static: dict[PodUid, str] = field(default_factory=dict)
    releases: dict[PodUid, None] = field(default_factory=dict)
    removals: dict[PodUid, None] = field(default_factory=dict)
    create: MakeMirror | None = None
    mirror: tuple[PodUid, str] | None = None

    def take(self, command: UpstreamCommand) -> None:
        """Take a command in."""
        match command:
            case PublishStatus():
                if command.mirror_hash:
                    self.static[command.uid] = command.mirror_hash
                self.statuses[command.uid] = command.status
            case CreateMirror():
                self.static[command.uid] = command.hash
                self.create = MakeMirror(command.uid, command.hash)
            case DeleteMirror():
                self.removals[command.mirror_uid] = None
            case DeleteApiPod():
                self.releases[command.uid] = None
            case _ as never:
                assert_never(never)

    def next_call(self) -> Call | None:
        """What to do next, None if all is told."""
        for mirror in self.removals:
            return RemoveMirror(mirror)
        for uid, status in self.statuses.items():
            if uid not in self.static and not self._has(uid, uid, status):
                return SendStatus(uid, uid, status)
        for uid in self.releases:
            return ReleasePod(uid)
        if self.create is not None:
            return self.create
        return self._status_of_mirror()

    def _status_of_mirror(self) -> SendStatus | None:
        if self.mirror is None:
            return None
        mirror, mirror_hash = self.mirror
        for uid, status in self.statuses.items():
            if self.static.get(uid) == mirror_hash and not self._has(uid, mirror, status):
                return SendStatus(uid, mirror, status)
        return None

    def _has(self, uid: PodUid, object_uid: PodUid, status: PodStatus) -> bool:
        sent = self.sent.get(uid)
        return sent is not None and sent.object_uid == object_uid and sent.status == status

    def settle(self, call: Call, answer: Answer) -> None:
        """Take in what came of a call; what was asked for meanwhile stays."""
        match call:
            case RemoveMirror():
                self.removals.pop(call.uid, None)
                self.lose_mirror(call.uid)
            case SendStatus() if answer.outcome is Outcome.GONE:
                self.lose_mirror(call.object_uid)
                if call.uid not in self.static:
                    self.forget(call.uid)
            case SendStatus():
                self.sent[call.uid] = Sent(call.object_uid, call.status, answer.version)
            case ReleasePod():
                self.releases.pop(call.uid, None)
                self.forget(call.uid)
            case MakeMirror():
                if self.create == call:
                    self.create = None
                if answer.outcome is Outcome.DONE:
                    self.mirror = (answer.uid, call.hash)
            case _ as never:
                assert_never(never)

    def see_mirror(self, uid: PodUid, mirror_hash: str, *, deleting: bool) -> None:
        """The API server holds this mirror, for the time being if it is `deleting`."""
        self.mirror = (uid, mirror_hash)
        stays = not deleting and uid not in self.removals
        if stays and self.create is not None and self.create.hash == mirror_hash:
            self.create = None

    def lose_mirror(self, uid: PodUid) -> None:
        """The API server holds this mirror no longer."""
        self.removals.pop(uid, None)
        if self.mirror is not None and self.mirror[0] == uid:
            self.mirror = None

    def forget(self, uid: PodUid) -> None:
        """Nothing is to be told of this pod any more."""
        self.statuses.pop(uid, None)
        self.sent.pop(uid, None)
        self.static.pop(uid, None)

    def sent_to(self, object_uid: PodUid) -> tuple[PodUid, Sent] | None:
        """Which pod's status this object was told last."""
        return next(((uid, sent) for uid, sent in self.sent.items() if sent.object_uid == object_uid), None)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remember."""
        return not (self.statuses or self.releases or self.removals or self.create or self.mirror)
