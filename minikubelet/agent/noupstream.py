"""No upstream: the outbox of an agent without an API server.

Belongs here: doing nothing. May not be here: an import of what talks to API servers.
"""

from __future__ import annotations

from minikubelet.core.commands import UpstreamCommand
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.ports.apiport import JsonObject
from minikubelet.ports.outboxport import OutboxStats


class NoUpstream:
    """The outbox of an agent without an API server: what is decided is in the journal and in `pods`."""

    def put(self, command: UpstreamCommand) -> None:
        """Nobody is to be told."""

    def mirror_seen(self, slot: SlotKey, uid: PodUid, mirror_hash: str, *, deleting: bool = False) -> None:
        """There are no mirror pods."""

    def mirror_gone(self, slot: SlotKey, uid: PodUid) -> None:
        """There are no mirror pods."""

    def status_seen(self, slot: SlotKey, uid: PodUid, seen: JsonObject, *, listed: bool = False) -> None:
        """There are no objects."""

    def upstream_reachable(self) -> None:
        """There is no upstream."""

    def stats(self) -> OutboxStats:
        """Nothing is left to tell."""
        return OutboxStats(0, 0, 0)

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109, ARG002 - the port's own parameter
        """Everything has been told."""
        return True
