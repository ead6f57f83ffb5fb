"""Leftovers: directories of pods that nobody knows, and definitions that a full disk refused.

Belongs here: writing these once there is room, and removing what an earlier life of the agent kept of pods
and did not live to write down. May not be here: the end of a pod that is known (`effects`). Nothing is
removed before every source and the runtime were listed, nor while a manifest is broken: until then, it may
belong to a pod that is about to be known.
"""

from __future__ import annotations

from typing import Final

import anyio.to_thread
import structlog

from minikubelet.core.reducer import Reducer
from minikubelet.model.ids import PodUid, slot_key
from minikubelet.model.pod import Pod
from minikubelet.ports.clockport import Clock
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.vault import Vault
from minikubelet.shell.volremoval import remove_tree

SWEEP_EVERY: Final = 30.0

_log = structlog.get_logger()


class Leftovers:
    """Looks every half minute for what is left of unknown pods and removes it; writes what was refused."""

    def __init__(self, reducer: Reducer, vault: Vault, clock: Clock) -> None:
        self._reducer = reducer
        self._vault = vault
        self._clock = clock

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self._clock.sleep(SWEEP_EVERY)
            await self._vault.write_again()
            await self.sweep()

    async def sweep(self) -> None:
        """Remove what is left of every pod that no source offers and the state does not hold."""
        node = self._reducer.node
        if not (node.listed and node.all_synced) or node.rejected:
            return
        found = await anyio.to_thread.run_sync(_directories, self._vault.paths)
        held = [PodUid(pod.metadata.uid) for pod in self._vault.pods()]
        for uid in dict.fromkeys((*found, *held)):
            if not self._vault.offered(uid) and uid not in self._known():
                await self._remove(uid)

    def _known(self) -> set[PodUid]:
        return {each.uid for slot in self._reducer.slots.values() for each in slot.generations}

    async def _remove(self, uid: PodUid) -> None:
        pod, serial = self._vault.get(uid), self._vault.serial(uid)
        try:
            await anyio.to_thread.run_sync(self._remove_now, uid, pod)
        except (OSError, ValueError) as error:
            _log.warning("what is left of a pod cannot be removed", uid=uid, error=str(error))
            return
        if self._vault.offered(uid):
            await self._vault.write(uid)
            return
        self._vault.forget(uid, serial)
        name = pod.metadata.name if pod is not None else ""
        _log.info("removed what was left of a pod that nobody knows", uid=uid, pod=name)

    def _remove_now(self, uid: PodUid, pod: Pod | None) -> None:
        paths = self._vault.paths
        if pod is None:
            remove_tree(paths.pod(uid))
        else:
            slot = slot_key(pod.metadata.namespace, pod.metadata.name)
            paths.remove(slot, uid, keep_definition=False)


def _directories(paths: PodPaths) -> list[PodUid]:
    try:
        return sorted(PodUid(entry.name) for entry in paths.pods().iterdir())
    except OSError:
        return []
