"""What adapters ask of an API server: whole objects in and out, and one list+watch that never gives up.

Only the protocol and the values that cross it belong here. No HTTP, no TLS, no kubeconfig: those are
`apiclient`'s, whose `apierrors` also holds what these methods raise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

JsonObject: TypeAlias = dict[str, Any]
"""A Kubernetes object as decoded JSON."""


class PatchKind(StrEnum):
    """How a patch is to be read; the value is its media type."""

    STRATEGIC = "application/strategic-merge-patch+json"
    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"


class ChangeType(StrEnum):
    """What a watch says happened to an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything that exists now: whoever follows replaces all it knew before by these items."""

    items: tuple[JsonObject, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Changed:
    """One object came, changed or went; a deleted one is given in its last state."""

    type: ChangeType
    object: JsonObject


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Nothing up to this version was missed; also says that the watch stands again after `Disconnected`."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The API server is out of reach or refuses; what is known may be stale until the next other item."""

    reason: str
    retry_in_seconds: float


WatchItem: TypeAlias = Listed | Changed | Bookmark | Disconnected


class Api(Protocol):
    """One API server. Paths are absolute, as `apiclient.apipaths` makes them.

    Every method but `list_watch` raises `ApiError` when the server refuses and `ApiUnreachable` when there
    is no usable answer; whether and when to try again is the caller's decision.
    """

    async def get_object(self, path: str) -> JsonObject:
        """Read one object."""
        ...

    async def create_object(self, collection: str, body: JsonObject) -> JsonObject:
        """Create an object in a collection; answers it as stored."""
        ...

    async def replace_object(self, path: str, body: JsonObject) -> JsonObject:
        """Replace an object; a `metadata.resourceVersion` in it guards against lost updates."""
        ...

    async def patch_object(
        self, path: str, patch: JsonObject | list[JsonObject], kind: PatchKind = PatchKind.STRATEGIC
    ) -> JsonObject:
        """Change parts of an object; only a JSON patch is a list."""
        ...

    async def delete_object(
        self,
        path: str,
        *,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> JsonObject:
        """Delete an object if it still is the one meant; answers it, or the server's Status.

        `grace_seconds` 0 removes at once, None leaves it to the object; `uid` and `resource_version` are
        preconditions whose failure is a conflict.
        """
        ...

    def list_watch(
        self, path: str, *, params: Mapping[str, str] | None = None
    ) -> AsyncGenerator[WatchItem, None]:
        """Follow a collection without end; failures arrive as `Disconnected`, they are never raised.

        `params` hold `fieldSelector` and `labelSelector`. Close it with `contextlib.aclosing`.
        """
        ...
