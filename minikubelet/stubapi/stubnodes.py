"""Nodes that have gone silent: without a renewed lease, what they last said of themselves is Unknown.

Belongs here: the one rule of upstream's node lifecycle controller (pkg/controller/nodelifecycle) that makes a
dead node show as NotReady. May not be here: taints, evictions, or anything that touches a pod: pods of a
silent node go on, as far as anybody knows.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from minikubelet.stubapi.stubresources import LEASES, NODES, Obj, Target
from minikubelet.stubapi.stubstatus import ApiError
from minikubelet.stubapi.stubstore import Key, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from minikubelet.stubapi.stubwrites import Writes

GRACE_SECONDS: Final = 40.0
LOOK_SECONDS: Final = 5.0
_LEASES_OF_NODES: Final = "kube-node-lease"
_DOUBTED: Final = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_PATCH: Final = "application/strategic-merge-patch+json"


class SilentNodes:
    """Watches leases; a node whose lease stands still for `grace` seconds is told of as Unknown.

    What counts is when a renewal was seen here, not the time that a node writes into it: the clocks of two
    machines may differ. A server that starts gives every node its grace anew.
    """

    def __init__(
        self, store: Store, writes: Writes, clock: Callable[[], datetime], grace: float = GRACE_SECONDS
    ) -> None:
        self._store = store
        self._writes = writes
        self._clock = clock
        self._grace = grace
        self._seen: dict[str, tuple[str, datetime]] = {}

    async def run(self, every: float = LOOK_SECONDS) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(every)

    async def look(self) -> None:
        """Look once at every node."""
        now = self._clock()
        nodes = {stored.obj["metadata"]["name"]: stored.obj for stored in self._store.select(NODES)}
        self._seen = {name: seen for name, seen in self._seen.items() if name in nodes}
        for name, node in nodes.items():
            sign = self._sign(name, node)
            said, since = self._seen.get(name, ("", now))
            if sign != said:
                self._seen[name] = (sign, now)
            elif (now - since).total_seconds() > self._grace:
                await self._doubt(name, node, now)

    def _sign(self, name: str, node: Obj) -> str:
        """What changes with every sign of life."""
        lease = self._store.get(LEASES, Key(_LEASES_OF_NODES, name))
        renewed = (lease.obj.get("spec") or {}).get("renewTime") if lease is not None else None
        return f"{renewed or 'no lease'} {node['metadata']['uid']}"

    async def _doubt(self, name: str, node: Obj, now: datetime) -> None:
        conditions = (node.get("status") or {}).get("conditions") or []
        doubted = [_unknown(each, now) for each in conditions if _to_doubt(each)]
        if doubted:
            with suppress(ApiError):  # it is gone or has just said something: the next look will tell
                patch = {"status": {"conditions": doubted}}
                await self._writes.patch(Target(NODES, "", name, "status"), _PATCH, patch)


def _to_doubt(condition: dict[str, Any]) -> bool:
    return condition.get("type") in _DOUBTED and condition.get("status") != "Unknown"


def _unknown(condition: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "type": condition["type"],
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
        "lastTransitionTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
