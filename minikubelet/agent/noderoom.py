"""What this node can take, as an agent's start tells it.

Belongs here: machine and settings brought together. May not be here: who is admitted (`core.admission`).
"""

from __future__ import annotations

from msgspec.structs import replace

from minikubelet.agent.agentplan import AgentPlan
from minikubelet.core.events import AgentStarted
from minikubelet.model.podquantity import parse_quantity
from minikubelet.model.settings import KubeletSettings
from minikubelet.reporting.machinefacts import read_machine
from minikubelet.reporting.nodeobject import NodeSetup, allocatable, labels


def reserved(kubelet: KubeletSettings) -> dict[str, str]:
    """What is kept from pods, for the system and for the agent, in whole or thousandth units."""
    names = dict.fromkeys((*kubelet.system_reserved, *kubelet.kube_reserved))
    sums = {
        name: sum(
            parse_quantity(part.get(name, "0")) for part in (kubelet.system_reserved, kubelet.kube_reserved)
        )
        for name in names
    }
    return {name: f"{round(amount * 1000)}m" for name, amount in sums.items()}


def with_room(plan: AgentPlan, started: AgentStarted) -> AgentStarted:
    """The start of a life, with what its machine has for pods and the labels that the node gives itself."""
    kubelet = plan.settings.kubelet
    machine = read_machine(plan.places.root)
    room = allocatable(machine, reserved(kubelet))
    own = labels(NodeSetup(name=plan.node_name), machine)
    return replace(
        started,
        max_pods=kubelet.max_pods,
        allocatable_cpu=room.cpu,
        allocatable_memory=room.memory,
        allocatable_storage=room.storage,
        labels=tuple(sorted(own.items())),
    )
