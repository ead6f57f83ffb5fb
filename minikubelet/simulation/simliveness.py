"""The judge of liveness: what has to be so once the faults have ended.

Belongs here: wanted = running = reported, nothing left over. May not be here: what must never happen
(`simsafety`). Everything is looked at from outside but the leaks, which only show inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from minikubelet.core.state import Stage
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.pod import Pod, ProbeKind
from minikubelet.model.status import from_rfc3339
from minikubelet.ports.apiport import JsonObject
from minikubelet.runtimes.simulated.simulatedpod import Sandbox
from minikubelet.simulation.simengine import NODE, Instance
from minikubelet.simulation.simleftovers import superfluous
from minikubelet.simulation.simlife import AgentLife
from minikubelet.simulation.simloop import SECOND
from minikubelet.simulation.simpatience import LONGEST
from minikubelet.simulation.simprobes import SimProbes
from minikubelet.simulation.simrestarts import UNKNOWN
from minikubelet.simulation.simwanted import NEVER, Wanted
from minikubelet.simulation.simworld import World
from minikubelet.wire.podmarks import CONFIG_MIRROR

_OVER: Final = ("Succeeded", "Failed")


def unsettled(world: World) -> Iterator[str]:
    """What is not yet as it has to be, in sentences."""
    if world.engine.under_way:
        yield f"{world.engine.under_way} calls of the engine are under way"
    yield from astray(world)


def astray(world: World) -> Iterator[str]:
    """What is not as it has to be, whatever is under way to look at it."""
    agent = world.agent
    if agent is None:
        yield "the agent does not run"
        return
    if not agent.reducer.node.listed:
        yield "the agent has not listed what runs in this life"
    world.engine.settle()
    wanted = {uid: each for uid, each in world.book.pods.items() if each.gone_since == NEVER}
    yield from _files_known(world, wanted)
    for each in wanted.values():
        yield from _pod(world, each)
    yield from superfluous(world, wanted)
    if world.scenario.has_api:
        yield from _upstream(world, wanted)
    yield from _inside(agent, wanted)


def _files_known(world: World, wanted: dict[PodUid, Wanted]) -> Iterator[str]:
    """What the folder and the API server hold is what has reached the agent."""
    seen = {each.uid for each in wanted.values() if each.source is Source.FILE}
    there: set[PodUid] = set()
    for name in world.folder.manifests():
        there.update(world.book.defined(name, world.folder.files[name].content))
    if seen != there:
        yield f"the folder defines {sorted(there)}, and what has reached the agent is {sorted(seen)}"
    for found in world.api.pods.values() if world.scenario.has_api else ():
        if _is_mirror(found) or found["metadata"].get("deletionTimestamp"):
            continue
        known = wanted.get(PodUid(found["metadata"]["uid"]))
        if known is None or known.source is not Source.API or known.spec != found["spec"]:
            yield f"{found['metadata']['name']} at the API server has not reached the agent"


def _pod(world: World, wanted: Wanted) -> Iterator[str]:
    status = _status(world, wanted)
    running = [each for each in world.engine.running() if each.uid == wanted.uid]
    for each in running:
        kind = ProbeKind.LIVENESS if world.probe_judge.started(each) else ProbeKind.STARTUP
        if world.probes.is_ill(each.id, kind):
            yield f"{each.id} answers its probes ill for good, and is not ended"
        for asked, good in world.probe_judge.results(each).items():
            if good is not (not world.probes.is_ill(each.id, asked)):
                yield f"{each.id} has not come to the last result of its {asked.value} probe"
    if any(wanted.may_end(c.name) for c in wanted.pod.spec.containers):
        yield from _job(world, wanted, running, status)
        return
    deadline = wanted.pod.spec.active_deadline_seconds
    if deadline is not None:
        yield from _job(world, wanted, running, status)
        return
    yield from _runs(world, wanted, running)
    if status is not None:
        yield from _reported(wanted, running, status, world.probes)


def _runs(world: World, wanted: Wanted, running: list[Instance]) -> Iterator[str]:
    boxes = _boxes(world, wanted)
    if len(boxes) != 1 or not boxes[0].shown.ready:
        yield f"{wanted.slot} has {len(boxes)} sandboxes"
        return
    for name in (*wanted.sidecars(), *(c.name for c in wanted.pod.spec.containers)):
        found = [each for each in running if each.name == name]
        if len(found) != 1:
            yield f"{wanted.slot} {name} runs {len(found)} times"
        elif found[0].hash != wanted.hashes[name]:
            yield f"{wanted.slot} {name} runs by an older definition"


def _boxes(world: World, wanted: Wanted) -> list[Sandbox]:
    return [s for s in world.engine.sandboxes.values() if s.node == NODE and s.config.uid == wanted.uid]


def _reported(
    wanted: Wanted, running: list[Instance], status: JsonObject, probes: SimProbes
) -> Iterator[str]:
    if status.get("phase") != "Running":
        yield f"{wanted.slot} is told to be {status.get('phase')}"
    ready = {each["type"]: each["status"] for each in status.get("conditions", ())}
    unready = [each.id for each in running if probes.is_ill(each.id, ProbeKind.READINESS)]
    if ready.get("Ready") != str(not unready):
        yield f"{wanted.slot} is told to be ready: {ready.get('Ready')}, and {unready} are not"
    for shown in (*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())):
        if wanted.once(shown["name"]):
            continue
        ids = [each.id for each in running if each.name == shown["name"]]
        told = shown.get("containerID", "").partition("://")[2]
        if "running" not in shown.get("state", {}) or told not in ids:
            yield f"{wanted.slot} {shown['name']} is told to be {shown.get('state')}"


def _job(world: World, wanted: Wanted, running: list[Instance], status: JsonObject | None) -> Iterator[str]:
    """A pod that may come to its end: it has, or its containers run."""
    told = status.get("phase") if status is not None else None
    deadline = wanted.pod.spec.active_deadline_seconds is not None
    if told in _OVER:
        if running:
            yield f"{wanted.slot} is told to be {told} and {running[0].id} runs"
        every = (*wanted.pod.spec.init_containers, *wanted.pod.spec.containers)
        if told == "Failed" and all(wanted.restarts(c.name, 1) for c in every) and not deadline:
            yield f"{wanted.slot} is told to have failed, and whatever fails is started again"
    elif deadline and not _kept_by_the_clock(world, wanted, status):
        yield f"{wanted.slot} has a deadline and is told to be {told}"
    else:
        yield from _goes_on(world, wanted, running, status)


def _kept_by_the_clock(world: World, wanted: Wanted, status: JsonObject | None) -> bool:
    """Whether the clock was set back after the pod came, so that its deadline is later than anybody waits."""
    began, deadline = (status or {}).get("startTime"), wanted.pod.spec.active_deadline_seconds
    if not began or deadline is None or wanted.first_at > world.safety.jumped_at:
        return False
    left = from_rfc3339(began) + deadline * SECOND - world.agent_clock.now()
    return left > LONGEST * SECOND


def _goes_on(
    world: World, wanted: Wanted, running: list[Instance], status: JsonObject | None
) -> Iterator[str]:
    yield from _sidecars(wanted, running)
    for container in wanted.pod.spec.containers:
        made = [
            each
            for each in world.engine.instances()
            if (each.uid, each.name) == (wanted.uid, container.name)
            and each.started_at > max(0, wanted.cleaned_at)
        ]
        last = made[-1] if made else None
        if last is None or not (last.running or _may_rest(last, wanted)):
            yield f"{wanted.slot} {container.name} neither runs nor has ended well"
        elif last.ended_at and not last.gone and not world.safety.restarts.knows(last):
            yield f"{last.id} has ended, and the agent was not told"
        elif last.running and last.hash != wanted.hashes[container.name]:
            yield f"{wanted.slot} {container.name} runs by an older definition"
    programs = [world.engine.containers[each.id] for each in running]
    if any(each.script.seconds is not None for each in programs):
        yield f"{wanted.slot} is about to end"
    boxes = _boxes(world, wanted)
    if running and not any(each.shown.ready for each in boxes):
        yield f"{wanted.slot} runs, and its sandbox does not live"
    # Of one that a refusing disk forgot, nobody knows that it is to be stopped.
    forgotten = world.safety.restarts.amnesia_at != NEVER
    if not running and not forgotten and any(each.shown.ready for each in boxes):
        yield f"{wanted.slot} has ended, and its sandbox lives"
    if status is not None and not running:
        yield f"{wanted.slot} has ended and that is not told"
    elif status is not None:
        yield from _job_reported(wanted, running, status)


def _sidecars(wanted: Wanted, running: list[Instance]) -> Iterator[str]:
    """They run for as long as a main container does, and no longer."""
    runs = {each.name for each in running}
    needed = any(each.name in runs for each in wanted.pod.spec.containers)
    for name in wanted.sidecars():
        if needed and name not in runs:
            yield f"{wanted.slot} {name} does not run beside the main containers"
        elif not needed and name in runs:
            yield f"{wanted.slot} {name} runs on, and no main container does"


def _may_rest(last: Instance, wanted: Wanted) -> bool:
    """Whether a container that does not run is left so by the restart policy; a lost one has failed.

    One that was ended for another definition was ended to run by that, whatever its policy says.
    """
    if last.stopped_for == "changed" and last.hash != wanted.hashes[last.name]:
        return False
    if last.gone and not last.ended_at:
        return not wanted.restarts(last.name, UNKNOWN)
    return bool(last.ended_at) and not wanted.restarts(last.name, last.exit_code)


def _job_reported(wanted: Wanted, running: list[Instance], status: JsonObject) -> Iterator[str]:
    for shown in status.get("containerStatuses", ()):
        runs = any(each.name == shown["name"] for each in running)
        if runs != ("running" in shown.get("state", {})):
            yield f"{wanted.slot} {shown['name']} is told to be {shown.get('state')}"


def _status(world: World, wanted: Wanted) -> JsonObject | None:
    """What the API server shows of the pod; None where there is no API server."""
    if not world.scenario.has_api:
        return None
    pod = world.api.pods.get(wanted.slot)
    return dict(pod.get("status") or {}) if pod is not None else {}


def _upstream(world: World, wanted: dict[PodUid, Wanted]) -> Iterator[str]:
    static = {each.slot: each for each in wanted.values() if each.source is Source.FILE}
    for key, pod in world.api.pods.items():
        if _is_mirror(pod):
            shown = static.get(SlotKey(key))
            if shown is None or shown.uid != pod["metadata"]["annotations"][CONFIG_MIRROR]:
                yield f"the mirror {key} is not that of a static pod that is wanted"
            elif not _mirrors(pod, shown.pod):
                yield f"the mirror {key} shows another definition than its file"
        elif pod["metadata"].get("deletionTimestamp"):
            yield f"{key} is to be deleted and is still at the API server"
    for slot in static:
        if slot not in world.api.pods:
            yield f"{slot} has no mirror"


def _mirrors(mirror: JsonObject, pod: Pod) -> bool:
    """Whether a mirror pod shows what the file says."""
    shown = [(each["name"], each["image"], each.get("command", [])) for each in mirror["spec"]["containers"]]
    said = [(each.name, each.image, list(each.command)) for each in pod.spec.containers]
    return shown == said and (mirror["metadata"].get("labels") or {}) == dict(pod.metadata.labels)


def _is_mirror(pod: JsonObject) -> bool:
    return CONFIG_MIRROR in (pod["metadata"].get("annotations") or {})


def _inside(agent: AgentLife, wanted: dict[PodUid, Wanted]) -> Iterator[str]:
    known = {gen.uid for slot in agent.reducer.slots.values() for gen in slot.generations}
    for uid in sorted(known - wanted.keys()):
        yield f"the agent still knows {uid}, which nobody wants"
    for slot in agent.reducer.slots.values():
        if any(gen.pending or gen.stage is Stage.ENDING for gen in slot.generations):
            yield f"a command of {slot.key} is under way, or its end is"
    if agent.journal.health.degraded:
        yield "the journal is degraded"
    if len(agent.wired.inbox):
        yield "the inbox is not empty"
    stats = agent.outbox.stats() if agent.has_api else None
    if stats is not None and stats.pending:
        yield f"{stats.pending} slots have something left to tell"
