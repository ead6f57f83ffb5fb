"""Plan of a running pod: sandbox, init containers one by one, sidecars, main containers.

Belongs here: upstream's computePodActions as a few named steps. May not be here: ends (`plan_stop`).
"""

from __future__ import annotations

from msgspec.structs import replace

from minikubelet.core import lifecycle, probes
from minikubelet.core.backoff import (
    CLOCK_SLACK,
    CRASH_MAX,
    RETRY_MAX,
    SECOND,
    SHOWN_AS_FAILED,
    longest_wait,
    retry_delay,
)
from minikubelet.core.behaviours import Behaviour, Behaviours
from minikubelet.core.commands import (
    NEXT_SANDBOX,
    SANDBOX_LANE,
    Reason,
    RemoveContainer,
    StartContainer,
    StartSandbox,
)
from minikubelet.core.draft import Draft
from minikubelet.core.plan_stop import remove_sandbox, stop, stop_container
from minikubelet.core.restarts import restarts_whatever_ends, sandbox_comes_again, will_restart
from minikubelet.core.state import (
    ContainerRecord,
    Generation,
    Life,
    Retry,
    Sandbox,
    Stage,
    ephemeral_containers,
    init_containers,
    is_sidecar,
    main_containers,
    record_of,
    with_record,
)
from minikubelet.model.pod import Container, EphemeralContainer


def sync(gen: Generation, draft: Draft) -> Generation:
    """Decide the next commands of a generation that is to run."""
    reason = _over(gen, draft)
    if reason is not None:
        ending = lifecycle.new_ending(gen, reason, draft.now, remove=False)
        return stop(replace(gen, ending=ending, stage=Stage.ENDING), ending, draft)
    if gen.sandbox is None or not gen.sandbox.ready:
        return _renew_sandbox(gen, draft)
    sandbox = gen.sandbox
    gen = _ephemeral(_sweep(gen, draft), sandbox, draft)
    gen, initialised = _init(gen, sandbox, draft)
    for container in main_containers(gen) if initialised else ():
        gen = _main(gen, container, sandbox, draft)
    return gen


def _over(gen: Generation, draft: Draft) -> Reason | None:
    """Why the pod is to run no longer, if so."""
    deadline = gen.pod.spec.active_deadline_seconds if gen.pod else None
    if deadline is not None:
        ends_at = gen.born_at + deadline * SECOND
        if ends_at <= draft.now.at:
            return Reason.DEADLINE_EXCEEDED
        draft.wake_by(ends_at)
    return Reason.POD_FINISHED if finished(gen, draft.behaviours) else None


def finished(gen: Generation, behaviours: Behaviours) -> bool:
    """Whether nothing of the pod is ever to be started again by the restart policies that hold."""
    if restarts_whatever_ends(gen, behaviours):
        return False
    if any(p.command == "StartContainer" for p in gen.pending.values()):
        return False
    for container in init_containers(gen):
        record = record_of(gen, container.name)
        failed = record.life is Life.EXITED and record.exit_code != 0
        if failed and not is_sidecar(container) and not will_restart(gen, record, behaviours):
            return True
    records = [record_of(gen, c.name) for c in main_containers(gen)]
    if all(r.life is Life.EXITED and not will_restart(gen, r, behaviours) for r in records):
        return True
    return _lost_for_good(gen, behaviours)


def _lost_for_good(gen: Generation, behaviours: Behaviours) -> bool:
    """A pod that never restarts and whose sandbox died after its containers had started is not made anew."""
    if sandbox_comes_again(gen, behaviours) or (gen.sandbox is not None and gen.sandbox.ready):
        return False
    return any(record.attempt >= 0 for record in gen.containers.values())


def _renew_sandbox(gen: Generation, draft: Draft) -> Generation:
    """Start the first sandbox, or a new one once nothing runs in the one that died."""
    for record in gen.containers.values():
        gen = stop_container(gen, record, draft, Reason.SANDBOX_GONE, lifecycle.grace_of(gen))
    if gen.alive or draft.held_back(gen, SANDBOX_LANE) or draft.held_back(gen, NEXT_SANDBOX):
        return gen
    if Behaviour.SANDBOXES_BACK_OFF in draft.behaviours:
        gen = _bounding_the_next(gen, draft)
    reason, cause = Reason.POD_ADDED, gen.spec_seq
    if SANDBOX_LANE in gen.retries:
        reason, cause = Reason.RETRY, gen.retries[SANDBOX_LANE].seq
    elif gen.sandbox_attempt >= 0:
        reason, cause = Reason.SANDBOX_GONE, gen.sandbox.touched if gen.sandbox else 0
    if gen.sandbox is not None:
        gen = replace(gen, strays=(*gen.strays, gen.sandbox.id), sandbox=None)
    attempt = gen.sandbox_attempt + 1
    command = StartSandbox(slot=gen.slot, reason=reason, uid=gen.uid, attempt=attempt)
    return draft.issue(gen, command, gen.spec_seq, cause)


