"""Events of probes and hooks, in the words that `kubectl describe pod` shows under upstream's kubelet."""

from __future__ import annotations

import pytest

from minikubelet.core.commands import Decision, PublishStatus, Reason, StopContainer
from minikubelet.core.events import AnyEvent, ContainerProbed, TimerFired
from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Container, Pod, PodSpec, ProbeKind
from minikubelet.model.status import PodStatus
from minikubelet.reporting.eventrecorder import EventRecorder, EventType, Subject
from minikubelet.reporting.podevents import PodEvents
from tests.reporting.reporting_world import SLOT, MemoryApi

UID = PodUid("u1")


class Recorder(EventRecorder):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(MemoryApi(), node="node-1", now=lambda: 0)
        self.kept: list[tuple[EventType, str, str]] = []

    def record(self, subject: Subject, kind: EventType, reason: str, message: str) -> None:
        assert subject.uid == UID
        self.kept.append((kind, reason, message))


def probed(kind: ProbeKind, *, passed: bool = False) -> ContainerProbed:
    return ContainerProbed(
        slot=SLOT, uid=UID, container="web", container_id="c1", probe=kind, passed=passed, message="no"
    )


def stop(reason: Reason) -> Decision:
    command = StopContainer(slot=SLOT, reason=reason, uid=UID, container="web", container_id="c1", grace=30)
    return Decision(command, (1,))


def killing(policy: str, reason: Reason, *events: AnyEvent, own: str = "") -> str:
    """What is told of a stop that the last of these events led to."""
    recorder = Recorder()
    pod = Pod(spec=PodSpec(containers=(Container(name="web", restart_policy=own),), restart_policy=policy))
    events_of = PodEvents(recorder, "node-1", lambda _: pod)
    for event in events[:-1]:
        events_of.seen(event, [])
    events_of.seen(events[-1], [stop(reason)])
    (told,) = recorder.kept
    assert told[:2] == (EventType.NORMAL, "Killing")
    return told[2]


@pytest.mark.parametrize(
    ("policy", "kind", "words"),
    [
        ("Always", ProbeKind.LIVENESS, "Container web failed liveness probe, will be restarted"),
        ("OnFailure", ProbeKind.STARTUP, "Container web failed startup probe, will be restarted"),
        ("Never", ProbeKind.LIVENESS, "Container web failed liveness probe"),
    ],
)
def test_a_stop_for_a_failed_probe_says_which(policy: str, kind: ProbeKind, words: str) -> None:
    assert killing(policy, Reason.UNHEALTHY, probed(kind)) == words


def test_a_containers_own_policy_decides_whether_it_is_said_to_come_again() -> None:
    told = killing("Never", Reason.UNHEALTHY, probed(ProbeKind.LIVENESS), own="Always")
    assert told == "Container web failed liveness probe, will be restarted"
    told = killing("Always", Reason.UNHEALTHY, probed(ProbeKind.LIVENESS), own="Never")
    assert told == "Container web failed liveness probe"


def test_a_stop_that_comes_later_still_knows_which_probe_failed() -> None:
    timer = TimerFired(slot=SLOT)
    told = killing("Always", Reason.UNHEALTHY, probed(ProbeKind.LIVENESS), timer)
    assert told == "Container web failed liveness probe, will be restarted"
    told = killing("Always", Reason.UNHEALTHY, timer)
    assert told == "Container web failed its probe, will be restarted"


def test_any_other_stop_says_that_it_stops() -> None:
    ready = probed(ProbeKind.READINESS)
    assert killing("Always", Reason.POD_REMOVED, ready) == "Stopping container web"


def test_what_probes_and_hooks_say_is_a_warning() -> None:
    recorder = Recorder()
    PodEvents(recorder, "node-1").warn(SLOT, UID, "web", "Unhealthy", "Liveness probe failed: no")
    assert recorder.kept == [(EventType.WARNING, "Unhealthy", "Liveness probe failed: no")]


def test_a_pod_that_the_node_refuses_is_told_with_its_reason() -> None:
    recorder = Recorder()
    status = PodStatus(phase="Failed", reason="OutOfcpu", message="Pod was rejected: no room")
    told = PublishStatus(slot=SLOT, reason=Reason.STATUS_CHANGED, uid=UID, status=status)
    PodEvents(recorder, "node-1").seen(TimerFired(slot=SLOT), [Decision(told, (1,))])
    assert recorder.kept == [(EventType.WARNING, "OutOfcpu", "no room")]
