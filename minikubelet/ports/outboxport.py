"""The outbox port: what is to be told upstream, whenever upstream can be told.

Belongs here: the Protocol that the shell hands commands to, and what it can ask. May not be here: an API
server. Nothing in it waits: a command that is put is taken, and what follows is the outbox's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

from minikubelet.core.commands import UpstreamCommand
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.pod import Pod
from minikubelet.ports.apiport import JsonObject

FullPod: TypeAlias = Callable[[PodUid], Pod | None]
"""A pod in full, secrets and all; None for one that no source holds any more."""


class OutboxStats(msgspec.Struct, frozen=True):
    """Slots known, slots with something left to tell, and those among them that wait after a failure."""

    slots: int
    pending: int
    failing: int


class Outbox(Protocol):
    """Tells statuses, mirror pods and deletions upstream, for as long as it takes.

    Of each slot only the newest is kept, so its size is bounded by the number of slots. It starts empty in
    each life of the agent: what has to be told again is decided again.
    """

    def put(self, command: UpstreamCommand) -> None:
        """Take a command in; never waits, never raises."""

    def mirror_seen(self, slot: SlotKey, uid: PodUid, mirror_hash: str, *, deleting: bool = False) -> None:
        """The API server holds this mirror: it is told the status of its static pod."""

    def mirror_gone(self, slot: SlotKey, uid: PodUid) -> None:
        """The API server holds this mirror no longer."""

    def status_seen(self, slot: SlotKey, uid: PodUid, seen: JsonObject, *, listed: bool = False) -> None:
        """The API server shows this object; a status of ours that somebody changed is told again."""

    def upstream_reachable(self) -> None:
        """The API server answers again: try at once what waits for it."""

    def stats(self) -> OutboxStats:
        """How much is left to tell."""

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - the caller's patience, not a deadline of ours
        """Wait until all is told, at most `timeout` seconds; whether it was."""
