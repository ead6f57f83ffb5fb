"""Containers of a pod: one type for main and init containers; `restart_policy` tells sidecars.

Belongs here: the container and what only it has. May not be here: environment, probes, security contexts,
which have modules of their own, or any rule.
"""

from __future__ import annotations

import msgspec

from minikubelet.model.podbase import ApiStruct, Quantity, Raw
from minikubelet.model.podenv import EnvFromSource, EnvVar
from minikubelet.model.podprobe import Lifecycle, Probe
from minikubelet.model.podsecurity import SecurityContext


class ContainerPort(ApiStruct, frozen=True, kw_only=True):
    """A port that the container listens on; `host_port` 0 is none."""

    container_port: int
    name: str = ""
    host_port: int = 0
    protocol: str = ""
    host_ip: str = ""


class ResourceRequirements(ApiStruct, frozen=True, kw_only=True):
    """Quantities by resource: cpu, memory, ephemeral-storage, hugepages-2Mi …"""

    limits: dict[str, Quantity] = msgspec.field(default_factory=dict)
    requests: dict[str, Quantity] = msgspec.field(default_factory=dict)
    claims: tuple[Raw, ...] = ()


class VolumeMount(ApiStruct, frozen=True, kw_only=True):
    """A volume, or a path in it, at a place in the container."""

    name: str
    mount_path: str
    read_only: bool = False
    recursive_read_only: str = ""
    sub_path: str = ""
    sub_path_expr: str = ""
    mount_propagation: str = ""


class VolumeDevice(ApiStruct, frozen=True, kw_only=True):
    """A claim as a raw block device."""

    name: str
    device_path: str


class ContainerRestartRuleOnExitCodes(ApiStruct, frozen=True, kw_only=True):
    """Exit codes: those of `values` (operator In), or all others (NotIn)."""

    operator: str = ""
    values: tuple[int, ...] = ()


class ContainerRestartRule(ApiStruct, frozen=True, kw_only=True):
    """What becomes of a container that ends with one of these exit codes: `Restart` starts it again."""

    action: str = ""
    exit_codes: ContainerRestartRuleOnExitCodes | None = None


class Container(ApiStruct, frozen=True, kw_only=True):
    """One container. `command` empty: the image's entry point; `args` empty: the image's own."""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    ports: tuple[ContainerPort, ...] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    env: tuple[EnvVar, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    resize_policy: tuple[Raw, ...] = ()
    restart_policy: str = ""
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    volume_devices: tuple[VolumeDevice, ...] = ()
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = ""
    termination_message_policy: str = ""
    image_pull_policy: str = ""
    security_context: SecurityContext | None = None
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False


class EphemeralContainer(Container, frozen=True, kw_only=True):
    """A container that is added to a running pod to look into it, and never restarted.

    `target_container_name` is the one whose processes it sees.
    """

    target_container_name: str = ""
