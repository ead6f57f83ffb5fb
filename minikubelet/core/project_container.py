"""Project a container: its record as a ContainerStatus.

After convertToAPIContainerStatuses in upstream's kubelet_pods.go.

Belongs here: waiting, running, terminated and their reasons. May not be here: the pod's phase (`project`).
"""

from __future__ import annotations

from typing import NamedTuple

from minikubelet.core.backoff import CRASH_MAX, SECOND, SHOWN_AS_FAILED
from minikubelet.core.behaviours import Behaviour, Behaviours
from minikubelet.core.plan_sync import due_at, waits
from minikubelet.core.probes import has_started, is_ready
from minikubelet.core.restarts import will_restart
from minikubelet.core.state import (
    ContainerRecord,
    Generation,
    Life,
    Stage,
    Termination,
    init_containers,
    is_sidecar,
    main_containers,
    record_of,
)
from minikubelet.model.ids import split_slot
from minikubelet.model.pod import Container
from minikubelet.model.status import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    rfc3339,
)

LOST_EXIT = 137
LOST = "The container could not be located when the pod was terminated"


class Seen(NamedTuple):
    """How containers are seen: `runtime` is the scheme of their ids, `at` the moment (µs)."""

    runtime: str
    at: int
    behaviours: Behaviours


def container_status(gen: Generation, container: Container, seen: Seen, *, init: bool) -> ContainerStatus:
    """The status of one container."""
    record = record_of(gen, container.name)
    state = _state(gen, container, record, seen, init=init)
    once = init and not is_sidecar(container)
    done = once and record.life is Life.EXITED and record.exit_code == 0
    if Behaviour.STATUSES_AGREE in seen.behaviours:
        done = done and state.terminated is not None
    return ContainerStatus(
        name=container.name,
        ready=done or (not once and is_ready(container, record)),
        restart_count=max(0, record.attempt),
        image=container.image,
        image_id=record.image_id,
        state=state,
        last_state=_last_state(state, record, seen),
        container_id=f"{seen.runtime}://{record.id}" if record.id else "",
        started=has_started(container, record),
    )


def ephemeral_status(gen: Generation, container: Container, seen: Seen) -> ContainerStatus:
    """The status of an ephemeral container: never ready, and whether it has started is not said of it."""
    record, runtime = record_of(gen, container.name), seen.runtime
    if record.running:
        state = ContainerState(running=ContainerStateRunning(started_at=rfc3339(record.started_at)))
    elif record.life is Life.EXITED:
        state = ContainerState(terminated=_terminated(record.end(), seen))
    elif record.tries and record.waiting_reason and gen.stage is Stage.ACTIVE:
        state = ContainerState(waiting=_failed_start(container, record, seen.at))
    else:
        state = ContainerState(waiting=ContainerStateWaiting(reason="ContainerCreating"))
    return ContainerStatus(
        name=container.name,
        ready=False,
        restart_count=0,
        image=container.image,
        image_id=record.image_id,
        state=state,
        container_id=f"{runtime}://{record.id}" if record.id else "",
    )


def _state(
    gen: Generation, container: Container, record: ContainerRecord, seen: Seen, *, init: bool
) -> ContainerState:
    if record.running:
        return ContainerState(running=ContainerStateRunning(started_at=rfc3339(record.started_at)))
    waiting = _waiting(gen, container, record, seen, init=init)
    if waiting is not None:
        return ContainerState(waiting=waiting)
    if record.life is Life.EXITED:
        return ContainerState(terminated=_terminated(record.end(), seen))
    if not init and _lost(gen):
        lost = ContainerStateTerminated(exit_code=LOST_EXIT, reason="ContainerStatusUnknown", message=LOST)
        return ContainerState(terminated=lost)
    reason = "PodInitializing" if gen.pod and gen.pod.spec.init_containers else "ContainerCreating"
    return ContainerState(waiting=ContainerStateWaiting(reason=reason))


