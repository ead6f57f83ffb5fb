"""Sentences: what an event tells and what a command orders, in the words of a person who knows Kubernetes.

Belongs here: one sentence for each kind of record. May not be here: chains of causes (`whychains`).
"""

from __future__ import annotations

import re
from typing import Any, assert_never

import msgspec

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.model.ids import Source
from minikubelet.model.observed import ContainerPhase, ObservedPod
from minikubelet.model.status import ContainerStatus, PodStatus

_SOURCES = {Source.FILE: "the manifest folder", Source.API: "the API server"}
_UID_SHOWN = 12
_DIGEST = re.compile(r"(\bsha256:[0-9a-f]{12})[0-9a-f]{52}\b")
_UNTOLD = ("kind", "v", "slot", "uid", "reason")


def short(uid: str) -> str:
    """As much of an id as tells it from others."""
    return uid[:_UID_SHOWN]


def in_one_line(text: str) -> str:
    """A text that others wrote, such as what a probe printed: line ends as `⏎`, control characters spelt."""
    line = "⏎".join(text.strip().splitlines())
    return line if line.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)


def of_event(event: e.AnyEvent) -> str:
    """What happened, in one sentence without its full stop."""
    return in_one_line(_happened(event))


def _happened(event: e.AnyEvent) -> str:
    match event:
        case e.PodSet():
            return _pod_set(event)
        case e.PodWithdrawn():
            return f"{_SOURCES[event.source]} no longer holds pod uid {short(event.uid)}{_from(event.origin)}"
        case e.MirrorSeen():
            leaving = ", being deleted" if event.deleting else ""
            return f"the API server holds mirror pod {short(event.uid)}{leaving}"
        case e.MirrorGone():
            return f"the API server no longer holds mirror pod {short(event.uid)}"
        case e.PodObserved():
            return f"the runtime showed {_observed(event.pod)}"
        case e.TimerFired():
            return "the timer fired"
        case _ if isinstance(event, e.NodeEvent):
            return _of_node(event)
        case _:
            return _of_result(event)


def _of_node(event: e.NodeEvent) -> str:
    match event:
        case e.AgentStarted():
            return f"agent started on {event.node} (runtime {event.runtime or 'unknown'})"
        case e.NodeSeen():
            return f"the API server's Node has {len(event.labels)} labels and {len(event.taints)} taints"
        case e.SourceSynced():
            return f"{_SOURCES[event.source]} was listed in full ({len(event.present)} pods)"
        case e.RuntimeListed():
            return f"the runtime was listed in full ({event.pods} pods)"
        case e.ManifestsJudged():
            return _judged(event)
        case e.NodeMeasured():
            return _measured(event)
        case e.NodeShuttingDown():
            whose = "every pod" if event.below is None else f"pods of a priority below {event.below}"
            return f"the machine is going down: {whose} must end within {event.grace}s"
        case e.NodeShutdownCancelled():
            return "the machine stays up after all"
        case _ as never:
            assert_never(never)


def _of_result(event: e.AnyEvent) -> str:  # noqa: C901, PLR0912 - one arm an event
    match event:
        case e.SandboxStarted():
            address = f", address {', '.join(event.ips)}" if event.ips else ""
            return f"sandbox {short(event.sandbox_id)} started (attempt {event.attempt}{address})"
        case e.SandboxStartFailed():
            return (
                f"the sandbox could not be started (attempt {event.attempt}): {event.reason}: {event.message}"
            )
        case e.ContainerStarted():
            instance = f"restart {event.attempt}, id {short(event.container_id)}"
            return f"container {event.container} started ({instance})"
        case e.ContainerStartFailed():
            return f"container {event.container} could not be started: {event.reason}: {event.message}"
        case e.ContainerStopped():
            return f"container {event.container} was stopped, exit code {event.exit_code}"
        case e.ContainerProbed():
            return _probed(event)
        case e.StorageMeasured():
            return f"the pod has written {event.total} bytes to the node's disk, more than it may"
        case e.ContainerRemoved():
            return f"dead container {event.container} ({short(event.container_id)}) was removed"
        case e.SandboxStopped():
            return f"sandbox {short(event.sandbox_id)} was stopped"
        case e.SandboxRemoved():
            return f"sandbox {short(event.sandbox_id)} was removed"
        case e.PodCleanedUp():
            return "nothing of the pod is left on the node"
        case e.CommandFailed():
            of = f" of {event.lane}" if event.command in ("StopContainer", "StartContainer") else ""
            return f"{event.command}{of} failed: {event.reason}: {event.message}"
        case _:
            return otherwise(event)


