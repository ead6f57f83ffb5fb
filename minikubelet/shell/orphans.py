"""Directories of pods that nobody knows any more: left by a life whose journal was lost, or by a fault.

Belongs here: finding and removing them once everything is known of what is wanted and what runs. May not
be here: the directories of pods that are known; these go with their pods.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import anyio.to_thread
import structlog

from minikubelet.core.reducer import Reducer
from minikubelet.model.ids import PodUid, slot_key
from minikubelet.model.pod import Pod
from minikubelet.shell.vault import Vault
from minikubelet.shell.volremoval import remove_tree

EVERY: Final = 60.0

_log = structlog.get_logger()


class Orphans:
    """Removes what `once` finds twice in a row: a pod that just arrives is not taken for one that is gone."""

    def __init__(self, reducer: Reducer, vault: Vault) -> None:
        self._reducer = reducer
        self._vault = vault
        self._suspected: frozenset[PodUid] = frozenset()

    async def run(self) -> None:
        """Remove until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(EVERY)

    async def once(self) -> None:
        """Look once, and remove what was an orphan at the look before as well."""
        found = await anyio.to_thread.run_sync(_directories, self._vault.paths.pods())
        orphans = frozenset(uid for uid in found if not self._known(uid))
        for uid in sorted(orphans & self._suspected):
            if not self._known(uid):
                await self._remove(uid)
        self._suspected = orphans

    def _known(self, uid: PodUid) -> bool:
        """Whether it is a pod's, or may be: before all is told, and while a manifest is broken."""
        node = self._reducer.node
        if not node.listed or not node.all_synced or node.rejected or self._vault.offered(uid):
            return True
        return any(slot.find(uid) is not None for slot in self._reducer.slots.values())

    async def _remove(self, uid: PodUid) -> None:
        pod = self._vault.get(uid)
        serial = self._vault.serial(uid)
        try:
            await anyio.to_thread.run_sync(self._remove_now, uid, pod)
        except (OSError, ValueError) as error:
            _log.warning("what an unknown pod left cannot be removed", uid=uid, error=str(error))
            return
        if self._vault.offered(uid):
            await self._vault.write(uid)
            return
        self._vault.forget(uid, serial)
        _log.info("what an unknown pod left was removed", uid=uid, pod=pod.metadata.name if pod else "")

    def _remove_now(self, uid: PodUid, pod: Pod | None) -> None:
        paths = self._vault.paths
        if pod is not None:
            slot = slot_key(pod.metadata.namespace, pod.metadata.name)
            paths.remove(slot, uid, keep_definition=False)
        else:
            remove_tree(paths.pod(uid))


def _directories(pods: Path) -> list[PodUid]:
    try:
        return sorted(PodUid(entry.name) for entry in pods.iterdir())
    except OSError:
        return []
