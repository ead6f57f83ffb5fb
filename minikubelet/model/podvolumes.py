"""Volumes of a pod: those that this agent mounts as types, the others carried as they are.

Belongs here: what a volume is made from. May not be here: making one.
"""

from __future__ import annotations

import msgspec

from minikubelet.model.podbase import ApiStruct, Quantity, Raw
from minikubelet.model.podenv import ObjectFieldSelector, ResourceFieldSelector


class EmptyDirVolumeSource(ApiStruct, frozen=True, kw_only=True):
    """An empty directory that lives as long as the pod; `medium` as in StorageMedium."""

    medium: str = ""
    size_limit: Quantity = ""


class HostPathVolumeSource(ApiStruct, frozen=True, kw_only=True):
    """A path of the node; `type` as in HostPathType."""

    path: str
    type: str = ""


class KeyToPath(ApiStruct, frozen=True, kw_only=True):
    """One key of an object as a file of the volume."""

    key: str
    path: str
    mode: int | None = None


class ConfigMapVolumeSource(ApiStruct, frozen=True, kw_only=True):
    """Keys of a ConfigMap as files."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int | None = None
    optional: bool | None = None


class SecretVolumeSource(ApiStruct, frozen=True, kw_only=True):
    """Keys of a Secret as files."""

    secret_name: str = ""
    items: tuple[KeyToPath, ...] = ()
    default_mode: int | None = None
    optional: bool | None = None


class DownwardAPIVolumeFile(ApiStruct, frozen=True, kw_only=True):
    """A field of the pod as a file."""

    path: str
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: int | None = None


class DownwardAPIVolumeSource(ApiStruct, frozen=True, kw_only=True):
    """Fields of the pod as files."""

    items: tuple[DownwardAPIVolumeFile, ...] = ()
    default_mode: int | None = None


class ConfigMapProjection(ApiStruct, frozen=True, kw_only=True):
    """A ConfigMap's part of a projected volume."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None


class SecretProjection(ApiStruct, frozen=True, kw_only=True):
    """A Secret's part of a projected volume."""

    name: str = ""
    items: tuple[KeyToPath, ...] = ()
    optional: bool | None = None


class DownwardAPIProjection(ApiStruct, frozen=True, kw_only=True):
    """The pod's fields in a projected volume."""

    items: tuple[DownwardAPIVolumeFile, ...] = ()


class ServiceAccountTokenProjection(ApiStruct, frozen=True, kw_only=True):
    """A service account's token in a projected volume."""

    path: str
    audience: str = ""
    expiration_seconds: int | None = None


class VolumeProjection(ApiStruct, frozen=True, kw_only=True):
    """One source of a projected volume: exactly one of these."""

    secret: SecretProjection | None = None
    downward_api: DownwardAPIProjection | None = None
    config_map: ConfigMapProjection | None = None
    service_account_token: ServiceAccountTokenProjection | None = None
    cluster_trust_bundle: Raw | None = None
    pod_certificate: Raw | None = None


class ProjectedVolumeSource(ApiStruct, frozen=True, kw_only=True):
    """Several sources in one directory."""

    sources: tuple[VolumeProjection, ...] = ()
    default_mode: int | None = None


class PersistentVolumeClaimVolumeSource(ApiStruct, frozen=True, kw_only=True):
    """A claim of the pod's namespace."""

    claim_name: str
    read_only: bool = False


class ImageVolumeSource(ApiStruct, frozen=True, kw_only=True):
    """Content of an image, read-only."""

    reference: str = ""
    pull_policy: str = ""


class Volume(ApiStruct, frozen=True, kw_only=True):
    """A named volume with exactly one source."""

    name: str
    empty_dir: EmptyDirVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    image: ImageVolumeSource | None = None
    aws_elastic_block_store: Raw | None = None
    azure_disk: Raw | None = None
    azure_file: Raw | None = None
    cephfs: Raw | None = None
    cinder: Raw | None = None
    csi: Raw | None = None
    ephemeral: Raw | None = None
    fc: Raw | None = None
    flex_volume: Raw | None = None
    flocker: Raw | None = None
    gce_persistent_disk: Raw | None = None
    git_repo: Raw | None = None
    glusterfs: Raw | None = None
    iscsi: Raw | None = None
    nfs: Raw | None = None
    photon_persistent_disk: Raw | None = None
    portworx_volume: Raw | None = None
    quobyte: Raw | None = None
    rbd: Raw | None = None
    scale_io: Raw | None = msgspec.field(name="scaleIO", default=None)
    storageos: Raw | None = None
    vsphere_volume: Raw | None = None