def _probed(event: e.ContainerProbed) -> str:
    said = f": {event.message}" if event.message and not event.passed else ""
    passed = "passed" if event.passed else "failed"
    return f"the {event.probe.value.lower()} probe of container {event.container} {passed}{said}"


def of_origin(origin: str) -> str:
    """Where a definition came from, with as much of a digest as tells it from others."""
    if origin.isdigit():
        return f"resourceVersion {origin}"
    return _DIGEST.sub(r"\1…", origin)


def _from(origin: str) -> str:
    return f" ({of_origin(origin)})" if origin else ""


def _measured(event: e.NodeMeasured) -> str:
    told = (f"{each.signal.value} {each.available} of {each.capacity}" for each in event.signals)
    return f"the node was measured: {', '.join(told)}"


def _judged(event: e.ManifestsJudged) -> str:
    others = "".join(
        f"; {what}: {', '.join(file for file, _ in files)}"
        for what, files in (("no pods, and not run", event.foreign), ("shadowed by others", event.shadowed))
        if files
    )
    if not event.rejected:
        return f"all {event.accepted} manifests are sound{others}"
    broken = "; ".join(f"{file}: {what}" for file, what in event.rejected)
    if is_folder(event.rejected[0][0]):
        return f"the manifest folder cannot be used: {broken}"
    return f"{len(event.rejected)} broken manifest(s): {broken}{others}"


def is_folder(rejected: str) -> bool:
    """Whether what was rejected is the whole folder: it has a path, and a file in it a name alone."""
    return "/" in rejected


def _pod_set(event: e.PodSet) -> str:
    uid = short(event.uid)
    if event.deletion_at is not None:
        grace = "its own grace period" if event.deletion_grace is None else f"grace {event.deletion_grace}s"
        return f"the API server wants pod uid {uid} deleted ({grace})"
    names = ", ".join(one.name for one in event.pod.spec.every_container)
    gates = "".join(f", {kind} {status}" for kind, status in event.gates)
    return f"{_SOURCES[event.source]} holds pod uid {uid}{_from(event.origin)}: {names}{gates}"


def _observed(pod: ObservedPod) -> str:
    parts = [f"sandbox {short(s.id)} {'ready' if s.ready else 'dead'}" for s in pod.sandboxes]
    for seen in pod.containers:
        text = f"{seen.name} {seen.phase.value}"
        if seen.phase is ContainerPhase.EXITED:
            reason = f" {seen.reason}" if seen.reason else ""
            text = f"{seen.name} exited with {seen.exit_code}{reason} (restart {seen.attempt})"
        parts.append(text)
    return ", ".join(parts) if parts else "nothing of the pod"


def of_command(command: c.Command) -> str:
    """What was ordered, in the imperative."""
    return in_one_line(_ordered(command))


def _ordered(command: c.Command) -> str:  # noqa: C901, PLR0912 - one arm a command
    match command:
        case c.StartSandbox():
            return f"start the sandbox (attempt {command.attempt})"
        case c.StopSandbox():
            return f"stop sandbox {short(command.sandbox_id)}"
        case c.RemoveSandbox():
            return f"remove sandbox {short(command.sandbox_id)}"
        case c.StartContainer():
            return f"start container {command.container} (restart {command.attempt})"
        case c.StopContainer():
            return f"stop container {command.container} (grace {command.grace}s)"
        case c.RemoveContainer():
            return f"remove dead container {command.container} ({short(command.container_id)})"
        case c.CleanUpPod():
            return "clean up what is left of the pod"
        case c.PublishStatus():
            return f"publish status {of_status(command.status)}"
        case c.CreateMirror():
            return "create the mirror pod"
        case c.DeleteMirror():
            return f"delete mirror pod {short(command.mirror_uid)}"
        case c.DeleteApiPod():
            return "release the deleted pod at the API server"
        case c.WakeAt():
            return "wake up later"
        case _:
            return otherwise(command)


