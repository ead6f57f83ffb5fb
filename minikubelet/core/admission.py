"""Admission: whether the node takes a pod, decided once, before anything of it is started.

After upstream's lifecycle/predicate.go: sysctls, operating system, then pods, cpu, memory, storage and huge
pages against what is allocatable, then labels, host ports and taints. A pod that was admitted stays admitted,
whatever happens to the node, and so does one of which the runtime shows that it ran. May not be here: how a
refused pod looks (`project`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from minikubelet.core import lifecycle
from minikubelet.core.apparmor import NOT_ENABLED, wants_apparmor
from minikubelet.core.backoff import SECOND
from minikubelet.core.behaviours import Behaviour
from minikubelet.core.commands import Reason
from minikubelet.core.demand import demand_of, huge_pages_of
from minikubelet.core.draft import Draft
from minikubelet.core.nodefacts import Demand, HostPort, NodeFacts, Refusal, Usage
from minikubelet.core.nodematch import fits_labels, untolerated, wants_labels
from minikubelet.core.preemption import is_critical
from minikubelet.core.pressure import refused as pressed
from minikubelet.core.shutdown import REJECTED
from minikubelet.core.state import Generation, Moment, Slot, Stage
from minikubelet.core.sysctls import forbidden_sysctl
from minikubelet.model.ids import Source
from minikubelet.model.pod import Pod

LABELS_GRACE = 5 * SECOND
"""µs that a pod from the API server waits for labels that it asks for: they may be on their way as well."""

_COUNTED = (Stage.ACTIVE, Stage.ENDING)


def admit(slot: Slot, gen: Generation, pod: Pod, node: NodeFacts, draft: Draft) -> Generation:
    """Admit or refuse a pod that is to run, or leave it for later; `admitted` and `refused` tell."""
    demand = demand_of(pod)
    if gen.containers or gen.sandbox is not None:
        return replace(gen, admitted=demand)
    if node.going_down:
        return refuse(gen, REJECTED, draft.now)
    if awaits_labels(gen, node, draft.now.at):
        draft.wake_by(gen.born_at + LABELS_GRACE)
        return gen
    used = node.used.minus(slot.counted).plus(taken_by(slot))
    lacks = tuple(_insufficient(demand, pod, node, used))
    room = _no_room(lacks[0]) if lacks else None
    preempts = Behaviour.PREEMPTION in node.behaviours and is_critical(gen)
    refusal = pressed(gen, node) or _unfit(pod, node)
    if refusal is None and not preempts:
        refusal = room
    if refusal is None:
        refusal = next(_predicates(pod, gen.source, demand, node, used), None)
    if refusal is not None:
        return refuse(gen, refusal, draft.now)
    if room is None:
        return replace(gen, admitted=demand, lacking=())
    return replace(gen, lacking=tuple([(lack.name, lack.wanted - lack.left) for lack in lacks]))


def refuse(gen: Generation, refusal: Refusal, now: Moment) -> Generation:
    """The node does not take the pod."""
    ending = lifecycle.new_ending(gen, Reason.POD_REFUSED, now, remove=False)
    return replace(gen, refused=refusal, ending=ending, stage=Stage.FINISHED, lacking=())


def awaits_labels(gen: Generation, node: NodeFacts, at: int) -> bool:
    """Whether a pod from the API server asks for labels that the node does not have, or may not have yet."""
    if gen.source is not Source.API or gen.pod is None or not at < gen.born_at + LABELS_GRACE:
        return False
    wanting = wants_labels(gen.pod) and not fits_labels(gen.pod, node.name, dict(node.labels))
    return wanting and at >= gen.born_at


def taken_by(slot: Slot) -> tuple[Demand, ...]:
    """What the pods of a slot take of the node: those that run, and those that were to go on when last seen.

    As upstream, what no source holds any more does not stand in the way of what is to come.
    """
    return tuple(
        [
            g.admitted
            for g in slot.generations
            if g.admitted is not None and g.stage in _COUNTED and (g.offered or g.ending is None)
        ]
    )


class _Lack(NamedTuple):
    """A resource of which the node has too little: what is wanted, what others take, and what there is."""

    name: str
    wanted: int
    taken: int
    capacity: int

    @property
    def left(self) -> int:
        """What others leave."""
        return max(0, self.capacity - self.taken)


def _unfit(pod: Pod, node: NodeFacts) -> Refusal | None:
    """What speaks against a pod whatever room there is."""
    sysctl = forbidden_sysctl(pod, node.sysctls) if node.sysctls else None
    if sysctl is not None:
        return Refusal("SysctlForbidden", sysctl)
    if pod.metadata.labels.get("kubernetes.io/os", "linux") != "linux":
        return Refusal(
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        )
    if pod.spec.os is not None and pod.spec.os.name != "linux":
        return Refusal("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    if node.lacks_apparmor and wants_apparmor(pod):
        return Refusal("AppArmor", NOT_ENABLED)
    if _adds_groups(node) and _wants_strict_groups(pod):
        return Refusal(
            "SupplementalGroupsPolicyNotSupported",
            "SupplementalGroupsPolicy=Strict is not supported in this node",
        )
    return None


def _predicates(
    pod: Pod, source: Source | None, demand: Demand, node: NodeFacts, used: Usage
) -> Iterator[Refusal]:
    """What speaks against a pod beside room, what counts first first."""
    if not fits_labels(pod, node.name, dict(node.labels)):
        yield _predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    if any(_clash(port, other) for port in demand.ports for other in used.ports):
        yield _predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    if source is not Source.FILE and untolerated(pod, node.taints) is not None:
        yield _predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate")


def _adds_groups(node: NodeFacts) -> bool:
    return node.runtime == "docker" and Behaviour.STRICT_GROUPS_REFUSED in node.behaviours


def _wants_strict_groups(pod: Pod) -> bool:
    """Only the groups that it names: the engine adds those that the image gives its user."""
    context = pod.spec.security_context
    return context is not None and context.supplemental_groups_policy == "Strict"


def _insufficient(demand: Demand, pod: Pod, node: NodeFacts, used: Usage) -> Iterator[_Lack]:
    table = (
        _Lack("pods", 1, used.pods, node.max_pods),
        _Lack("cpu", demand.cpu, used.cpu, node.allocatable_cpu),
        _Lack("memory", demand.memory, used.memory, node.allocatable_memory),
        _Lack("ephemeral-storage", demand.storage, used.storage, node.allocatable_storage),
    )
    yield from (lack for lack in table if lack.capacity > 0 and lack.wanted > lack.left)
    yield from (_Lack(name, wanted, 0, 0) for name, wanted in huge_pages_of(pod) if node.huge_pages)


def _no_room(lack: _Lack) -> Refusal:
    counts = f"requested: {lack.wanted}, used: {lack.taken}, capacity: {lack.capacity}"
    return Refusal(f"OutOf{lack.name}", f"Node didn't have enough resource: {lack.name}, {counts}")


def _predicate(name: str, why: str) -> Refusal:
    return Refusal(name, f"Predicate {name} failed: {why}")


def _clash(one: HostPort, other: HostPort) -> bool:
    same = one.number == other.number and one.protocol == other.protocol
    return same and (one.ip == other.ip or "" in (one.ip, other.ip))
