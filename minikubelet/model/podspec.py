"""The specification of a pod and what it says of placement, names and tolerations.

Belongs here: fields of the pod as a whole. May not be here: containers and volumes, which have modules of
their own.
"""

from __future__ import annotations

import msgspec

from minikubelet.model.podbase import ApiStruct, Quantity, Raw
from minikubelet.model.podcontainer import Container, EphemeralContainer, ResourceRequirements
from minikubelet.model.podsecurity import PodSecurityContext
from minikubelet.model.podvolumes import Volume


class LocalObjectReference(ApiStruct, frozen=True, kw_only=True):
    """The name of an object of the pod's namespace."""

    name: str = ""


class Toleration(ApiStruct, frozen=True, kw_only=True):
    """Taints that the pod bears; empty key with `Exists` bears all."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class HostAlias(ApiStruct, frozen=True, kw_only=True):
    """A line of /etc/hosts."""

    ip: str
    hostnames: tuple[str, ...] = ()


class PodDNSConfigOption(ApiStruct, frozen=True, kw_only=True):
    """An option of resolv.conf; `value` empty is an option without one."""

    name: str = ""
    value: str = ""


class PodDNSConfig(ApiStruct, frozen=True, kw_only=True):
    """Lines of resolv.conf beside those of the dnsPolicy."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[PodDNSConfigOption, ...] = ()


class PodReadinessGate(ApiStruct, frozen=True, kw_only=True):
    """A condition that has to be True for the pod to be Ready."""

    condition_type: str


class PodOS(ApiStruct, frozen=True, kw_only=True):
    """The operating system that the pod is for."""

    name: str


class NodeSelectorRequirement(ApiStruct, frozen=True, kw_only=True):
    """A key's relation to values: In, NotIn, Exists, DoesNotExist, Gt, Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class NodeSelectorTerm(ApiStruct, frozen=True, kw_only=True):
    """Requirements that all have to hold."""

    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


class NodeSelector(ApiStruct, frozen=True, kw_only=True):
    """Terms of which one has to hold."""

    node_selector_terms: tuple[NodeSelectorTerm, ...]


class NodeAffinity(ApiStruct, frozen=True, kw_only=True):
    """Which nodes the pod may or would like to be on."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: tuple[Raw, ...] = ()


class Affinity(ApiStruct, frozen=True, kw_only=True):
    """Placement; that by other pods is the scheduler's business and carried as it is."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: Raw | None = None
    pod_anti_affinity: Raw | None = None


class PodSpec(ApiStruct, frozen=True, kw_only=True):
    """What is wanted of a pod."""

    volumes: tuple[Volume, ...] = ()
    init_containers: tuple[Container, ...] = ()
    containers: tuple[Container, ...] = ()
    ephemeral_containers: tuple[EphemeralContainer, ...] = ()
    restart_policy: str = ""
    termination_grace_period_seconds: int | None = None
    active_deadline_seconds: int | None = None
    dns_policy: str = ""
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    service_account_name: str = ""
    service_account: str = ""
    automount_service_account_token: bool | None = None
    node_name: str = ""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_process_namespace: bool | None = None
    security_context: PodSecurityContext | None = None
    image_pull_secrets: tuple[LocalObjectReference, ...] = ()
    hostname: str = ""
    subdomain: str = ""
    affinity: Affinity | None = None
    scheduler_name: str = ""
    tolerations: tuple[Toleration, ...] = ()
    host_aliases: tuple[HostAlias, ...] = ()
    priority_class_name: str = ""
    priority: int | None = None
    dns_config: PodDNSConfig | None = None
    readiness_gates: tuple[PodReadinessGate, ...] = ()
    runtime_class_name: str = ""
    enable_service_links: bool | None = None
    preemption_policy: str = ""
    overhead: dict[str, Quantity] = msgspec.field(default_factory=dict)
    topology_spread_constraints: tuple[Raw, ...] = ()
    set_hostname_as_fqdn: bool | None = None
    os: PodOS | None = None
    host_users: bool | None = None
    scheduling_gates: tuple[Raw, ...] = ()
    resource_claims: tuple[Raw, ...] = ()
    resources: ResourceRequirements | None = None
    hostname_override: str = ""
    scheduling_group: Raw | None = None

    @property
    def every_container(self) -> tuple[Container, ...]:
        """Init containers, main containers and ephemeral ones, in this order."""
        return (*self.init_containers, *self.containers, *self.ephemeral_containers)
