"""Images: the pull policies, whose credentials are used, and no image pulled twice at once.

Belongs here: Always, IfNotPresent, Never and their reasons (kubernetes.io/docs/concepts/containers/images).
May not be here: how an engine pulls, or which credentials match (`pullsecrets`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import anyio.to_thread
import structlog

from minikubelet.model.ids import PodUid, SlotKey, slot_key
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
from minikubelet.wire.durations import spell_duration

_DIRECTORY: Final = ("/", "dir://")
"""How images begin that are directories, which the process runtime takes."""

Noted = Callable[[SlotKey, PodUid, str, str, str], None]
"""Takes what happened to a pod's container: slot, uid, container, reason (one word), message."""

_log = structlog.get_logger()


class Pulled(NamedTuple):
    """A pull that went well: the image's id, and how long the engine took in seconds."""

    id: str
    seconds: float


class Images:
    """Sees that a container's image is in the engine; at most `parallel` pulls run at once.

    `hide` takes the secret values of a pod's pull secrets, `noted` what a person may read of a pull.
    """

    def __init__(
        self,
        runtime: Runtime,
        parallel: int,
        *,
        objects: ObjectReader | None = None,
        hide: Callable[[PodUid, Iterable[str]], None] | None = None,
        noted: Noted | None = None,
    ) -> None:
        self._runtime = runtime
        self._noted = noted or _nobody
        self._turns = asyncio.Semaphore(max(1, parallel))
        self._objects = objects or NoObjects()
        self._hide = hide
        self._pulls: dict[tuple[str, tuple[RegistryAuth, ...]], asyncio.Task[Pulled]] = {}

    async def ensure(self, pod: Pod, name: str) -> str:
        """The id of the image of a container, pulled where its policy says so; raises RuntimeFault."""
        container = next(c for c in pod.spec.every_container if c.name == name)
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
                self._note(pod, name, "Pulled", f"{_quoted(container.image)} already present on machine")
                return present.id
        if policy == "Never":
            raise RuntimeFault(
                "ErrImageNeverPull",
                f'Container image "{container.image}" is not present with pull policy of Never',
            )
        began = asyncio.get_running_loop().time()
        self._note(pod, name, "Pulling", f'Pulling image "{container.image}"')
        pulled = await self._pull(container, await self._credentials(pod, container.image))
        waited = asyncio.get_running_loop().time() - began
        self._note(pod, name, "Pulled", await self._success(container.image, pulled, waited))
        return pulled.id

    async def _success(self, image: str, pulled: Pulled, waited: float) -> str:
        found = await self._runtime.image_status(image)
        size = f" Image size: {found.size} bytes." if found is not None and found.size else ""
        took, whole = spell_duration(pulled.seconds), spell_duration(waited)
        return f'Successfully pulled image "{image}" in {took} ({whole} including waiting).{size}'

    def _note(self, pod: Pod, container: str, reason: str, message: str) -> None:
        meta = pod.metadata
        self._noted(slot_key(meta.namespace, meta.name), PodUid(meta.uid), container, reason, message)

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

    async def _pull(self, container: Container, credentials: tuple[RegistryAuth, ...]) -> Pulled:
        """Pull, or wait for the same pull that is under way."""
        key = (container.image, credentials)
        pull = self._pulls.get(key)
        if pull is None:
            pull = asyncio.create_task(self._pull_once(container.image, credentials))
            self._pulls[key] = pull
            pull.add_done_callback(lambda done: self._pulled(key, done))
        return await asyncio.shield(pull)

    def _pulled(self, key: tuple[str, tuple[RegistryAuth, ...]], done: asyncio.Task[Pulled]) -> None:
        """Forget a pull; that it failed may be news to nobody, where all who waited have given up."""
        self._pulls.pop(key, None)
        if not done.cancelled():
            done.exception()

    async def _pull_once(self, image: str, credentials: tuple[RegistryAuth, ...]) -> Pulled:
        async with self._turns:
            began = asyncio.get_running_loop().time()
            found = await self._pull_with(image, credentials)
            return Pulled(found, asyncio.get_running_loop().time() - began)

    async def _pull_with(self, image: str, credentials: tuple[RegistryAuth, ...]) -> str:
        if not credentials:
            return await self._runtime.pull_image(image)
        for auth in credentials[:-1]:
            try:
                return await self._runtime.pull_image(image, auth)
            except RuntimeFault as fault:
                if fault.unreachable or fault.reason == "InvalidImageName":
                    raise
        return await self._runtime.pull_image(image, credentials[-1])


def _quoted(image: str) -> str:
    return f'Container image "{image}"'


def _nobody(slot: SlotKey, uid: PodUid, container: str, reason: str, message: str) -> None:
    """There is nobody to tell."""


def default_policy(image: str) -> str:
    """Always for `:latest` or no tag at all, IfNotPresent otherwise."""
    name = image.rsplit("/", 1)[-1]
    if "@" in name:
        return "IfNotPresent"
    tag = name.partition(":")[2]
    return "Always" if tag in {"", "latest"} else "IfNotPresent"
