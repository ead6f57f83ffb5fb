"""Project: what is known of a pod as the PodStatus that Kubernetes shows.

Belongs here: phase, conditions and addresses (upstream's kubelet_pods.go getPhase and
status/generate.go). May not be here: when a status is told. The same state gives the same status.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from minikubelet.core.behaviours import Behaviour
from minikubelet.core.commands import Reason
from minikubelet.core.nodefacts import NodeFacts, Refusal
from minikubelet.core.probes import has_started
from minikubelet.core.project_container import Seen, container_status, ephemeral_status
from minikubelet.core.state import (
    Generation,
    Life,
    Moment,
    ephemeral_containers,
    init_containers,
    is_sidecar,
    main_containers,
    record_of,
)
from minikubelet.model.status import (
    ContainerStatus,
    HostIP,
    PodCondition,
    PodIP,
    PodPhase,
    PodStatus,
    rfc3339,
)

DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


def project(gen: Generation, node: NodeFacts, now: Moment) -> PodStatus:
    """The status of a pod at the moment of an event."""
    if gen.refused is not None:
        return _rejected(gen, gen.refused)
    seen = Seen(node.runtime or "unknown", now.at, node.behaviours)
    inits = tuple([container_status(gen, c, seen, init=True) for c in init_containers(gen)])
    mains = tuple([container_status(gen, c, seen, init=False) for c in main_containers(gen)])
    told = Behaviour.EPHEMERAL_CONTAINERS in node.behaviours
    debugs = tuple([ephemeral_status(gen, c, seen) for c in ephemeral_containers(gen) if told])
    incomplete = _incomplete(gen)
    phase, reason, message = _verdict(gen, mains, incomplete)
    ips = addresses(gen, node) or _last_addresses(gen)
    return PodStatus(
        phase=phase,
        conditions=_conditions(gen, phase, (*inits, *mains), incomplete, now),
        reason=reason,
        message=message,
        host_ip=node.node_ips[0] if node.node_ips else "",
        host_ips=_host_ips(node.node_ips),
        pod_ip=ips[0] if ips else "",
        pod_ips=_pod_ips(ips),
        start_time=rfc3339(gen.born_at),
        init_container_statuses=inits,
        container_statuses=mains,
        ephemeral_container_statuses=debugs,
        qos_class=gen.qos,
    )


@lru_cache(maxsize=16)
def _host_ips(ips: tuple[str, ...]) -> tuple[HostIP, ...]:
    return tuple([HostIP(ip=ip) for ip in ips])


@lru_cache(maxsize=1024)
def _pod_ips(ips: tuple[str, ...]) -> tuple[PodIP, ...]:
    return tuple([PodIP(ip=ip) for ip in ips])


def _rejected(gen: Generation, refused: Refusal) -> PodStatus:
    """As upstream's rejectPod: nothing of it ever begins, and only the verdict is told."""
    return PodStatus(
        phase=PodPhase.FAILED,
        reason=refused.reason,
        message=f"Pod was rejected: {refused.message}",
        start_time=rfc3339(gen.born_at),
        qos_class=gen.qos,
    )


def addresses(gen: Generation, node: NodeFacts) -> tuple[str, ...]:
    """The pod's addresses while its sandbox lives; on the host's network they are the node's."""
    if gen.sandbox is None or not gen.sandbox.ready:
        return ()
    if gen.pod is not None and gen.pod.spec.host_network:
        return node.node_ips
    return gen.sandbox.ips


def _last_addresses(gen: Generation) -> tuple[str, ...]:
    """A pod that ends keeps the addresses that it had."""
    if gen.ending is None or gen.published is None:
        return ()
    return tuple([ip.ip for ip in gen.published.pod_ips])


def _verdict(
    gen: Generation, mains: tuple[ContainerStatus, ...], incomplete: list[str]
) -> tuple[PodPhase, str, str]:
    """Phase with reason and message. A pod that was told to have ended stays so."""
    told = gen.published
    if gen.ending is None:
        return _phase(mains, incomplete), "", ""
    if told is not None and told.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED):
        return PodPhase(told.phase), told.reason, told.message
    if gen.alive:
        return _phase(mains, incomplete), "", ""
    if gen.evicted is not None:
        return PodPhase.FAILED, gen.evicted.reason, gen.evicted.message
    if gen.ending.reason is Reason.DEADLINE_EXCEEDED:
        return PodPhase.FAILED, "DeadlineExceeded", DEADLINE_MESSAGE
    return _last_phase(mains), "", ""


def _phase(mains: tuple[ContainerStatus, ...], incomplete: list[str]) -> PodPhase:
    """The phase of a pod that goes on: Pending until every main container has begun once."""
    begun = not any(s.state.waiting and not s.last_state.terminated for s in mains)
    return PodPhase.RUNNING if begun and not incomplete else PodPhase.PENDING


