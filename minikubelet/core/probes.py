"""Probes: which are due, what their answers add up to, and what a result changes in a container's record.

Belongs here: upstream's prober worker as pure rules (pkg/kubelet/prober/worker.go). May not be here: asking,
waiting, or what follows from a result (`plan_sync`). Results are kept with the record of the instance, so
that a restarted agent neither asks again whether it has started nor forgets that it is ready.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

from msgspec.structs import replace

from minikubelet.core import lifecycle
from minikubelet.core.events import ContainerProbed
from minikubelet.core.state import (
    ContainerRecord,
    Generation,
    Moment,
    Slot,
    Stage,
    init_containers,
    is_sidecar,
    main_containers,
    record_of,
    with_record,
)
from minikubelet.model.pod import Container, Probe, ProbeKind


def has_started(container: Container, record: ContainerRecord) -> bool:
    """Whether a container runs and its startup probe, if it has one, has passed."""
    return record.running and (container.startup_probe is None or record.started)


def is_ready(container: Container, record: ContainerRecord) -> bool:
    """Whether a container has started and its readiness probe, if it has one, says that it is ready."""
    return has_started(container, record) and (container.readiness_probe is None or record.ready)


def probe_of(container: Container, kind: ProbeKind) -> Probe | None:
    """The probe of that kind."""
    match kind:
        case ProbeKind.STARTUP:
            return container.startup_probe
        case ProbeKind.READINESS:
            return container.readiness_probe
        case ProbeKind.LIVENESS:
            return container.liveness_probe
        case _ as never:
            assert_never(never)


def grace_of_unhealthy(gen: Generation, container: Container, failed: ProbeKind) -> int:
    """The seconds that a container has to end after this probe has failed: the probe's own, or the pod's."""
    probe = probe_of(container, failed)
    own = probe.termination_grace_period_seconds if probe else None
    return lifecycle.grace_of(gen) if own is None else own


# ── which are due ──


class Due(NamedTuple):
    """A probe that is to be asked again and again, of one instance of a container.

    `passing` is what is known of readiness; `started_at` (µs) begins the initial delay.
    """

    container: str
    container_id: str
    kind: ProbeKind
    started_at: int
    passing: bool


def due(gen: Generation) -> tuple[Due, ...]:
    """The probes of a pod that are to be asked now.

    Startup goes before the others. While a pod or a container ends, only readiness is asked.
    """
    if gen.stage not in (Stage.ACTIVE, Stage.ENDING):
        return ()
    sidecars = (c for c in init_containers(gen) if is_sidecar(c))
    found: list[Due] = []
    for container in (*sidecars, *main_containers(gen)):
        record = record_of(gen, container.name)
        found += [
            Due(record.name, record.id, kind, record.started_at, record.ready)
            for kind in _kinds(gen, container, record)
        ]
    return tuple(found)


def _kinds(gen: Generation, container: Container, record: ContainerRecord) -> list[ProbeKind]:
    if not record.running:
        return []
    ends = gen.ending is not None or record.unhealthy is not None or record.name in gen.pending
    if not has_started(container, record):
        return [] if ends else [ProbeKind.STARTUP]
    kinds = (ProbeKind.READINESS,) if ends else (ProbeKind.READINESS, ProbeKind.LIVENESS)
    return [kind for kind in kinds if probe_of(container, kind) is not None]


# ── what answers add up to ──


class Run(NamedTuple):
    """The same answer so many times in a row; None before the first."""

    passed: bool | None = None
    length: int = 0

    def then(self, passed: bool) -> Run:
        """With one more answer."""
        return Run(passed, self.length + 1 if passed is self.passed else 1)

    def counts(self, probe: Probe) -> bool:
        """Whether so many answers are a result: `successThreshold` or `failureThreshold` of them."""
        most = (probe.success_threshold or 1) if self.passed else (probe.failure_threshold or 3)
        return self.length >= most


# ── what a result changes ──


def probed(slot: Slot, event: ContainerProbed, now: Moment) -> Slot:
    """Take a result in; one of an earlier instance, or one that changes nothing, says nothing."""
    gen = slot.find(event.uid)
    if gen is None:
        return slot
    record = record_of(gen, event.container)
    if record.id != event.container_id or not record.running:
        return slot
    told = _told(gen, record, event, now)
    return slot if told == record else slot.put(with_record(gen, told))


def _told(gen: Generation, record: ContainerRecord, event: ContainerProbed, now: Moment) -> ContainerRecord:
    if event.probe is ProbeKind.READINESS:
        return replace(record, ready=event.passed)
    if event.passed:
        return replace(record, started=True) if event.probe is ProbeKind.STARTUP else record
    if gen.ending is not None or record.unhealthy is not None:
        return record
    return replace(record, unhealthy=event.probe, touched=now.seq)
