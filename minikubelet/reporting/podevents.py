"""Pod Events: which facts and decisions `kubectl describe pod` tells, in upstream's words.

Belongs here: reasons and messages (upstream's pkg/kubelet/events/event.go). May not be here: sending them
(`eventrecorder`).
"""

from __future__ import annotations

from collections.abc import Callable

from minikubelet.core.commands import Decision, PublishStatus, Reason, StartSandbox, StopContainer
from minikubelet.core.events import (
    AnyEvent,
    ContainerProbed,
    ContainerStarted,
    ContainerStartFailed,
    ManifestsJudged,
    SandboxStartFailed,
)
from minikubelet.model.ids import PodUid, SlotKey, split_slot
from minikubelet.model.pod import Pod, ProbeKind
from minikubelet.reporting.eventrecorder import (
    MOST_REMEMBERED,
    EventRecorder,
    EventType,
    Subject,
    about_node,
    about_pod,
)

NOT_MOUNTED = ("ContainerCreating", "PodInitializing")
"""Under these reasons containers wait for volumes, as if nothing had happened yet."""
REJECTED = "Pod was rejected: "
EVICTED = ("Preempting", "Evicted")
BACK_OFF = ("CrashLoopBackOff", "ImagePullBackOff")


class PodEvents:
    """Watches events and decisions go by, and records what a person would want to read of them."""

    def __init__(
        self, recorder: EventRecorder, node: str, full_pod: Callable[[PodUid], Pod | None] = lambda _: None
    ) -> None:
        self._recorder = recorder
        self._node = node
        self._full_pod = full_pod
        self._unhealthy: dict[tuple[PodUid, str], ProbeKind] = {}
        self._backing_off: dict[PodUid, frozenset[tuple[str, str, str]]] = {}
        self._rejected: frozenset[tuple[str, str]] = frozenset()

    def seen(self, event: AnyEvent, decisions: list[Decision]) -> None:
        """Take note of an event and of what was decided from it."""
        self._event(event)
        for decision in decisions:
            match decision.command:
                case StopContainer() as stop:
                    subject = about_pod(stop.slot, stop.uid, stop.container)
                    self._normal(subject, "Killing", self._killing(stop))
                case StartSandbox(reason=Reason.SANDBOX_GONE) as start:
                    message = "Pod sandbox changed, it will be killed and re-created."
                    self._normal(about_pod(start.slot, start.uid), "SandboxChanged", message)
                case PublishStatus() as told:
                    self._back_off(told)
                    self._refused(told)
                    self._evicted(told)
                case _:
                    pass

    def warn(self, slot: SlotKey, uid: PodUid, container: str, reason: str, message: str) -> None:
        """Tell what went wrong with a container beside events and decisions: a probe's answer, a hook."""
        self._warning(about_pod(slot, uid, container), reason, message)

    def note(self, slot: SlotKey, uid: PodUid, container: str, reason: str, message: str) -> None:
        """Tell what happened to a container beside events and decisions: a pull of its image."""
        self._normal(about_pod(slot, uid, container), reason, message)

    def _killing(self, stop: StopContainer) -> str:
        kind = self._unhealthy.pop((stop.uid, stop.container), None)
        if stop.reason is not Reason.UNHEALTHY:
            return f"Stopping container {stop.container}"
        probe = f"{kind.value.lower()} probe" if kind else "its probe"
        pod = self._full_pod(stop.uid)
        never = pod is not None and _policy(pod, stop.container) == "Never"
        return f"Container {stop.container} failed {probe}{'' if never else ', will be restarted'}"

    def _event(self, event: AnyEvent) -> None:
        match event:
            case ContainerStarted():
                subject = about_pod(event.slot, event.uid, event.container)
                self._normal(subject, "Created", f"Created container: {event.container}")
                self._normal(subject, "Started", f"Started container {event.container}")
            case ContainerStartFailed():
                subject = about_pod(event.slot, event.uid, event.container)
                if event.reason in NOT_MOUNTED:
                    self._warning(about_pod(event.slot, event.uid), "FailedMount", event.message)
                    return
                self._not_started(subject, event)
            case ContainerProbed():
                if event.probe is not ProbeKind.READINESS and not event.passed:
                    self._unhealthy[event.uid, event.container] = event.probe
            case SandboxStartFailed():
                message = f"Failed to create pod sandbox: {event.message}"
                self._warning(about_pod(event.slot, event.uid), "FailedCreatePodSandBox", message)
            case ManifestsJudged():
                for file, wrong in sorted(frozenset(event.rejected) - self._rejected):
                    self._warning(
                        about_node(self._node), "FailedValidation", f"Static pod file {file}: {wrong}"
                    )
                self._rejected = frozenset(event.rejected)
            case _:
                pass

    def _not_started(self, subject: Subject, event: ContainerStartFailed) -> None:
        """As upstream, a failure over the image is told in words and then by its reason."""
        match event.reason:
            case "ErrImagePull":
                image = self._image(event.uid, event.container)
                self._warning(subject, "Failed", f'Failed to pull image "{image}": {event.message}')
            case "ErrImageNeverPull":
                self._warning(subject, "ErrImageNeverPull", event.message)
            case "InvalidImageName":
                self._warning(subject, "InspectFailed", event.message)
            case _:
                self._warning(subject, "Failed", f"Error: {event.message}")
                return
        self._warning(subject, "Failed", f"Error: {event.reason}")

    def _image(self, uid: PodUid, name: str) -> str:
        pod = self._full_pod(uid)
        every = (*pod.spec.init_containers, *pod.spec.containers) if pod is not None else ()
        return next((each.image for each in every if each.name == name), "")

    def _refused(self, told: PublishStatus) -> None:
        status = told.status
        if status.message.startswith(REJECTED):
            subject = about_pod(told.slot, told.uid)
            self._warning(subject, status.reason, status.message.removeprefix(REJECTED))

    def _evicted(self, told: PublishStatus) -> None:
        if told.status.reason in EVICTED and not told.status.message.startswith(REJECTED):
            self._warning(about_pod(told.slot, told.uid), told.status.reason, told.status.message)

    def _back_off(self, told: PublishStatus) -> None:
        status = told.status
        every = (*status.init_container_statuses, *status.container_statuses)
        waiting = {s.name: s.state.waiting for s in every if s.state.waiting is not None}
        now = frozenset((name, w.reason, w.message) for name, w in waiting.items() if w.reason in BACK_OFF)
        for name, reason, _ in sorted(now - self._backing_off.get(told.uid, frozenset())):
            subject = about_pod(told.slot, told.uid, name)
            if reason == "ImagePullBackOff":
                text = f'Back-off pulling image "{self._image(told.uid, name)}"'
                self._normal(subject, "BackOff", text)
                self._warning(subject, "Failed", f"Error: {reason}")
                continue
            namespace, pod = split_slot(told.slot)
            text = f"Back-off restarting failed container {name} in pod {pod}_{namespace}({told.uid})"
            self._warning(subject, "BackOff", text)
        if now:
            self._backing_off[told.uid] = now
            if len(self._backing_off) > MOST_REMEMBERED:
                del self._backing_off[next(iter(self._backing_off))]
        else:
            self._backing_off.pop(told.uid, None)

    def _normal(self, subject: Subject, reason: str, message: str) -> None:
        self._recorder.record(subject, EventType.NORMAL, reason, message)

    def _warning(self, subject: Subject, reason: str, message: str) -> None:
        self._recorder.record(subject, EventType.WARNING, reason, message)


def _policy(pod: Pod, name: str) -> str:
    """The restart policy of a container: its own, or its pod's."""
    every = (*pod.spec.init_containers, *pod.spec.containers)
    return next((c.restart_policy for c in every if c.name == name), "") or pod.spec.restart_policy
