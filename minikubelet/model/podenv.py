"""Environment of a container: literal values, and references to where a value comes from.

Belongs here: the references. May not be here: how they are resolved.
"""

from __future__ import annotations

from minikubelet.model.podbase import ApiStruct, Quantity


class ObjectFieldSelector(ApiStruct, frozen=True, kw_only=True):
    """A field of the pod itself: `metadata.name`, `status.podIP` …"""

    field_path: str
    api_version: str = ""


class ResourceFieldSelector(ApiStruct, frozen=True, kw_only=True):
    """A request or limit of a container, divided and rounded up."""

    resource: str
    container_name: str = ""
    divisor: Quantity = ""


class ConfigMapKeySelector(ApiStruct, frozen=True, kw_only=True):
    """One key of a ConfigMap."""

    key: str
    name: str = ""
    optional: bool | None = None


class SecretKeySelector(ApiStruct, frozen=True, kw_only=True):
    """One key of a Secret."""

    key: str
    name: str = ""
    optional: bool | None = None


class FileKeySelector(ApiStruct, frozen=True, kw_only=True):
    """One variable of an environment file in a volume."""

    volume_name: str
    path: str
    key: str
    optional: bool | None = None


class EnvVarSource(ApiStruct, frozen=True, kw_only=True):
    """Where a variable's value comes from: exactly one of these."""

    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    config_map_key_ref: ConfigMapKeySelector | None = None
    secret_key_ref: SecretKeySelector | None = None
    file_key_ref: FileKeySelector | None = None


class EnvVar(ApiStruct, frozen=True, kw_only=True):
    """One variable; `$(NAME)` in the value stands for earlier ones."""

    name: str
    value: str = ""
    value_from: EnvVarSource | None = None


class ConfigMapEnvSource(ApiStruct, frozen=True, kw_only=True):
    """All keys of a ConfigMap."""

    name: str = ""
    optional: bool | None = None


class SecretEnvSource(ApiStruct, frozen=True, kw_only=True):
    """All keys of a Secret."""

    name: str = ""
    optional: bool | None = None


class EnvFromSource(ApiStruct, frozen=True, kw_only=True):
    """Variables taken from all keys of an object, with a prefix."""

    prefix: str = ""
    config_map_ref: ConfigMapEnvSource | None = None
    secret_ref: SecretEnvSource | None = None
