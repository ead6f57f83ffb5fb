"""The Node as this agent says it: labels, addresses, capacity, node info and conditions.

Belongs here: pure functions from what the machine is to the API's object and patches. May not be here:
reading the machine, a clock, requests. Only what a node owns is said: patches leave labels, annotations,
taints, podCIDR and conditions of others alone (upstream: pkg/kubelet/nodestatus/setters.go).
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Final

import msgspec

import minikubelet
from minikubelet.model.podquantity import milli, whole
from minikubelet.model.status import rfc3339
from minikubelet.ports.apiport import JsonObject
from minikubelet.reporting.machinefacts import Machine

KUBELET_VERSION = f"v1.36.0+minikubelet.{minikubelet.__version__}"
"""The upstream version whose behaviour this follows; after the plus sign, which orders nothing, its own."""


class NodeSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What is configured: `ip` empty takes the machine's own, `port` is the node API's, 0 for none.

    `reserved` are quantities of cpu, memory and ephemeral-storage that pods do not get.
    """

    name: str
    ip: str = ""
    max_pods: int = 110
    reserved: Mapping[str, str] = {}
    port: int = 0
    declared_features: tuple[str, ...] = ()


class Allocatable(msgspec.Struct, frozen=True):
    """What pods can take: thousandths of a core, and bytes; at least 1 of what is there at all."""

    cpu: int
    memory: int
    storage: int


class Condition(msgspec.Struct, frozen=True):
    """One condition without its times."""

    type: str
    holds: bool
    reason: str
    message: str

    @property
    def status(self) -> str:
        """As the API writes it."""
        return "True" if self.holds else "False"

    @property
    def event(self) -> str:
        """The reason of the Event that upstream's kubelet records when it becomes so; empty if none."""
        return _EVENTS.get(self.type, ("", ""))[self.holds]


_EVENTS: Final = {
    "MemoryPressure": ("NodeHasSufficientMemory", "NodeHasInsufficientMemory"),
    "DiskPressure": ("NodeHasNoDiskPressure", "NodeHasDiskPressure"),
    "PIDPressure": ("NodeHasSufficientPID", "NodeHasInsufficientPID"),
    "Ready": ("NodeNotReady", "NodeReady"),
}
"""by condition: when it does not hold any more, and when it holds"""


def conditions(
    pressures: Container[str], *, runtime: str, problem: str, journal: str
) -> tuple[Condition, ...]:
    """The node's conditions. `problem` empty: ready; `journal` empty: what happens is on the disk."""
    ready = f"minikubelet is posting ready status, pods run on {runtime or 'its runtime'}"
    return (
        _pressure("MemoryPressure", "Memory", short="MemoryPressure" in pressures, what="memory"),
        _pressure("DiskPressure", "Disk", short="DiskPressure" in pressures, what="disk"),
        _pressure("PIDPressure", "PID", short="PIDPressure" in pressures, what="PID"),
        Condition(
            "JournalDegraded",
            bool(journal),
            "JournalDegraded" if journal else "JournalDurable",
            journal or "what happens is written to disk",
        ),
        Condition("Ready", not problem, "KubeletNotReady" if problem else "KubeletReady", problem or ready),
    )


def _pressure(kind: str, word: str, *, short: bool, what: str) -> Condition:
    if word == "Disk":
        has = "" if short else "No"
        said = f"kubelet has {has.lower()} disk pressure".replace("  ", " ")
        return Condition(kind, short, f"KubeletHas{has}DiskPressure", said)
    if short:
        return Condition(
            kind, True, f"KubeletHasInsufficient{word}", f"kubelet has insufficient {what} available"
        )
    return Condition(kind, False, f"KubeletHasSufficient{word}", f"kubelet has sufficient {what} available")


def allocatable(machine: Machine, reserved: Mapping[str, str]) -> Allocatable:
    """What is left for pods of a machine when so much is reserved."""
    cpu = machine.cpus * 1000 - milli(reserved.get("cpu", "0"))
    memory = machine.memory - whole(reserved.get("memory", "0"))
    storage = machine.disk - whole(reserved.get("ephemeral-storage", "0"))
    # Whatever is reserved, some of what is there is left; 0 would say that it is not known.
    return Allocatable(max(1, cpu), max(min(1, machine.memory), memory), max(min(1, machine.disk), storage))