def of_status(status: PodStatus) -> str:
    """A status in brief: phase, readiness, and what each container does."""
    ready = any(one.type == "Ready" and one.status == "True" for one in status.conditions)
    states = [_container(s) for s in (*status.init_container_statuses, *status.container_statuses)]
    said = f": {status.message}" if status.message else ""
    reason = f" ({status.reason}{said})" if status.reason else ""
    told = f": {', '.join(states)}" if states else ""
    return f"{status.phase}{reason}, {'ready' if ready else 'not ready'}{told}"


def _container(status: ContainerStatus) -> str:
    state = status.state
    if state.running is not None:
        return f"{status.name} running"
    if state.terminated is not None:
        return f"{status.name} terminated {state.terminated.exit_code}"
    return f"{status.name} waiting {state.waiting.reason if state.waiting else ''}".rstrip()


_REASONS = {
    c.Reason.POD_ADDED: "the pod was added",
    c.Reason.POD_REPLACED: "another definition of the pod took its place",
    c.Reason.POD_REMOVED: "its source no longer holds the pod",
    c.Reason.POD_DELETED: "the pod was deleted at the API server",
    c.Reason.POD_FINISHED: "the pod has finished: its restart policy starts nothing again",
    c.Reason.POD_UNKNOWN: "no source knows this pod, it was only found on the runtime",
    c.Reason.POD_REFUSED: "the node does not take the pod",
    c.Reason.POD_PREEMPTED: "a critical pod had no room, and this one gives way to it",
    c.Reason.POD_EVICTED: "the node evicts the pod",
    c.Reason.NODE_SHUTDOWN: "the machine is going down",
    c.Reason.DEADLINE_EXCEEDED: "activeDeadlineSeconds has passed",
    c.Reason.NEXT_IN_ORDER: "its turn had come: all that comes before it is done",
    c.Reason.CONTAINER_EXITED: "the container had exited and its restart policy starts it again",
    c.Reason.CONTAINER_CHANGED: "the container's definition changed",
    c.Reason.CONTAINER_SUPERFLUOUS: "the pod's definition no longer has it",
    c.Reason.UNHEALTHY: "the container had failed its startup or liveness probe",
    c.Reason.SANDBOX_GONE: "the sandbox it ran in is gone",
    c.Reason.SANDBOX_SUPERFLUOUS: "a newer sandbox has taken its place",
    c.Reason.RETRY: "the attempt before had failed and its back-off was over",
    c.Reason.GRACE_SHORTENED: "a shorter grace period was asked for",
    c.Reason.STATUS_CHANGED: "what is shown of the pod changed",
    c.Reason.MIRROR_MISSING: "a static pod has to have a mirror pod",
    c.Reason.MIRROR_OUTDATED: "the mirror pod shows an older definition, or is being deleted",
    c.Reason.MIRROR_ORPHANED: "there is no static pod for it any more",
    c.Reason.TIMER: "something is due then",
}


def of_reason(reason: c.Reason) -> str:
    """Why a command was decided, as the clause behind `because`."""
    return _REASONS.get(reason) or _words(reason.value)


def because(command: c.Command) -> str:
    """Why this command was decided, as `of_reason`."""
    if isinstance(command, c.RemoveContainer) and command.reason is c.Reason.CONTAINER_SUPERFLUOUS:
        return "a newer one has taken its place"
    return of_reason(command.reason)


def otherwise(body: msgspec.Struct) -> str:
    """A record that has no sentence of its own yet: its name in words, and its fields."""
    fields = msgspec.to_builtins(body)
    told = [
        f"{key} {value}" for key, value in fields.items() if key not in _UNTOLD and value not in ("", None)
    ]
    return f"{_words(type(body).__name__)}{': ' if told else ''}{', '.join(told)}"


def _words(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()


def subject_of(body: Any) -> str:
    """The container that an event or a command is about, or nothing."""
    return getattr(body, "container", "")
