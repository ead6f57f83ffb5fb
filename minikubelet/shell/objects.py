"""API objects as pods refer to them: which, and what is said where one is missing.

Belongs here: references of a pod, the reader of an agent without an API server, faults in upstream's words.
May not be here: requests (`sources/apiobjects`), and what becomes of values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Pod, Volume
from minikubelet.ports.objectport import (
    ConfigMap,
    ObjectFault,
    ObjectKind,
    Reference,
    Secret,
    Service,
    TokenWish,
)


class NoObjects:
    """The reader of an agent that has no API server: everything is missing, and says so."""

    async def config_map(self, namespace: str, name: str, *, fresh: bool = True) -> ConfigMap:  # noqa: ARG002 - the port's
        """There is none."""
        raise ObjectFault(f"couldn't get configMap {namespace}/{name}: the agent has no API server")

    async def secret(self, namespace: str, name: str, *, fresh: bool = True) -> Secret:  # noqa: ARG002 - the port's
        """There is none."""
        raise ObjectFault(f"couldn't get secret {namespace}/{name}: the agent has no API server")

    async def services(self) -> Sequence[Service]:
        """There are none, and nobody will say more."""
        return ()

    async def token(self, wish: TokenWish) -> str:
        """There is nobody who could give one."""
        account = f"{wish.namespace}/{wish.service_account}"
        raise ObjectFault(f"cannot have a token of service account {account}: the agent has no API server")

    def keep(self, references: Iterable[Reference], tokens_of: Iterable[PodUid]) -> None:
        """There is nothing to watch."""

    async def changed(self) -> None:
        """Nothing ever changes."""
        await asyncio.Event().wait()


def references(pod: Pod) -> Iterator[Reference]:
    """Every ConfigMap and Secret that a pod names, some more than once."""
    namespace = pod.metadata.namespace
    for kind, name in _named(pod):
        if name:
            yield Reference(kind, namespace, name)


def gives_secrets(pod: Pod) -> bool:
    """Whether a container of the pod gets values of Secrets; those for pulling it never sees."""
    names = (kind for kind, name in _given(pod) if name)
    return any(kind is ObjectKind.SECRET for kind in names)


def _named(pod: Pod) -> Iterator[tuple[ObjectKind, str]]:
    yield from _given(pod)
    for secret in pod.spec.image_pull_secrets:
        yield ObjectKind.SECRET, secret.name


def _given(pod: Pod) -> Iterator[tuple[ObjectKind, str]]:
    for container in pod.spec.every_container:
        for whole in container.env_from:
            if whole.config_map_ref is not None:
                yield ObjectKind.CONFIG_MAP, whole.config_map_ref.name
            if whole.secret_ref is not None:
                yield ObjectKind.SECRET, whole.secret_ref.name
        for variable in container.env:
            source = variable.value_from
            if source is not None and source.config_map_key_ref is not None:
                yield ObjectKind.CONFIG_MAP, source.config_map_key_ref.name
            if source is not None and source.secret_key_ref is not None:
                yield ObjectKind.SECRET, source.secret_key_ref.name
    for volume in pod.spec.volumes:
        yield from _of_volume(volume)


def _of_volume(volume: Volume) -> Iterator[tuple[ObjectKind, str]]:
    if volume.config_map is not None:
        yield ObjectKind.CONFIG_MAP, volume.config_map.name
    if volume.secret is not None:
        yield ObjectKind.SECRET, volume.secret.secret_name
    for part in volume.projected.sources if volume.projected is not None else ():
        if part.config_map is not None:
            yield ObjectKind.CONFIG_MAP, part.config_map.name
        if part.secret is not None:
            yield ObjectKind.SECRET, part.secret.name