def _lost(gen: Generation) -> bool:
    """Whether what never began never will: the pod has ended, and its main containers had their turn."""
    if gen.ending is None or gen.alive:
        return False
    inits = init_containers(gen)
    if not inits or any(record_of(gen, c.name).attempt >= 0 for c in main_containers(gen)):
        return True
    last = record_of(gen, inits[-1].name)
    return last.life is Life.EXITED and last.exit_code == 0


def _waiting(
    gen: Generation, container: Container, record: ContainerRecord, seen: Seen, *, init: bool
) -> ContainerStateWaiting | None:
    """What a container that is to run (again) waits for; None if nothing holds it back."""
    at = seen.at
    if gen.stage is not Stage.ACTIVE:
        return None
    if record.tries and record.waiting_reason:
        return _failed_start(container, record, at)
    if record.life is not Life.EXITED or not _comes_again(gen, container, record, seen, init=init):
        return None
    due = due_at(gen, record, at, seen.behaviours)
    if due <= at:
        return None
    if record.waiting_reason and at < record.failed_at + SHOWN_AS_FAILED:
        return ContainerStateWaiting(reason=record.waiting_reason, message=record.waiting_message)
    wait = _spell((due - record.finished_at) // SECOND)
    namespace, name = split_slot(gen.slot)
    pod = f"{name}_{namespace}({gen.uid})"
    message = f"back-off {wait} restarting failed container={container.name} pod={pod}"
    return ContainerStateWaiting(reason="CrashLoopBackOff", message=message)


def changes_at(gen: Generation, at: int, behaviours: Behaviours) -> list[int]:
    """The moments after `at` at which what containers wait for may read otherwise, though nothing happens."""
    if gen.stage is not Stage.ACTIVE:
        return []
    moments: list[int] = []
    for record in gen.containers.values():
        if not record.running:
            for until, most in waits(record, behaviours):
                moments += (until, until - most)  # where it ends, and where due_at begins to believe in it
            if record.waiting_reason:
                shown = record.failed_at + SHOWN_AS_FAILED
                moments += (shown, shown - CRASH_MAX)
    return [moment for moment in moments if moment > at]


def _failed_start(container: Container, record: ContainerRecord, at: int) -> ContainerStateWaiting:
    reason, message = record.waiting_reason, record.waiting_message
    if reason == "ErrImagePull" and at >= record.failed_at + SHOWN_AS_FAILED:
        message = f'Back-off pulling image "{container.image}": {reason}: {message}'
        return ContainerStateWaiting(reason="ImagePullBackOff", message=message)
    return ContainerStateWaiting(reason=reason, message=message)


def _comes_again(
    gen: Generation, container: Container, record: ContainerRecord, seen: Seen, *, init: bool
) -> bool:
    if is_sidecar(container):
        return True
    return will_restart(gen, record, seen.behaviours) and not (init and record.exit_code == 0)


def _last_state(state: ContainerState, record: ContainerRecord, seen: Seen) -> ContainerState:
    """The end before the present state: of this instance if it waits to run again, else of the one before."""
    ended = record.ended() if state.terminated is None else record.previous
    return ContainerState(terminated=_terminated(ended, seen)) if ended else ContainerState()


def _terminated(ended: Termination, seen: Seen) -> ContainerStateTerminated:
    """An end; what never ran may be known to have ended before anybody tried to start it."""
    started = ended.started_at
    if ended.finished_at and Behaviour.STATUSES_AGREE in seen.behaviours:
        started = min(started, ended.finished_at)
    return ContainerStateTerminated(
        exit_code=ended.exit_code,
        reason=ended.reason,
        message=ended.message,
        started_at=rfc3339(started) if started else "",
        finished_at=rfc3339(ended.finished_at) if ended.finished_at else "",
        container_id=f"{seen.runtime}://{ended.id}" if ended.id else "",
    )


def _spell(seconds: int) -> str:
    """Seconds as Go spells a duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
