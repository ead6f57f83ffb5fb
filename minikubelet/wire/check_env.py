"""Rules for variables and for references to fields and resources of the pod itself.

Belongs here: which references there are. May not be here: values, which may be secrets and are never shown.
"""

from __future__ import annotations

import re

import msgspec

from minikubelet.model.pod import (
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    ObjectFieldSelector,
    ResourceFieldSelector,
)
from minikubelet.wire import check_names as names
from minikubelet.wire.fieldpaths import Findings, Path

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
_ANYWHERE = ("metadata.name", "metadata.namespace", "metadata.uid")
_ENV_FIELDS = (
    *_ANYWHERE, "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP",
    "status.podIPs",
)  # fmt: skip
_VOLUME_FIELDS = (*_ANYWHERE, "metadata.labels", "metadata.annotations")
_RESOURCES = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)


def check_env(env: tuple[EnvVar, ...], path: Path, findings: Findings) -> None:
    """Check the variables of a container. Values are never quoted: they may be secrets."""
    for number, variable in enumerate(env):
        at = (*path, number)
        wrong = names.env_name(variable.name)
        if not variable.name:
            findings.required((*at, "name"))
        elif wrong:
            findings.invalid((*at, "name"), variable.name, wrong)
        if variable.value_from is not None:
            if variable.value:
                findings.forbidden((*at, "valueFrom"), "may not be specified when `value` is not empty")
            _check_source(variable.value_from, (*at, "valueFrom"), findings)


def check_env_from(sources: tuple[EnvFromSource, ...], path: Path, findings: Findings) -> None:
    """Check what variables are taken from as a whole."""
    for number, source in enumerate(sources):
        at = (*path, number)
        if (source.config_map_ref is None) == (source.secret_ref is None):
            findings.required(at, "must specify one of configMapRef and secretRef")
        if source.prefix and names.env_name(source.prefix):
            findings.invalid((*at, "prefix"), source.prefix, names.env_name(source.prefix) or "")
        for key, ref in (("configMapRef", source.config_map_ref), ("secretRef", source.secret_ref)):
            if ref is not None and not ref.name:
                findings.required((*at, key, "name"))


def _check_source(source: EnvVarSource, at: Path, findings: Findings) -> None:
    given = [
        one.encode_name for one in msgspec.structs.fields(source) if getattr(source, one.name) is not None
    ]
    if not given:
        findings.required(
            at, "must specify one of fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef"
        )
    for key in given[1:]:
        findings.forbidden((*at, key), "may not have more than one field specified at a time")
    if source.field_ref is not None:
        check_field_ref(source.field_ref, (*at, "fieldRef"), findings, volume=False)
    if source.resource_field_ref is not None:
        check_resource_ref(source.resource_field_ref, (*at, "resourceFieldRef"), findings, volume=False)
    for key, ref in (("configMapKeyRef", source.config_map_key_ref), ("secretKeyRef", source.secret_key_ref)):
        if ref is not None and not ref.name:
            findings.required((*at, key, "name"))
        if ref is not None and not ref.key:
            findings.required((*at, key, "key"))


def check_field_ref(ref: ObjectFieldSelector, at: Path, findings: Findings, *, volume: bool) -> None:
    """Check a reference to a field of the pod, from a variable or from a volume's file."""
    supported = _VOLUME_FIELDS if volume else _ENV_FIELDS
    if not ref.field_path:
        findings.required((*at, "fieldPath"))
    elif match := _SUBSCRIPT.fullmatch(ref.field_path):
        wrong = names.qualified_name(match[2] if match[1] == "labels" else match[2].lower())
        if wrong:
            findings.invalid((*at, "fieldPath"), ref.field_path, wrong)
    elif ref.field_path not in supported:
        findings.unsupported((*at, "fieldPath"), ref.field_path, supported)


def check_resource_ref(ref: ResourceFieldSelector, at: Path, findings: Findings, *, volume: bool) -> None:
    """Check a reference to a container's request or limit; a volume's must name the container."""
    if volume and not ref.container_name:
        findings.required((*at, "containerName"))
    if not ref.resource:
        findings.required((*at, "resource"))
    elif ref.resource not in _RESOURCES and not ref.resource.startswith(
        ("limits.hugepages-", "requests.hugepages-")
    ):
        findings.unsupported((*at, "resource"), ref.resource, _RESOURCES)
