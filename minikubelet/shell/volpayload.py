"""Payloads: the files of configMap, secret, downwardAPI and projected volumes.

Belongs here: which keys become which files with which modes, as upstream's plugins of those names have it.
May not be here: writing them (`volatomic`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import (
    ConfigMapProjection,
    DownwardAPIVolumeFile,
    KeyToPath,
    Pod,
    SecretProjection,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from minikubelet.ports.objectport import ConfigMap, ObjectFault, ObjectReader, Secret, TokenWish
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.shell.environment import Facts, field_value, resource_value
from minikubelet.shell.volatomic import ProjectedFile
from minikubelet.shell.volowner import token_user

FILE_MODE: Final = 0o644
_TOKEN_MODE: Final = 0o600
_TOKEN_SECONDS: Final = 3600

_NO_CONFIG_KEY: Final = "configmap references non-existent config key"


class PayloadFault(Exception):
    """A volume's content cannot be had; the text names object and key, never a value."""


Files = dict[str, ProjectedFile]


def has_payload(volume: Volume) -> bool:
    """Whether the agent writes the volume's files."""
    sources = (volume.config_map, volume.secret, volume.downward_api, volume.projected)
    return any(source is not None for source in sources)


class Payloads:
    """Collects the files of a volume; raises PayloadFault."""

    def __init__(self, objects: ObjectReader) -> None:
        self._objects = objects

    async def files(self, pod: Pod, volume: Volume, facts: Facts, *, fresh: bool) -> Files:
        """All files by path; later sources of a projected volume win."""
        try:
            return await self._files(pod, volume, facts, fresh=fresh)
        except ObjectFault as fault:
            raise PayloadFault(fault.message) from fault
        except RuntimeFault as fault:
            raise PayloadFault(fault.message) from fault

    async def _files(self, pod: Pod, volume: Volume, facts: Facts, *, fresh: bool) -> Files:
        single = _single(volume)
        if single is not None:
            part, mode = single
            return await self._part(pod, part, facts, mode=mode, fresh=fresh)
        if volume.downward_api is not None:
            return _downward(pod, volume.downward_api.items, facts, volume.downward_api.default_mode)
        files: Files = {}
        if volume.projected is not None:
            mode = volume.projected.default_mode
            for part in volume.projected.sources:
                files |= await self._part(pod, part, facts, mode=mode, fresh=fresh)
        return files

    async def _part(
        self, pod: Pod, part: VolumeProjection, facts: Facts, *, mode: int | None, fresh: bool
    ) -> Files:
        namespace = pod.metadata.namespace
        if part.config_map is not None:
            source = part.config_map
            try:
                found = await self._objects.config_map(namespace, source.name, fresh=fresh)
            except ObjectFault as fault:
                if not (fault.missing and source.optional):
                    raise
                found = ConfigMap()
            whole = {key: text.encode() for key, text in found.data.items()} | dict(found.binary_data)
            what = f"configmap {namespace}/{source.name}"
            return _keys(whole, source.items, mode, optional=bool(source.optional), what=what)
        if part.secret is not None:
            wanted = part.secret
            try:
                secret = await self._objects.secret(namespace, wanted.name, fresh=fresh)
            except ObjectFault as fault:
                if not (fault.missing and wanted.optional):
                    raise
                secret = Secret()
            what = f"secret {namespace}/{wanted.name}"
            return _keys(secret.data, wanted.items, mode, optional=bool(wanted.optional), what=what)
        if part.downward_api is not None:
            return _downward(pod, part.downward_api.items, facts, mode)
        if part.service_account_token is not None:
            return await self._token(pod, part.service_account_token, mode)
        raise PayloadFault("a source of a projected volume is not supported by this version")

    async def _token(self, pod: Pod, source: ServiceAccountTokenProjection, mode: int | None) -> Files:
        wish = TokenWish(
            namespace=pod.metadata.namespace,
            service_account=pod.spec.service_account_name or "default",
            pod_name=pod.metadata.name,
            pod_uid=PodUid(pod.metadata.uid),
            audience=source.audience,
            seconds=source.expiration_seconds or _TOKEN_SECONDS,
        )
        token = await self._objects.token(wish)
        context, user = pod.spec.security_context, token_user(pod)
        private = user is not None or (context is not None and context.fs_group is not None)
        shown = _TOKEN_MODE if private else _mode(None, mode)
        return {source.path: ProjectedFile(token.encode(), shown, user)}


def _single(volume: Volume) -> tuple[VolumeProjection, int | None] | None:
    """A configMap or secret volume as the projection that it is, with its mode."""
    if volume.config_map is not None:
        own = volume.config_map
        one = ConfigMapProjection(name=own.name, items=own.items, optional=own.optional)
        return VolumeProjection(config_map=one), own.default_mode
    if volume.secret is not None:
        given = volume.secret
        same = SecretProjection(name=given.secret_name, items=given.items, optional=given.optional)
        return VolumeProjection(secret=same), given.default_mode
    return None


def _keys(
    data: Mapping[str, bytes], items: tuple[KeyToPath, ...], mode: int | None, *, optional: bool, what: str
) -> Files:
    if not items:
        return {key: ProjectedFile(content, _mode(None, mode)) for key, content in data.items()}
    files: Files = {}
    for item in items:
        if item.key in data:
            files[item.path] = ProjectedFile(data[item.key], _mode(item.mode, mode))
        elif not optional:
            secret = what.startswith("secret")
            said = "references non-existent secret key" if secret else _NO_CONFIG_KEY
            raise PayloadFault(f"{said}: {item.key} ({what})")
    return files


def _downward(pod: Pod, items: tuple[DownwardAPIVolumeFile, ...], facts: Facts, mode: int | None) -> Files:
    files: Files = {}
    for item in items:
        if item.field_ref is not None:
            text = volume_field(pod, item.field_ref.field_path, facts)
        elif item.resource_field_ref is not None:
            text = resource_value(pod, pod.spec.containers[0], item.resource_field_ref, facts)
        else:
            continue
        files[item.path] = ProjectedFile(text.encode(), _mode(item.mode, mode))
    return files


def _mode(own: int | None, common: int | None) -> int:
    if own is not None:
        return own
    return FILE_MODE if common is None else common


def volume_field(pod: Pod, path: str, facts: Facts) -> str:
    """A field as a file's text; labels and annotations as lines `key="value"`, sorted."""
    whole = {"metadata.labels": pod.metadata.labels, "metadata.annotations": pod.metadata.annotations}
    if path in whole:
        return "\n".join(f"{key}={go_quoted(value)}" for key, value in sorted(whole[path].items()))
    return field_value(pod, path, facts)


_ESCAPES: Final = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
    "\v": "\\v",
}  # fmt: skip


def go_quoted(text: str) -> str:
    """A text as Go's `%q` writes it, which the API's format of these files is."""
    return '"' + "".join(_quoted(one) for one in text) + '"'


def _quoted(one: str) -> str:
    if one in _ESCAPES:
        return _ESCAPES[one]
    if one.isprintable():
        return one
    code = ord(one)
    if code < 0x80:  # noqa: PLR2004 - the end of ASCII
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - Go's two lengths
