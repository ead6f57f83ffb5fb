"""What all structs of the pod API share: how they are encoded and how their fields are spelt.

Belongs here: the base class, aliases of types, the words that fields take. May not be here: any field
of any object.

Structs hold a pod as it is written: an absent string is `""`, an absent number or flag is `None` where
absence has a meaning of its own, else its zero. Defaults of the API are filled in by `wire.defaults`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import msgspec

_UPPER = {
    "api": "API", "cidr": "CIDR", "dns": "DNS", "fqdn": "FQDN", "id": "ID", "ids": "IDs", "ip": "IP",
    "ipc": "IPC", "ips": "IPs", "pid": "PID", "qps": "QPS", "tls": "TLS", "url": "URL",
}  # fmt: skip


def api_name(attribute: str) -> str:
    """Spell an attribute as the API does: `host_ip` is `hostIP`, `from_` is `from`."""
    first, *others = attribute.rstrip("_").split("_")
    return first + "".join(_UPPER.get(word, word.capitalize()) for word in others)


class ApiStruct(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename=api_name
):
    """Base of every object of the API; subclasses repeat `frozen` and `kw_only` for type checkers."""


Raw: TypeAlias = dict[str, Any]
"""An object of the API that is carried as it is and never looked into."""

IntOrString: TypeAlias = int | str
"""A number, or a name that stands for one (a port's)."""

Quantity = Annotated[str, msgspec.Meta(extra={"quantity": True})]
"""`500m`, `1Gi`: the decoders also take bare numbers and spell them; `model.podquantity` reads it."""


class RestartPolicy(StrEnum):
    """When containers are started again; an init container with `Always` is a sidecar."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class ImagePullPolicy(StrEnum):
    """When an image is fetched."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class Protocol(StrEnum):
    """Transport of a port."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


class UriScheme(StrEnum):
    """Scheme of an HTTP probe or hook."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"


class DnsPolicy(StrEnum):
    """Where the pod's resolv.conf comes from."""

    CLUSTER_FIRST_WITH_HOST_NET = "ClusterFirstWithHostNet"
    CLUSTER_FIRST = "ClusterFirst"
    DEFAULT = "Default"
    NONE = "None"


class TerminationMessagePolicy(StrEnum):
    """Where the message of a terminated container is read."""

    FILE = "File"
    FALLBACK_TO_LOGS_ON_ERROR = "FallbackToLogsOnError"


class HostPathType(StrEnum):
    """What has to be at a host path before it is mounted; `UNSET` checks nothing."""

    UNSET = ""
    DIRECTORY_OR_CREATE = "DirectoryOrCreate"
    DIRECTORY = "Directory"
    FILE_OR_CREATE = "FileOrCreate"
    FILE = "File"
    SOCKET = "Socket"
    CHAR_DEVICE = "CharDevice"
    BLOCK_DEVICE = "BlockDevice"


class StorageMedium(StrEnum):
    """What an emptyDir lies on: the node's disk, memory (tmpfs), or huge pages of any or a given size."""

    DEFAULT = ""
    MEMORY = "Memory"
    HUGE_PAGES = "HugePages"


class MountPropagationMode(StrEnum):
    """How mounts made later cross between host and container."""

    NONE = "None"
    HOST_TO_CONTAINER = "HostToContainer"
    BIDIRECTIONAL = "Bidirectional"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it; `""` in a toleration means every effect."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class PodQOSClass(StrEnum):
    """Quality of service, which follows from requests and limits."""

    GUARANTEED = "Guaranteed"
    BURSTABLE = "Burstable"
    BEST_EFFORT = "BestEffort"
