"""API objects: ConfigMaps, Secrets and Services read from an API server, watched while pods refer to them.

Belongs here: requests, watches by name (so that a node may read just what its pods name), what is known while
the server is out of reach. May not be here: what pods make of objects. Tokens are `apitokens`'.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import structlog

from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.apiclient.apipaths import api_path
from minikubelet.model.ids import PodUid
from minikubelet.ports.apiport import Api, Bookmark, Changed, ChangeType, Disconnected, JsonObject, Listed
from minikubelet.ports.objectport import (
    ConfigMap,
    ObjectFault,
    ObjectKind,
    Reference,
    Secret,
    Service,
    ServicePort,
    TokenWish,
)
from minikubelet.sources.apitokens import ApiTokens

_PLURALS: Final = {ObjectKind.CONFIG_MAP: "configmaps", ObjectKind.SECRET: "secrets"}
_PATIENCE: Final = 3.0
"""Seconds that a container waits for news of an object that is known: an API server delays no start."""

_log = structlog.get_logger(__name__)


class _Watched:
    """What the watch of one object has told; `known` once it has told anything."""

    def __init__(self) -> None:
        self.known = False
        self.object: JsonObject | None = None


class ApiObjects:
    """An ObjectReader on one API server; watches go on while `run` runs."""

    def __init__(self, api: Api, tokens: ApiTokens) -> None:
        self._api = api
        self._tokens = tokens
        self._wanted: dict[Reference, _Watched] = {}
        self._last: dict[Reference, JsonObject] = {}
        self._services: dict[str, Service] | None = None
        self._rewatch = asyncio.Event()
        self._changed = asyncio.Event()

    async def config_map(self, namespace: str, name: str, *, fresh: bool = True) -> ConfigMap:
        """A ConfigMap; what was read last while the API server is out of reach."""
        found = await self._get(Reference(ObjectKind.CONFIG_MAP, namespace, name), fresh=fresh)
        data = {str(key): str(value) for key, value in _mapping(found, "data").items()}
        return ConfigMap(data=data, binary_data=_decoded(_mapping(found, "binaryData")))

    async def secret(self, namespace: str, name: str, *, fresh: bool = True) -> Secret:
        """A Secret, as `config_map`."""
        found = await self._get(Reference(ObjectKind.SECRET, namespace, name), fresh=fresh)
        return Secret(type=str(found.get("type") or ""), data=_decoded(_mapping(found, "data")))

    async def services(self) -> Sequence[Service]:
        """The Services of all namespaces, as their watch has them."""
        if self._services is None:
            raise ObjectFault("services have not yet been read at least once, cannot construct envvars")
        return tuple(self._services.values())

    async def token(self, wish: TokenWish) -> str:
        """A token bound to a pod."""
        return await self._tokens.token(wish)

    def keep(self, references: Iterable[Reference], tokens_of: Iterable[PodUid]) -> None:
        """Watch just these objects from now on."""
        wanted = set(references)
        gone = [reference for reference in self._wanted if reference not in wanted]
        new = sorted((r for r in wanted if r not in self._wanted), key=lambda r: (r.kind.value, r[1:]))
        for reference in gone:
            del self._wanted[reference]
        for reference in [known for known in self._last if known not in wanted]:
            del self._last[reference]
        for reference in new:
            self._wanted[reference] = _Watched()
        if gone or new:
            self._rewatch.set()
        self._tokens.keep(tokens_of)

    async def changed(self) -> None:
        """Wait until a watched object has changed."""
        await self._changed.wait()
        self._changed.clear()

    async def run(self) -> None:
        """Follow what is to be watched until cancelled."""
        tasks: dict[Reference, tuple[_Watched, asyncio.Task[None]]] = {}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_services())
            while True:
                for reference, (watched, task) in tuple(tasks.items()):
                    if self._wanted.get(reference) is not watched:
                        task.cancel()
                        del tasks[reference]
                for reference, watched in self._wanted.items():
                    if reference not in tasks:
                        task = group.create_task(self._follow(reference, watched))
                        tasks[reference] = watched, task
                await self._rewatch.wait()
                self._rewatch.clear()

    async def _get(self, reference: Reference, *, fresh: bool) -> JsonObject:
        watched = self._wanted.get(reference)
        if not fresh and watched is not None and watched.known:
            if watched.object is None:
                raise _missing(reference)
            return watched.object
        known = watched.object if watched is not None and watched.known else self._last.get(reference)
        path = api_path("api", "v1", "namespaces", reference.namespace, _PLURALS[reference.kind])
        try:
            async with asyncio.timeout(_PATIENCE if known is not None else None):
                found = await self._api.get_object(path + api_path(reference.name))
        except ApiError as error:
            if error.not_found:
                self._last.pop(reference, None)
                raise _missing(reference) from None
            raise ObjectFault(error.message) from None
        except (ApiUnreachable, TimeoutError) as error:
            if known is None:
                raise ObjectFault(str(error)) from None
            return known
        self._last[reference] = found
        return found

    async def _follow(self, reference: Reference, watched: _Watched) -> None:
        path = api_path("api", "v1", "namespaces", reference.namespace, _PLURALS[reference.kind])
        params = {"fieldSelector": f"metadata.name={reference.name}"}
        async with aclosing(self._api.list_watch(path, params=params)) as items:
            async for item in items:
                match item:
                    case Listed():
                        self._tell(watched, item.items[0] if item.items else None)
                    case Changed():
                        gone = item.type is ChangeType.DELETED
                        self._tell(watched, None if gone else item.object)
                    case Bookmark():
                        pass
                    case Disconnected():
                        _log.debug("an object cannot be watched", name=reference.name, reason=item.reason)

    def _tell(self, watched: _Watched, found: JsonObject | None) -> None:
        watched.known = True
        if watched.object != found:
            watched.object = found
            self._changed.set()

    async def _follow_services(self) -> None:
        async with aclosing(self._api.list_watch(api_path("api", "v1", "services"))) as items:
            async for item in items:
                match item:
                    case Listed():
                        self._services = {_key(found): _service(found) for found in item.items}
                    case Changed() if self._services is not None:
                        if item.type is ChangeType.DELETED:
                            self._services.pop(_key(item.object), None)
                        else:
                            self._services[_key(item.object)] = _service(item.object)
                    case _:
                        pass


def _missing(reference: Reference) -> ObjectFault:
    return ObjectFault(f'{reference.kind.value} "{reference.name}" not found', missing=True)


def _mapping(found: JsonObject, key: str) -> Mapping[str, Any]:
    held = found.get(key)
    return held if isinstance(held, dict) else {}


def _decoded(held: Mapping[str, Any]) -> dict[str, bytes]:
    """Values of base64; one that is none, which an API server would not store, is left out."""
    decoded = {}
    for key, text in held.items():
        try:
            decoded[str(key)] = base64.b64decode(str(text or ""), validate=True)
        except binascii.Error:
            continue
    return decoded


def _key(found: JsonObject) -> str:
    meta = _mapping(found, "metadata")
    return f"{meta.get('namespace')}/{meta.get('name')}"


def _service(found: JsonObject) -> Service:
    meta, spec = _mapping(found, "metadata"), _mapping(found, "spec")
    ports = spec.get("ports")
    return Service(
        namespace=str(meta.get("namespace") or ""),
        name=str(meta.get("name") or ""),
        cluster_ip=str(spec.get("clusterIP") or ""),
        ports=tuple(
            ServicePort(
                port=int(port.get("port") or 0),
                name=str(port.get("name") or ""),
                protocol=str(port.get("protocol") or "TCP"),
            )
            for port in (ports if isinstance(ports, list) else ())
        ),
    )