def _bounding_the_next(gen: Generation, draft: Draft) -> Generation:
    """Let the sandbox after the next wait where they die at once; one that lived for a while begins anew."""
    before, now = gen.retries.get(NEXT_SANDBOX), draft.now
    quick = before is not None and now.at < before.until + RETRY_MAX
    tries = before.tries + 1 if before is not None and quick else 0
    until = now.at + (retry_delay(tries) if tries else 0)
    wait = Retry(tries, until, "its sandboxes end soon after their start", now.seq)
    return replace(gen, retries={**gen.retries, NEXT_SANDBOX: wait})


def _sweep(gen: Generation, draft: Draft) -> Generation:
    """Remove what is left of earlier sandboxes and instances; stop what the definition does not name."""
    for sandbox_id in gen.strays:
        gen = remove_sandbox(gen, sandbox_id, Reason.SANDBOX_SUPERFLUOUS, draft)
    wanted = [c.name for c in (*init_containers(gen), *main_containers(gen), *_debugs(gen, draft))]
    for record in gen.containers.values():
        if record.name not in wanted:
            gen = stop_container(gen, record, draft, Reason.CONTAINER_SUPERFLUOUS, lifecycle.grace_of(gen))
        for container_id in () if gen.strays else record.dead:
            gen = _remove_dead(gen, record.name, container_id, draft)
    return gen


def _remove_dead(gen: Generation, name: str, container_id: str, draft: Draft) -> Generation:
    if draft.held_back(gen, f"remove:{container_id}"):
        return gen
    command = RemoveContainer(
        slot=gen.slot,
        reason=Reason.CONTAINER_SUPERFLUOUS,
        uid=gen.uid,
        container=name,
        container_id=container_id,
    )
    return draft.issue(gen, command, gen.containers[name].touched)


def _debugs(gen: Generation, draft: Draft) -> tuple[EphemeralContainer, ...]:
    return ephemeral_containers(gen) if Behaviour.EPHEMERAL_CONTAINERS in draft.behaviours else ()


def _ephemeral(gen: Generation, sandbox: Sandbox, draft: Draft) -> Generation:
    """Start ephemeral containers, whether the pod is initialised or not; what ran once never runs again."""
    for container in _debugs(gen, draft):
        record = record_of(gen, container.name)
        if record.life is Life.NEVER:
            gen = _start(gen, record, sandbox, draft, target=container.target_container_name)
        elif record.sandbox_id != sandbox.id:
            gen = stop_container(gen, record, draft, Reason.SANDBOX_GONE, lifecycle.grace_of(gen))
    return gen


def _init(gen: Generation, sandbox: Sandbox, draft: Draft) -> tuple[Generation, bool]:
    """Bring the init containers on; true once the main containers may run."""
    if not init_containers(gen):
        return gen, True
    begun = _mains_begun(gen, sandbox)
    for container in init_containers(gen):
        record = record_of(gen, container.name)
        if is_sidecar(container):
            gen = _main(gen, container, sandbox, draft)
            if not begun and not _runs(gen, container, sandbox):
                return gen, False
        elif not begun and not _completed(record, sandbox):
            return _one_init(gen, container, sandbox, draft), False
    return gen, True


def _mains_begun(gen: Generation, sandbox: Sandbox) -> bool:
    records = (record_of(gen, c.name) for c in main_containers(gen))
    return any(r.life is not Life.NEVER and r.sandbox_id == sandbox.id for r in records)


def _runs(gen: Generation, sidecar: Container, sandbox: Sandbox) -> bool:
    record = record_of(gen, sidecar.name)
    return probes.has_started(sidecar, record) and record.sandbox_id == sandbox.id


def _completed(record: ContainerRecord, sandbox: Sandbox) -> bool:
    return record.life is Life.EXITED and record.exit_code == 0 and record.sandbox_id == sandbox.id


