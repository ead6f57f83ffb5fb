"""What a node asks of API objects that pods refer to: ConfigMaps, Secrets, Services and tokens.

Belongs here: the protocol and the values that cross it. May not be here: HTTP, caching, or what a pod
makes of an object (`shell`). Values of Secrets show in no `repr`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

import msgspec

from minikubelet.model.ids import PodUid


class ObjectKind(Enum):
    """The kinds that pods refer to by name; the value is the word of upstream's messages."""

    CONFIG_MAP = "configmap"
    SECRET = "secret"  # noqa: S105 - the name of a kind


class Reference(NamedTuple):
    """An object of a namespace."""

    kind: ObjectKind
    namespace: str
    name: str


class ObjectFault(Exception):
    """An object cannot be had; `missing` when the API server says that there is none."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.missing = missing


class ConfigMap(msgspec.Struct, frozen=True, kw_only=True):
    """Texts and bytes by key; no key is in both."""

    data: Mapping[str, str] = {}
    binary_data: Mapping[str, bytes] = {}


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes by key, decoded; `type` such as `kubernetes.io/dockerconfigjson`."""

    type: str = ""
    data: Mapping[str, bytes] = {}

    def __repr__(self) -> str:
        """Show keys only."""
        return f"Secret({', '.join(sorted(self.data))})"


class ServicePort(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a Service; `protocol` is TCP, UDP or SCTP."""

    port: int
    name: str = ""
    protocol: str = "TCP"


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A Service as far as variables tell of it; `cluster_ip` is `None` (the word) where it has none."""

    namespace: str
    name: str
    cluster_ip: str = ""
    ports: tuple[ServicePort, ...] = ()


class TokenWish(msgspec.Struct, frozen=True, kw_only=True):
    """A service account's token bound to a pod; `audience` empty is the API server's own."""

    namespace: str
    service_account: str
    pod_name: str
    pod_uid: PodUid
    audience: str = ""
    seconds: int = 3600


class ObjectReader(Protocol):
    """Reads objects of one API server. Every read raises ObjectFault, and only that, when it cannot.

    What was read before stands in while the API server is out of reach.
    """

    async def config_map(self, namespace: str, name: str, *, fresh: bool = True) -> ConfigMap:
        """A ConfigMap: asked for now, or with `fresh` off as its watch has it."""

    async def secret(self, namespace: str, name: str, *, fresh: bool = True) -> Secret:
        """A Secret; as `config_map`."""

    async def services(self) -> Sequence[Service]:
        """The Services of all namespaces; ObjectFault while they have never been read."""

    async def token(self, wish: TokenWish) -> str:
        """A token, the one given before as long as less than 80 % of its life has passed."""

    def keep(self, references: Iterable[Reference], tokens_of: Iterable[PodUid]) -> None:
        """Watch just these objects from now on, and forget the tokens of all other pods."""

    async def changed(self) -> None:
        """Wait until a watched object has changed since the last return."""