def labels(setup: NodeSetup, machine: Machine) -> dict[str, str]:
    """The labels that a node sets for itself; its host name is the one that it was given, as upstream's."""
    return {
        "kubernetes.io/hostname": setup.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
    }


def fixed_status(setup: NodeSetup, machine: Machine, runtime: str) -> JsonObject:
    """Addresses, capacity, allocatable and node info; `runtime` is `docker://20.10.24`."""
    addresses = (setup.ip,) if setup.ip else machine.addresses
    resources = {
        "cpu": str(machine.cpus),
        "memory": f"{machine.memory // 1024}Ki",
        "ephemeral-storage": f"{machine.disk // 1024}Ki",
        "pods": str(setup.max_pods),
    }
    left = allocatable(machine, setup.reserved)
    cores, rest = divmod(left.cpu, 1000)
    for_pods = {
        "cpu": f"{left.cpu}m" if rest else str(cores),
        "memory": f"{left.memory // 1024}Ki",
        "ephemeral-storage": f"{left.storage // 1024}Ki",
        "pods": str(setup.max_pods),
    }
    status: JsonObject = {
        "addresses": [
            *({"type": "InternalIP", "address": address} for address in addresses),
            {"type": "Hostname", "address": setup.name},
        ],
        "capacity": resources,
        "allocatable": for_pods,
        "nodeInfo": {
            "architecture": machine.architecture,
            "bootID": machine.boot_id,
            "containerRuntimeVersion": runtime,
            "kernelVersion": machine.kernel,
            "kubeProxyVersion": "",
            "kubeletVersion": KUBELET_VERSION,
            "machineID": machine.machine_id,
            "operatingSystem": "linux",
            "osImage": machine.os_image,
            "systemUUID": machine.system_uuid,
        },
    }
    if setup.port:
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": setup.port}}
    if setup.declared_features:
        status["declaredFeatures"] = sorted(setup.declared_features)
    return status


def with_times(wanted: tuple[Condition, ...], stored: object, now: int) -> list[JsonObject]:
    """Conditions as the API has them: a heartbeat now, a transition only where the stored ones differ."""
    before = _by_type(stored)
    at = rfc3339(now)
    said: list[JsonObject] = []
    for condition in wanted:
        status = condition.status
        old = before.get(condition.type, {})
        same = old.get("status") == status and old.get("lastTransitionTime")
        said.append(
            {
                "type": condition.type,
                "status": status,
                "reason": condition.reason,
                "message": condition.message,
                "lastHeartbeatTime": at,
                "lastTransitionTime": old["lastTransitionTime"] if same else at,
            }
        )
    return said


def statuses(stored: object) -> dict[str, str]:
    """The status of each condition by type."""
    return {kind: str(each.get("status")) for kind, each in _by_type(stored).items()}


def _by_type(stored: object) -> Mapping[str, JsonObject]:
    if not isinstance(stored, list):
        return {}
    return {str(each.get("type")): each for each in stored if isinstance(each, dict)}


def new_node(name: str, wanted: Mapping[str, str], status: JsonObject) -> JsonObject:
    """A Node to create."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(wanted)},
        "spec": {},
        "status": status,
    }


def label_patch(stored: JsonObject, wanted: Mapping[str, str]) -> JsonObject | None:
    """What has to be patched so that a stored Node has these labels; None if it has."""
    metadata = stored.get("metadata") or {}
    have = metadata.get("labels") or {}
    missing = {key: value for key, value in wanted.items() if have.get(key) != value}
    return {"metadata": {"labels": missing}} if missing else None


def status_patch(status: JsonObject, said: list[JsonObject]) -> JsonObject:
    """A strategic merge patch of the status; addresses replace those that are stored, not merge by type."""
    addresses = [{"$patch": "replace"}, *status["addresses"]]
    return {"status": {**status, "addresses": addresses, "conditions": said}}
