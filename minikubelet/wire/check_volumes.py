"""Rules for volumes: names, exactly one source, paths that stay inside.

Belongs here: rules on the volumes of a pod. May not be here: mounts (`check_containers`), or what static
pods may not refer to (`check_static`).
"""

from __future__ import annotations

import msgspec

from minikubelet.model.pod import (
    DownwardAPIVolumeFile,
    EmptyDirVolumeSource,
    HostPathVolumeSource,
    KeyToPath,
    ProjectedVolumeSource,
    Volume,
)
from minikubelet.model.podbase import HostPathType, StorageMedium
from minikubelet.model.podquantity import parse_quantity
from minikubelet.wire import check_names as names
from minikubelet.wire.check_env import check_field_ref, check_resource_ref
from minikubelet.wire.fieldpaths import Findings, Path

_SOURCES = tuple(one for one in msgspec.structs.fields(Volume) if one.name != "name")
_MAX_MODE = 0o777


def check_volumes(volumes: tuple[Volume, ...], path: Path, findings: Findings) -> None:
    """Check all volumes of a pod."""
    seen: set[str] = set()
    for number, volume in enumerate(volumes):
        at = (*path, number)
        wrong = names.dns_label(volume.name) if volume.name else None
        if not volume.name:
            findings.required((*at, "name"))
        elif wrong:
            findings.invalid((*at, "name"), volume.name, wrong)
        elif volume.name in seen:
            findings.duplicate((*at, "name"), volume.name)
        seen.add(volume.name)
        _check_source(volume, at, findings)


def _check_source(volume: Volume, at: Path, findings: Findings) -> None:
    given = [one.encode_name for one in _SOURCES if getattr(volume, one.name) is not None]
    if not given:
        findings.required(at, "must specify a volume type")
    for key in given[1:]:
        findings.forbidden((*at, key), "may not specify more than 1 volume type")
    if volume.host_path is not None:
        _check_host_path(volume.host_path, (*at, "hostPath"), findings)
    if volume.empty_dir is not None:
        _check_empty_dir(volume.empty_dir, (*at, "emptyDir"), findings)
    if volume.config_map is not None:
        _check_object(volume.config_map.name, "name", (*at, "configMap"), findings)
        _check_items(volume.config_map.items, volume.config_map.default_mode, (*at, "configMap"), findings)
    if volume.secret is not None:
        _check_object(volume.secret.secret_name, "secretName", (*at, "secret"), findings)
        _check_items(volume.secret.items, volume.secret.default_mode, (*at, "secret"), findings)
    if volume.downward_api is not None:
        _check_mode(volume.downward_api.default_mode, (*at, "downwardAPI", "defaultMode"), findings)
        _check_files(volume.downward_api.items, (*at, "downwardAPI", "items"), findings)
    if volume.projected is not None:
        _check_projected(volume.projected, (*at, "projected"), findings)
    if volume.persistent_volume_claim is not None and not volume.persistent_volume_claim.claim_name:
        findings.required((*at, "persistentVolumeClaim", "claimName"))


def _check_host_path(source: HostPathVolumeSource, at: Path, findings: Findings) -> None:
    if not source.path:
        findings.required((*at, "path"))
    elif not source.path.startswith("/"):
        findings.invalid((*at, "path"), source.path, "must be an absolute path")
    wrong = names.no_backsteps(source.path)
    if wrong:
        findings.invalid((*at, "path"), source.path, wrong)
    if source.type not in tuple(HostPathType):
        findings.unsupported((*at, "type"), source.type, tuple(HostPathType))


def _check_empty_dir(source: EmptyDirVolumeSource, at: Path, findings: Findings) -> None:
    if source.medium not in tuple(StorageMedium) and not source.medium.startswith("HugePages-"):
        findings.unsupported((*at, "medium"), source.medium, tuple(StorageMedium))
    try:
        if source.size_limit and parse_quantity(source.size_limit) < 0:
            findings.invalid((*at, "sizeLimit"), source.size_limit, "must not be negative")
    except ValueError as error:
        findings.invalid((*at, "sizeLimit"), source.size_limit, str(error))


def _check_object(name: str, key: str, at: Path, findings: Findings) -> None:
    wrong = names.dns_subdomain(name)
    if not name:
        findings.required((*at, key))
    elif wrong:
        findings.invalid((*at, key), name, wrong)


def _check_items(items: tuple[KeyToPath, ...], mode: int | None, at: Path, findings: Findings) -> None:
    _check_mode(mode, (*at, "defaultMode"), findings)
    for number, item in enumerate(items):
        here = (*at, "items", number)
        if not item.key:
            findings.required((*here, "key"))
        _check_file_path(item.path, (*here, "path"), findings)
        _check_mode(item.mode, (*here, "mode"), findings)


def _check_files(files: tuple[DownwardAPIVolumeFile, ...], at: Path, findings: Findings) -> None:
    for number, file in enumerate(files):
        here = (*at, number)
        _check_file_path(file.path, (*here, "path"), findings)
        _check_mode(file.mode, (*here, "mode"), findings)
        if (file.field_ref is None) == (file.resource_field_ref is None):
            findings.required(here, "must specify one of fieldRef and resourceFieldRef")
        elif file.field_ref is not None:
            check_field_ref(file.field_ref, (*here, "fieldRef"), findings, volume=True)
        elif file.resource_field_ref is not None:
            check_resource_ref(file.resource_field_ref, (*here, "resourceFieldRef"), findings, volume=True)


def _check_projected(source: ProjectedVolumeSource, at: Path, findings: Findings) -> None:
    _check_mode(source.default_mode, (*at, "defaultMode"), findings)
    for number, part in enumerate(source.sources):
        here = (*at, "sources", number)
        given = [
            one.encode_name for one in msgspec.structs.fields(part) if getattr(part, one.name) is not None
        ]
        if not given:
            findings.required(here, "must specify a source")
        for key in given[1:]:
            findings.forbidden((*here, key), "may not specify more than 1 source")
        if part.config_map is not None:
            _check_object(part.config_map.name, "name", (*here, "configMap"), findings)
            _check_items(part.config_map.items, None, (*here, "configMap"), findings)
        if part.secret is not None:
            _check_object(part.secret.name, "name", (*here, "secret"), findings)
            _check_items(part.secret.items, None, (*here, "secret"), findings)
        if part.downward_api is not None:
            _check_files(part.downward_api.items, (*here, "downwardAPI", "items"), findings)
        if part.service_account_token is not None:
            _check_file_path(
                part.service_account_token.path, (*here, "serviceAccountToken", "path"), findings
            )


def _check_file_path(path: str, at: Path, findings: Findings) -> None:
    wrong = names.local_path(path)
    if not path:
        findings.required(at)
    elif wrong or path.startswith(".."):
        findings.invalid(at, path, wrong or "must not start with '..'")


def _check_mode(mode: int | None, at: Path, findings: Findings) -> None:
    if mode is not None and not 0 <= mode <= _MAX_MODE:
        findings.invalid(at, mode, "must be between 0 and 0777 (octal), both inclusive")