def _last_phase(mains: tuple[ContainerStatus, ...]) -> PodPhase:
    """The phase of a pod that has ended: Failed unless every main container ended with exit code 0."""
    ends = [s.state.terminated for s in mains]
    if all(end is not None and end.exit_code == 0 for end in ends):
        return PodPhase.SUCCEEDED
    return PodPhase.FAILED


def _incomplete(gen: Generation) -> list[str]:
    """The init containers that are not done, or sidecars that have not started."""
    if not init_containers(gen):
        return []
    sandbox = gen.sandbox.id if gen.sandbox else ""
    if any(record_of(gen, c.name).life is not Life.NEVER for c in main_containers(gen)):
        return []
    names = []
    for container in init_containers(gen):
        record = record_of(gen, container.name)
        done = record.life is Life.EXITED and record.exit_code == 0
        if is_sidecar(container):
            done = has_started(container, record)
        if not done or record.sandbox_id != sandbox:
            names.append(container.name)
    return names


class Holds(NamedTuple):
    """Whether a condition holds, with reason and message where upstream gives them."""

    holds: bool
    reason: str = ""
    message: str = ""


HOLDS: Final = Holds(holds=True)
HOLDS_NOT: Final = Holds(holds=False)


def _conditions(
    gen: Generation,
    phase: PodPhase,
    statuses: tuple[ContainerStatus, ...],
    incomplete: list[str],
    now: Moment,
) -> tuple[PodCondition, ...]:
    once = [c.name for c in init_containers(gen) if not is_sidecar(c)]
    containers = _containers_ready(phase, [s.name for s in statuses if not s.ready and s.name not in once])
    sandboxed = gen.sandbox is not None and gen.sandbox.ready
    found: tuple[tuple[str, Holds], ...] = (
        ("PodReadyToStartContainers", HOLDS if sandboxed else HOLDS_NOT),
        ("Initialized", _initialized(phase, incomplete)),
        ("Ready", _gates(gen, containers)),
        ("ContainersReady", containers),
        ("PodScheduled", HOLDS),
    )
    if gen.evicted is not None and gen.evicted.disruption and phase is PodPhase.FAILED:
        ended = Holds(holds=True, reason="TerminationByKubelet", message=gen.evicted.disruption)
        found = (*found, ("DisruptionTarget", ended))
    told = {c.type: c for c in gen.published.conditions} if gen.published else {}
    return tuple([_condition(told.get(kind), kind, holds, now) for kind, holds in found])


def _containers_ready(phase: PodPhase, unready: list[str]) -> Holds:
    if phase is PodPhase.SUCCEEDED:
        return Holds(holds=False, reason="PodCompleted")
    if phase is PodPhase.FAILED:
        return Holds(holds=False, reason="PodFailed")
    if not unready:
        return HOLDS
    message = f"containers with unready status: [{' '.join(unready)}]"
    return Holds(holds=False, reason="ContainersNotReady", message=message)


def _initialized(phase: PodPhase, incomplete: list[str]) -> Holds:
    if phase is PodPhase.SUCCEEDED:
        return Holds(holds=True, reason="PodCompleted")
    if not incomplete:
        return HOLDS
    message = f"containers with incomplete status: [{' '.join(incomplete)}]"
    return Holds(holds=False, reason="ContainersNotInitialized", message=message)


def _gates(gen: Generation, containers: Holds) -> Holds:
    """Ready also needs every readiness gate: a condition that somebody else sets at the API server."""
    gates = gen.pod.spec.readiness_gates if gen.pod else ()
    if not containers.holds or not gates:
        return containers
    found = dict(gen.gates)
    missing = [
        _closed(g.condition_type, found.get(g.condition_type))
        for g in gates
        if found.get(g.condition_type) != "True"
    ]
    if not missing:
        return containers
    return Holds(holds=False, reason="ReadinessGatesNotReady", message=", ".join(missing))


def _closed(gate: str, status: str | None) -> str:
    if status is None:
        return f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    return f'the status of pod readiness gate "{gate}" is not "True", but {status}'


def _condition(told: PodCondition | None, kind: str, found: Holds, now: Moment) -> PodCondition:
    """The condition as it was told if it still holds so; the time is that of its last change."""
    status = "True" if found.holds else "False"
    if told is None or told.status != status:
        since = rfc3339(now.at)
    elif told.reason == found.reason and told.message == found.message:
        return told
    else:
        since = told.last_transition_time
    return PodCondition(
        type=kind,
        status=status,
        reason=found.reason,
        message=found.message,
        last_transition_time=since,
    )
