"""Images: the pull policies, whose credentials are used, and no image pulled twice at once.

Belongs here: Always, IfNotPresent, Never and their reasons (kubernetes.io/docs/concepts/containers/images).
May not be here: how an engine pulls, or which credentials match (`pullsecrets`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import anyio.to_thread
import structlog

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Container, Pod
from minikubelet.ports.objectport import ObjectFault, ObjectReader
from minikubelet.ports.runtimeport import RegistryAuth, Runtime, RuntimeFault
from minikubelet.shell.objects import NoObjects
from minikubelet.shell.pullsecrets import (
    Entry,
    credentials_for,
    is_reference,
    of_engine,
    of_secret,
    secrets_of,
)

_DIRECTORY: Final = ("/", "dir://")
"""How images begin that are directories, which the process runtime takes."""

_log = structlog.get_logger()


class Images:
    """Sees that a container's image is in the engine; at most `parallel` pulls run at once.

    `hide` takes the secret values of a pod's pull secrets.
    """

    def __init__(
        self,
        runtime: Runtime,
        parallel: int,
        *,
        objects: ObjectReader | None = None,
        hide: Callable[[PodUid, Iterable[str]], None] | None = None,
    ) -> None:
        self._runtime = runtime
        self._turns = asyncio.Semaphore(max(1, parallel))
        self._objects = objects or NoObjects()
        self._hide = hide
        self._pulls: dict[tuple[str, tuple[RegistryAuth, ...]], asyncio.Task[str]] = {}

    async def ensure(self, pod: Pod, name: str) -> str:
        """The id of the image of a container, pulled where its policy says so; raises RuntimeFault."""
        container = next(c for c in (*pod.spec.init_containers, *pod.spec.containers) if c.name == name)
        if not container.image.startswith(_DIRECTORY) and not is_reference(container.image):
            raise RuntimeFault(
                "InvalidImageName",
                f'Failed to apply default image tag "{container.image}": couldn\'t parse image name'
                f' "{container.image}": invalid reference format',
            )
        policy = container.image_pull_policy or default_policy(container.image)
        if policy != "Always":
            present = await self._runtime.image_status(container.image)
            if present is not None:
                return present.id
        if policy == "Never":
            raise RuntimeFault(
                "ErrImageNeverPull",
                f'Container image "{container.image}" is not present with pull policy of Never',
            )
        return await self._pull(container, await self._credentials(pod, container.image))

    async def user(self, image: str) -> str:
        """The user that an image of the engine is configured with."""
        found = await self._runtime.image_status(image)
        return found.user if found is not None else ""

    async def _credentials(self, pod: Pod, image: str) -> tuple[RegistryAuth, ...]:
        """Those of the pod's secrets, then those of Docker's own file; none pulls anonymously."""
        entries: list[Entry] = []
        for secret in pod.spec.image_pull_secrets:
            if not secret.name:
                continue
            try:
                found = await self._objects.secret(pod.metadata.namespace, secret.name)
            except ObjectFault as fault:
                _log.warning(
                    "unable to retrieve a pull secret, the image pull may not succeed",
                    pod=pod.metadata.name, secret=secret.name, error=fault.message,
                )  # fmt: skip
                continue
            entries += of_secret(found)
        entries += await anyio.to_thread.run_sync(of_engine)
        if self._hide is not None:
            self._hide(PodUid(pod.metadata.uid), secrets_of(entries))
        return tuple(credentials_for(image, entries))

    async def _pull(self, container: Container, credentials: tuple[RegistryAuth, ...]) -> str:
        """Pull, or wait for the same pull that is under way."""
        key = (container.image, credentials)
        pull = self._pulls.get(key)
        if pull is None:
            pull = asyncio.create_task(self._pull_once(container.image, credentials))
            self._pulls[key] = pull
            pull.add_done_callback(lambda done: self._pulled(key, done))
        return await asyncio.shield(pull)

    def _pulled(self, key: tuple[str, tuple[RegistryAuth, ...]], done: asyncio.Task[str]) -> None:
        """Forget a pull; that it failed may be news to nobody, where all who waited have given up."""
        self._pulls.pop(key, None)
        if not done.cancelled():
            done.exception()

    async def _pull_once(self, image: str, credentials: tuple[RegistryAuth, ...]) -> str:
        async with self._turns:
            if not credentials:
                return await self._runtime.pull_image(image)
            for auth in credentials[:-1]:
                try:
                    return await self._runtime.pull_image(image, auth)
                except RuntimeFault as fault:
                    if fault.unreachable or fault.reason == "InvalidImageName":
                        raise
            return await self._runtime.pull_image(image, credentials[-1])


def default_policy(image: str) -> str:
    """Always for `:latest` or no tag at all, IfNotPresent otherwise."""
    name = image.rsplit("/", 1)[-1]
    if "@" in name:
        return "IfNotPresent"
    tag = name.partition(":")[2]
    return "Always" if tag in {"", "latest"} else "IfNotPresent"
