"""Addresses of sandboxes, asked for once: what starts in a sandbox may be told them.

Belongs here: asking and remembering. May not be here: what they are for (`environment`).
"""

from __future__ import annotations

from minikubelet.model.ids import PodUid
from minikubelet.ports.runtimeport import Runtime


class Addresses:
    """Of each pod's sandbox; of one from an earlier life of the agent as well."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[PodUid, tuple[str, tuple[str, ...]]] = {}

    async def of(self, uid: PodUid, sandbox_id: str) -> tuple[str, ...]:
        """The addresses; none of a sandbox that is not there. Raises RuntimeFault."""
        known, ips = self._known.get(uid, ("", ()))
        if known == sandbox_id:
            return ips
        shown = await self._runtime.list_pods(uid)
        for sandbox in (sandbox for pod in shown for sandbox in pod.sandboxes if sandbox.id == sandbox_id):
            self._known[uid] = sandbox_id, sandbox.ips
            return sandbox.ips
        return ()

    def forget(self, uid: PodUid) -> None:
        """A pod is gone for good."""
        self._known.pop(uid, None)
