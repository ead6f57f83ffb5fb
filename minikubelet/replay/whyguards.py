"""Guards: what holds a pod or a container back at a moment, read from the state.

Belongs here: one sentence for each guard the plan has. May not be here: the plan's decisions; the state is
asked with the core's own functions wherever there is one. Times are microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterator

from minikubelet.core.admission import awaits_labels
from minikubelet.core.backoff import CRASH_MAX
from minikubelet.core.commands import NEXT_SANDBOX, SANDBOX_LANE, Reason
from minikubelet.core.plan import waits_for
from minikubelet.core.plan_sync import due_at
from minikubelet.core.probes import has_started
from minikubelet.core.project import project
from minikubelet.core.restarts import policy_of, restart_policy, will_restart
from minikubelet.core.state import (
    ContainerRecord,
    Generation,
    Life,
    Moment,
    Stage,
    ephemeral_containers,
    init_containers,
    is_sidecar,
    main_containers,
    record_of,
)
from minikubelet.model.pod import ProbeKind
from minikubelet.replay.replaymoments import clock, span
from minikubelet.replay.sentences import of_reason, short
from minikubelet.replay.whyscene import FROM, Scene, next_try, times, what_is_left

_NEVER_RAN = ("StartError", "ContainerCannotRun")


def of_node(scene: Scene) -> Iterator[str]:
    """What holds back everything on the node."""
    if not scene.node.listed:
        yield "the runtime has not been listed yet in this life of the agent: nothing is decided before"


def of_start(scene: Scene, gen: Generation, names: list[str]) -> Iterator[str]:
    """What holds back a start of these containers."""
    yield from of_node(scene)
    yield from _of_stage(scene, gen)
    if gen.stage is not Stage.ACTIVE or gen.pod is None:
        return
    older = waits_for(scene.slot, gen, scene.node)
    if older is not None:
        yield f"waiting for old pod uid {short(older.uid)} to terminate{what_is_left(older, scene)}"
        return
    yield from _of_sandbox(scene, gen)
    if gen.sandbox is None or not gen.sandbox.ready:
        return
    for name in names:
        for text in _of_container(scene, gen, name):
            yield f"container {name}: {text}"


def _of_stage(scene: Scene, gen: Generation) -> Iterator[str]:
    if gen.pod is None:
        yield "it is known from the runtime only: no source has given a definition of it"
    elif gen.stage is Stage.ENDING and gen.ending is not None:
        yield f"the pod is ending since {clock(gen.ending.at)}: {of_reason(gen.ending.reason)}"
        if gen.reborn is not None:
            yield "the same pod is wanted again and starts anew once nothing of it is left"
    elif gen.stage is Stage.FINISHED:
        yield _finished(scene, gen)
    elif gen.stage is Stage.CLEANED:
        yield "nothing is left of the pod on the node; it waits for its API object to go"
    elif not gen.offered and gen.source not in scene.node.synced and gen.source in scene.node.sources:
        yield f"{FROM[gen.source]} has not been listed yet: whether it still holds the pod is not known"
    elif scene.node.max_pods and gen.admitted is None and awaits_labels(gen, scene.node, scene.now):
        yield "the node does not have the labels that the pod asks for; they may be on their way"
    elif gen.lacking:
        lacking = ", ".join(f"{name} {amount}" for name, amount in gen.lacking)
        yield f"the node has no room for this critical pod ({lacking} lacking): others are ended for it"


def _finished(scene: Scene, gen: Generation) -> str:
    if gen.refused is not None:
        return f"the node has refused the pod: {gen.refused.reason}: {gen.refused.message}"
    if gen.over:
        return "the API server shows it as ended already: nothing of it is started"
    if gen.ending is not None and gen.ending.reason is not Reason.POD_FINISHED:
        return f"the pod has ended for good: {of_reason(gen.ending.reason)} ({clock(gen.ending.at)})"
    every = (*init_containers(gen), *main_containers(gen))
    policies = dict.fromkeys(policy_of(gen, c.name, scene.node.behaviours) for c in every)
    policy = " and ".join(policies) or restart_policy(gen)
    return f"the pod has finished: restartPolicy {policy} starts nothing of it again"


def _of_sandbox(scene: Scene, gen: Generation) -> Iterator[str]:
    pending = gen.pending.get(SANDBOX_LANE)
    retry, wait = gen.retries.get(SANDBOX_LANE), gen.retries.get(NEXT_SANDBOX)
    if gen.sandbox is not None and gen.sandbox.ready:
        return
    if gen.sandbox is not None:
        yield f"its sandbox {short(gen.sandbox.id)} is dead and has to be replaced"
        for record in gen.containers.values():
            if record.running:
                yield f"container {record.name} still runs in the dead sandbox and has to end first"
    if pending is not None:
        yield f"{pending.command} is under way since seq {pending.seq}"
    elif retry is not None:
        yield f"sandbox failed {times(retry.tries)}: {retry.message}{next_try(retry.until, scene.now)}"
    elif wait is not None and scene.now < wait.until:
        yield f"{wait.message}{next_try(wait.until, scene.now)}"
    elif gen.sandbox is None:
        yield "it has no sandbox yet"


def _of_container(scene: Scene, gen: Generation, name: str) -> Iterator[str]:
    record = record_of(gen, name)
    container = next((c for c in (*init_containers(gen), *main_containers(gen)) if c.name == name), None)
    if any(c.name == name for c in ephemeral_containers(gen)):
        yield from _of_ephemeral(scene, gen, record)
        return
    if container is None:
        yield "the pod's definition does not name it any more"
        return
    if record.running:
        yield f"it runs since {clock(record.started_at)} (restart {record.attempt})"
        yield from _of_stop(scene, gen, record)
        return
    if name in gen.pending:
        yield f"{gen.pending[name].command} is under way since seq {gen.pending[name].seq}"
        return
    yield from _of_order(scene, gen, name)
    init = container in init_containers(gen)
    if record.life is Life.EXITED and init and not is_sidecar(container) and record.exit_code == 0:
        yield "it is an init container and has completed"
    elif (
        record.life is Life.EXITED
        and not is_sidecar(container)
        and not will_restart(gen, record, scene.node.behaviours)
    ):
        policy = policy_of(gen, name, scene.node.behaviours)
        yield f"restartPolicy {policy} does not start it again after exit code {record.exit_code}"
    yield from _of_back_off(scene, gen, record)


def _of_stop(scene: Scene, gen: Generation, record: ContainerRecord) -> Iterator[str]:
    """What comes of a container that is to end, and does not yet."""
    pending, retry = gen.pending.get(record.name), gen.retries.get(record.name)
    if record.unhealthy is not None:
        yield f"its {record.unhealthy.value.lower()} probe has failed: it is to be stopped, and started again"
    if pending is not None:
        yield f"{pending.command} is under way since seq {pending.seq}"
    elif retry is not None and scene.now < retry.until:
        yield f"its stop failed {times(retry.tries)}: {retry.message}{next_try(retry.until, scene.now)}"


def _of_ephemeral(scene: Scene, gen: Generation, record: ContainerRecord) -> Iterator[str]:
    if record.running:
        yield f"it runs since {clock(record.started_at)}"
    elif record.life is Life.EXITED:
        yield f"an ephemeral container runs once, and it has ended with exit code {record.exit_code}"
    elif record.name in gen.pending:
        yield f"{gen.pending[record.name].command} is under way since seq {gen.pending[record.name].seq}"
    else:
        yield from _of_back_off(scene, gen, record)


def _of_order(scene: Scene, gen: Generation, name: str) -> Iterator[str]:
    sandbox = gen.sandbox.id if gen.sandbox else ""
    if any(record_of(gen, c.name).sandbox_id == sandbox != "" for c in main_containers(gen)):
        return
    for container in init_containers(gen):
        if container.name == name:
            return
        record = record_of(gen, container.name)
        done = record.life is Life.EXITED and record.exit_code == 0
        come = has_started(container, record) if is_sidecar(container) else done
        if not come or record.sandbox_id != sandbox:
            kind = "sidecar" if is_sidecar(container) else "init container"
            runs = record.running and is_sidecar(container) and record.sandbox_id == sandbox
            own = ["it runs, and its startup probe has not passed yet"] if runs else []
            why = "; ".join(own or _of_container(scene, gen, container.name))
            yield f"{kind} {container.name} has to come first{f': {why}' if why else ''}"
            return


def _of_back_off(scene: Scene, gen: Generation, record: ContainerRecord) -> Iterator[str]:
    due = due_at(gen, record, scene.now, scene.node.behaviours)
    if not scene.now < due <= scene.now + CRASH_MAX:
        return
    ends = f"back-off ends in {span(due - scene.now)} ({clock(due)})"
    if record.tries:
        said = f"{record.waiting_reason}: {record.waiting_message}"
        yield f"{ends}: its start failed {times(record.tries)}, {said}"
    elif record.reason in _NEVER_RAN:
        yield f"{ends}: it could not be started at {clock(record.finished_at)}: {record.message}"
    else:
        yield f"{ends}: it exited with {record.exit_code} {record.reason} at {clock(record.finished_at)}"


def of_ready(scene: Scene, gen: Generation, names: list[str]) -> Iterator[str]:
    """What holds back readiness: each condition that does not hold, and why containers do not run."""
    if gen.pod is None:
        yield from _of_stage(scene, gen)
        return
    status = project(gen, scene.node, Moment(0, scene.now))
    sidecars = {container.name for container in init_containers(gen) if is_sidecar(container)}
    shown = (*(s for s in status.init_container_statuses if s.name in sidecars), *status.container_statuses)
    unready = [s.name for s in shown if not s.ready and s.name in names]
    for condition in status.conditions:
        if condition.status != "True":
            said = ": ".join(text for text in (condition.reason, condition.message) if text)
            yield f"condition {condition.type} is {condition.status}{f' ({said})' if said else ''}"
    idle = [name for name in unready if not record_of(gen, name).running]
    if idle or gen.stage is not Stage.ACTIVE:
        yield from of_start(scene, gen, idle)
    for name in unready:
        if name not in idle:
            yield from _of_probes(scene, gen, name)


def _of_probes(scene: Scene, gen: Generation, name: str) -> Iterator[str]:
    """What the probes of a running container have told, or not told yet."""
    record = record_of(gen, name)
    container = next(c for c in (*init_containers(gen), *main_containers(gen)) if c.name == name)
    if record.unhealthy is not None:
        said = scene.probed.get((record.id, record.unhealthy.value), "")
        yield f"container {name}: its {record.unhealthy.value.lower()} probe failed {said}".rstrip()
    elif not has_started(container, record):
        yield f"container {name}: its startup probe has not passed yet"
    elif container.readiness_probe is not None and not record.ready:
        said = scene.probed.get((record.id, ProbeKind.READINESS.value), "")
        told = f"failed {said}" if said else "is not passing"
        yield f"container {name}: its readiness probe {told}"
