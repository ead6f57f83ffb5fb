"""Identity of API objects: ObjectMeta and OwnerReference.

Belongs here: what all kinds of objects share. May not be here: anything of what they describe.
"""

from __future__ import annotations

import msgspec

from minikubelet.model.podbase import ApiStruct, Raw


class OwnerReference(ApiStruct, frozen=True, kw_only=True):
    """The object that this one belongs to; a mirror pod belongs to its Node."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(ApiStruct, frozen=True, kw_only=True):
    """Name, labels and the like. Times are RFC 3339 text as the API writes them."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    self_link: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str = ""
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    managed_fields: tuple[Raw, ...] = ()
