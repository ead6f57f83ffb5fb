"""What this node can take, as an agent's start tells it.

Belongs here: machine and settings brought together. May not be here: who is admitted (`core.admission`).
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from minikubelet.agent.agentplan import AgentPlan
from minikubelet.core.events import AgentStarted
from minikubelet.core.sysctls import dotted
from minikubelet.model.podquantity import parse_quantity
from minikubelet.model.settings import KubeletSettings
from minikubelet.reporting.machinefacts import Machine, read_machine
from minikubelet.reporting.nodeobject import NodeSetup, allocatable, labels
from minikubelet.wire.evictionsettings import eviction_rules, kept_free

_RELEASE = re.compile(r"(\d+)\.(\d+)")
_SAFE_SYSCTLS = (
    ("kernel.shm_rmid_forced", (0, 0)),
    ("net.ipv4.ip_local_port_range", (0, 0)),
    ("net.ipv4.tcp_syncookies", (0, 0)),
    ("net.ipv4.ping_group_range", (0, 0)),
    ("net.ipv4.ip_unprivileged_port_start", (0, 0)),
    ("net.ipv4.ip_local_reserved_ports", (3, 16)),
    ("net.ipv4.tcp_keepalive_time", (4, 5)),
    ("net.ipv4.tcp_fin_timeout", (4, 6)),
    ("net.ipv4.tcp_keepalive_intvl", (4, 5)),
    ("net.ipv4.tcp_keepalive_probes", (4, 5)),
    ("net.ipv4.tcp_rmem", (4, 15)),
    ("net.ipv4.tcp_wmem", (4, 15)),
)
"""Upstream's sysctl/safe_sysctls.go: the name, and the kernel release in which it became namespaced."""


def reserved(kubelet: KubeletSettings, machine: Machine) -> dict[str, str]:
    """What is kept from pods: for the system, the agent, and by the hard eviction thresholds."""
    memory, disk = kept_free(kubelet, machine.memory, machine.disk)
    free = {"memory": str(memory), "ephemeral-storage": str(disk)}
    parts = (kubelet.system_reserved, kubelet.kube_reserved, free)
    names = dict.fromkeys(name for part in parts for name in part)
    sums = {name: sum(parse_quantity(part.get(name, "0")) for part in parts) for name in names}
    return {name: f"{round(amount * 1000)}m" for name, amount in sums.items()}


def with_room(plan: AgentPlan, started: AgentStarted) -> AgentStarted:
    """The start of a life, with what its machine has for pods and the labels that the node gives itself."""
    kubelet = plan.settings.kubelet
    machine = read_machine(plan.places.root)
    room = allocatable(machine, reserved(kubelet, machine))
    own = labels(NodeSetup(name=plan.node_name), machine)
    return replace(
        started,
        max_pods=kubelet.max_pods,
        allocatable_cpu=room.cpu,
        allocatable_memory=room.memory,
        allocatable_storage=room.storage,
        labels=tuple(sorted(own.items())),
        eviction=eviction_rules(kubelet),
        huge_pages=machine.huge_pages,
        sysctls=(*safe_sysctls(machine.kernel), *map(dotted, kubelet.allowed_unsafe_sysctls)),
    )


def safe_sysctls(kernel: str) -> tuple[str, ...]:
    """Those that every pod may set on a kernel of this release: namespaced, and of no effect on others."""
    numbers = _RELEASE.match(kernel)
    release = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    return tuple(name for name, since in _SAFE_SYSCTLS if release >= since)
