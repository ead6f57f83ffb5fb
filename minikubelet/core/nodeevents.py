"""Events of the node: what concerns every pod, as the journal keeps it.

Belongs here: as in `events`, which has those of a pod and the unions of all. Times are microseconds since the
epoch.
"""

from __future__ import annotations

from minikubelet.core.behaviours import Behaviours
from minikubelet.core.eventbase import Event
from minikubelet.core.nodefacts import Pairs, Taint
from minikubelet.core.signals import EvictionRules, Observation, PodUse
from minikubelet.model.ids import PodUid, Source


class AgentStarted(Event, tag=True, frozen=True, kw_only=True):
    """A life of the agent began: commands that were under way will not be answered any more.

    `sources` are those configured now; `has_api` tells whether anything can be reported. What the node can
    take is in pods, thousandths of a core and bytes, 0 where not known; `labels` are those it gives itself.
    `huge_pages` are the sizes that the kernel has (`hugepages-2Mi`), of which pods are given none; `sysctls`
    those that pods may set, patterns ending in `*` among them. Where either is empty, nobody looked.
    `behaviours` are those that this life is decided by, `eviction` says of what it may run short.
    """

    node: str
    boot: str
    sources: tuple[Source, ...]
    has_api: bool
    runtime: str = ""
    node_ips: tuple[str, ...] = ()
    static_namespace: str = "kube-system"
    max_pods: int = 0
    allocatable_cpu: int = 0
    allocatable_memory: int = 0
    allocatable_storage: int = 0
    labels: Pairs = ()
    huge_pages: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    lacks_apparmor: bool = False
    """whether the engine says that its host has no AppArmor: pods that ask for it are refused"""
    behaviours: Behaviours = ()
    eviction: EvictionRules = EvictionRules()


class NodeSeen(Event, tag=True, frozen=True, kw_only=True):
    """The API server's Node object has these labels and taints, in the order of their names."""

    labels: Pairs = ()
    taints: tuple[Taint, ...] = ()


class SourceSynced(Event, tag=True, frozen=True, kw_only=True):
    """A source has given a full list; `present` are the uids it holds.

    The first of a life says that it was seen. The API server's is listed again where its watch broke off.
    """

    source: Source
    present: tuple[PodUid, ...] = ()


class RuntimeListed(Event, tag=True, frozen=True, kw_only=True):
    """The runtime was listed in full for the first time in this life; the observations came before."""

    pods: int = 0


class ManifestsJudged(Event, tag=True, frozen=True, kw_only=True):
    """The verdicts over the manifest folder changed.

    `rejected` are (file, what is wrong, with line and field path). While there are any, a pod whose file
    is not known cannot be told from a pod whose file is broken. `foreign` are those that define objects of
    other kinds, such as a Deployment: they hold nothing back.
    """

    rejected: tuple[tuple[str, str], ...] = ()
    accepted: int = 0
    foreign: tuple[tuple[str, str], ...] = ()
    shadowed: tuple[tuple[str, str], ...] = ()
    """files all of whose pods are held by others, with which"""


class NodeShuttingDown(Event, tag=True, frozen=True, kw_only=True):
    """The machine is going down: it is the turn of the pods of a priority below `below`, or of all.

    They have `grace` seconds at most to end. Pods that come from now on are refused.
    """

    grace: int
    below: int | None = None


class NodeShutdownCancelled(Event, tag=True, frozen=True, kw_only=True):
    """The machine stays up after all."""


class NodeMeasured(Event, tag=True, frozen=True, kw_only=True):
    """The node is short of something, or was: how much there is, and what the pods use that it may end.

    `split`: images and what containers write are on another file system than logs and volumes.
    """

    signals: tuple[Observation, ...]
    pods: tuple[PodUse, ...] = ()
    split: bool = False


NodeEvent = (
    AgentStarted
    | NodeSeen
    | SourceSynced
    | RuntimeListed
    | ManifestsJudged
    | NodeShuttingDown
    | NodeShutdownCancelled
    | NodeMeasured
)
