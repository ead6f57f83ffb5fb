"""The refresher: changes of ConfigMaps, Secrets, tokens and pods' own fields reach running containers.

Belongs here: when volumes are looked at again, which objects are watched, and that values of Secrets are
hidden from messages even after a restart of the agent. May not be here: how a volume is written (`volumes`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Pod
from minikubelet.ports.objectport import ObjectFault, ObjectKind, ObjectReader
from minikubelet.shell.environment import Facts
from minikubelet.shell.objects import references
from minikubelet.shell.vault import Vault
from minikubelet.shell.volpayload import has_payload
from minikubelet.shell.volumes import Volumes

EVERY: Final = 5.0
"""Seconds between two looks at tokens and fields; watched objects are acted on at once."""


class Refresher:
    """Goes over the pods of the vault; `facts` are those of `PodConfigMaker`."""

    def __init__(
        self,
        vault: Vault,
        volumes: Volumes,
        objects: ObjectReader,
        facts: Callable[[Pod], Facts],
        *,
        every: float = EVERY,
    ) -> None:
        self._vault = vault
        self._volumes = volumes
        self._objects = objects
        self._facts = facts
        self._every = every

    async def run(self) -> None:
        """Keep all volumes up to date until cancelled."""
        while True:
            await self.once()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._objects.changed()

    async def once(self) -> None:
        """Watch what the pods of now refer to, and bring their volumes up to date."""
        pods = self._vault.pods()
        wanted = [reference for pod in pods for reference in references(pod)]
        self._objects.keep(wanted, [PodUid(pod.metadata.uid) for pod in pods])
        for pod in pods:
            await self._hide(pod)
            if any(has_payload(volume) for volume in pod.spec.volumes):
                await self._volumes.refresh(pod, self._facts(pod))

    async def _hide(self, pod: Pod) -> None:
        uid, missing = PodUid(pod.metadata.uid), False
        pulls = {secret.name for secret in pod.spec.image_pull_secrets}
        for reference in dict.fromkeys(references(pod)):
            if reference.kind is not ObjectKind.SECRET:
                continue
            try:
                secret = await self._objects.secret(reference.namespace, reference.name, fresh=False)
            except ObjectFault:  # whoever needs it says that it is missing
                missing = missing or reference.name not in pulls
                continue
            self._vault.hide(uid, (value.decode("utf-8", "replace") for value in secret.data.values()))
        if not missing:
            self._vault.read(uid)
