"""Facts of the node that hold for every pod: what it is, what it can take, and what is taken.

Belongs here: the shape of these facts. May not be here: who may run on the node (`admission`).
CPU is in thousandths of a core, memory and storage in bytes.
"""

from __future__ import annotations

import msgspec

from minikubelet.core.behaviours import Behaviours
from minikubelet.core.signals import EvictionRules, Pressure
from minikubelet.model.ids import SlotKey, Source

Pairs = tuple[tuple[str, str], ...]
Amounts = tuple[tuple[str, int], ...]
"""So much by name: of a resource, a volume, a container."""


class Taint(msgspec.Struct, frozen=True, omit_defaults=True):
    """A taint of the node; what does not bear it is not to run there."""

    key: str
    effect: str
    value: str = ""


class HostPort(msgspec.Struct, frozen=True, omit_defaults=True):
    """A port of the node that a pod takes; `ip` empty is every address."""

    number: int
    protocol: str = "TCP"
    ip: str = ""


class Demand(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one pod takes of the node."""

    cpu: int = 0
    memory: int = 0
    storage: int = 0
    ports: tuple[HostPort, ...] = ()


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What so many pods take together."""

    pods: int = 0
    cpu: int = 0
    memory: int = 0
    storage: int = 0
    ports: tuple[HostPort, ...] = ()

    def plus(self, demands: tuple[Demand, ...]) -> Usage:
        """With these pods as well."""
        return Usage(
            self.pods + len(demands),
            self.cpu + sum(d.cpu for d in demands),
            self.memory + sum(d.memory for d in demands),
            self.storage + sum(d.storage for d in demands),
            self.ports + tuple(port for d in demands for port in d.ports),
        )

    def minus(self, demands: tuple[Demand, ...]) -> Usage:
        """Without these pods, which are among them."""
        ports = list(self.ports)
        for port in (port for d in demands for port in d.ports):
            ports.remove(port)
        return Usage(
            self.pods - len(demands),
            self.cpu - sum(d.cpu for d in demands),
            self.memory - sum(d.memory for d in demands),
            self.storage - sum(d.storage for d in demands),
            tuple(ports),
        )


class Refusal(msgspec.Struct, frozen=True):
    """Why the node does not take a pod."""

    reason: str
    message: str


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the status says of a pod that the node has ended itself, once nothing of it runs any more.

    `disruption` is the message of its condition DisruptionTarget; empty: it has none.
    """

    reason: str
    message: str
    disruption: str = ""


class NodeFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What holds for the whole node in this life of the agent.

    `max_pods` 0: nothing is known of what the node can take, so that every pod is taken; an allocatable of 0
    is not known. `labels` are those that the node gives itself, or what the API server told last. `used` is
    what the admitted pods of all slots take. `huge_pages`, `sysctls`, `lacks_apparmor` and `behaviours`
    are as AgentStarted tells them. `crowded` are the slots of critical pods that wait for room.
    """

    name: str = ""
    boot: str = ""
    sources: tuple[Source, ...] = ()
    synced: tuple[Source, ...] = ()
    listed: bool = False
    has_api: bool = False
    runtime: str = ""
    node_ips: tuple[str, ...] = ()
    rejected: int = 0
    """how many manifests are broken now"""
    max_pods: int = 0
    allocatable_cpu: int = 0
    allocatable_memory: int = 0
    allocatable_storage: int = 0
    labels: Pairs = ()
    taints: tuple[Taint, ...] = ()
    huge_pages: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    lacks_apparmor: bool = False
    used: Usage = Usage()
    crowded: tuple[SlotKey, ...] = ()
    going_down: bool = False
    """whether the machine is being shut down"""
    eviction: EvictionRules = EvictionRules()
    pressure: Pressure = Pressure()
    behaviours: Behaviours = ()
    cleaned: int = 0
    """the seq at which a pod was last cleaned up"""

    @property
    def all_synced(self) -> bool:
        """Whether every source has given its first full list."""
        return all(source in self.synced for source in self.sources)