def _one_init(gen: Generation, container: Container, sandbox: Sandbox, draft: Draft) -> Generation:
    record = record_of(gen, container.name)
    if record.running:
        waits = Behaviour.INIT_CONTAINERS_RUN_ON in draft.behaviours and record.sandbox_id == sandbox.id
        return gen if waits else _main(gen, container, sandbox, draft)
    return _start(gen, record, sandbox, draft)


def _main(gen: Generation, container: Container, sandbox: Sandbox, draft: Draft) -> Generation:
    """See that a container runs as its definition and the restart policy say."""
    record = record_of(gen, container.name)
    if record.running:
        if record.sandbox_id != sandbox.id:
            return stop_container(gen, record, draft, Reason.SANDBOX_GONE, lifecycle.grace_of(gen))
        if _changed(gen, record):
            gen = with_record(gen, replace(record, again=True))
            return stop_container(gen, record, draft, Reason.CONTAINER_CHANGED, lifecycle.grace_of(gen))
        if record.unhealthy is not None:
            grace = probes.grace_of_unhealthy(gen, container, record.unhealthy)
            return stop_container(gen, record, draft, Reason.UNHEALTHY, grace)
        return _giving_up(gen, record, draft)
    again = is_sidecar(container) or will_restart(gen, record, draft.behaviours)
    if record.life is Life.EXITED and not again:
        return gen
    return _start(gen, record, sandbox, draft)


def _giving_up(gen: Generation, record: ContainerRecord, draft: Draft) -> Generation:
    """A container runs as it should: a stop of it that failed is not tried again, nor its start due."""
    failed = record.again and record.name in gen.retries
    if not failed or Behaviour.FAILED_STOPS_ARE_GIVEN_UP not in draft.behaviours:
        return gen
    if draft.held_back(gen, record.name):
        return gen
    return with_record(gen, replace(record, again=False))


def _changed(gen: Generation, record: ContainerRecord) -> bool:
    wanted = gen.hashes.get(record.name, "")
    return bool(wanted and record.hash and wanted != record.hash)


def waits(record: ContainerRecord, behaviours: Behaviours) -> tuple[tuple[int, int], tuple[int, int]]:
    """When the waits after a failed start and after an end are over, each with the most that may be left."""
    failed, ended = CRASH_MAX, CRASH_MAX
    if Behaviour.WAITS_BEGAN_BEFORE in behaviours:
        failed, ended = longest_wait(record.tries, record.waiting_reason), record.delay + CLOCK_SLACK
    return (record.retry_at, failed), (record.finished_at + record.delay, ended)


def due_at(gen: Generation, record: ContainerRecord, at: int, behaviours: Behaviours) -> int:
    """The moment before which back-off holds a container's next start; a past one, or 0, if nothing does.

    A wait longer than it was to last means that the clock was set back since, and holds nothing.
    """
    failed, ended = waits(record, behaviours)
    crashed = record.life is Life.EXITED and not _changed(gen, record)
    return max(until for until, most in (failed, ended if crashed else (0, 0), (0, 0)) if until <= at + most)


def _start(
    gen: Generation, record: ContainerRecord, sandbox: Sandbox, draft: Draft, target: str = ""
) -> Generation:
    """Start a container unless back-off holds it."""
    if record.name in gen.pending:
        return gen
    due = due_at(gen, record, draft.now.at, draft.behaviours)
    if draft.now.at < due:
        shown_until = record.failed_at + SHOWN_AS_FAILED
        draft.wake_by(shown_until if draft.now.at < shown_until < due else due)
        return gen
    command = StartContainer(
        slot=gen.slot,
        reason=_why_start(gen, record, sandbox),
        uid=gen.uid,
        container=record.name,
        attempt=record.attempt + 1,
        sandbox_id=sandbox.id,
        target=record_of(gen, target).id,
    )
    return draft.issue(gen, command, gen.spec_seq, sandbox.touched, record.touched)


def _why_start(gen: Generation, record: ContainerRecord, sandbox: Sandbox) -> Reason:
    if record.tries:
        return Reason.RETRY
    if record.life is Life.NEVER:
        return Reason.NEXT_IN_ORDER
    if record.sandbox_id != sandbox.id:
        return Reason.SANDBOX_GONE
    return Reason.CONTAINER_CHANGED if _changed(gen, record) else Reason.CONTAINER_EXITED
