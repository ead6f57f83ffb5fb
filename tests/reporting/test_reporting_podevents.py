"""Events of a pod's containers and images, in the words that upstream's kubelet tells them in."""

from __future__ import annotations

import pytest

from minikubelet.core.commands import Decision, PublishStatus, Reason, StartSandbox
from minikubelet.core.events import (
    AnyEvent,
    ContainerStarted,
    ContainerStartFailed,
    SandboxStartFailed,
    TimerFired,
)
from minikubelet.model.pod import Container, Pod, PodSpec
from minikubelet.model.status import ContainerState, ContainerStateWaiting, ContainerStatus, PodStatus
from minikubelet.reporting.eventrecorder import EventType
from minikubelet.reporting.podevents import PodEvents
from tests.reporting.reporting_world import SLOT
from tests.reporting.test_reporting_probes import UID, Recorder

NORMAL, WARNING = EventType.NORMAL, EventType.WARNING
TICK = TimerFired(slot=SLOT)
Told = tuple[EventType, str, str]


class Listener:
    """What is told of a pod with one container `web`."""

    def __init__(self) -> None:
        self._recorder = Recorder()
        pod = Pod(spec=PodSpec(containers=(Container(name="web", image="reg.io/web:1"),)))
        self.events = PodEvents(self._recorder, "node-1", lambda _: pod)

    def hears(self, event: AnyEvent, *decisions: Decision) -> list[Told]:
        """What is told of this event and these decisions."""
        before = len(self._recorder.kept)
        self.events.seen(event, list(decisions))
        return self._recorder.kept[before:]

    def waits(self, reason: str, message: str) -> list[Told]:
        """What is told when the status says that the container waits."""
        state = ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message))
        waiting = ContainerStatus(
            name="web", image="", image_id="", ready=False, restart_count=0, state=state
        )
        status = PodStatus(container_statuses=(waiting,))
        command = PublishStatus(slot=SLOT, reason=Reason.STATUS_CHANGED, uid=UID, status=status)
        return self.hears(TICK, Decision(command, (1,)))


@pytest.mark.parametrize(
    ("reason", "message", "told"),
    [
        (
            "ErrImagePull",
            "no such host",
            [
                (WARNING, "Failed", 'Failed to pull image "reg.io/web:1": no such host'),
                (WARNING, "Failed", "Error: ErrImagePull"),
            ],
        ),
        (
            "ErrImageNeverPull",
            "x is not present",
            [
                (
                    WARNING,
                    "ErrImageNeverPull",
                    "x is not present",
                ),
                (WARNING, "Failed", "Error: ErrImageNeverPull"),
            ],
        ),
        (
            "InvalidImageName",
            "Failed to apply default image tag",
            [
                (WARNING, "InspectFailed", "Failed to apply default image tag"),
                (WARNING, "Failed", "Error: InvalidImageName"),
            ],
        ),
        (
            "CreateContainerConfigError",
            'configmap "a" not found',
            [(WARNING, "Failed", 'Error: configmap "a" not found')],
        ),
        ("ContainerCreating", "no volume yet", [(WARNING, "FailedMount", "no volume yet")]),
    ],
)
def test_a_start_that_failed_is_told_by_what_failed(reason: str, message: str, told: list[Told]) -> None:
    event = ContainerStartFailed(
        slot=SLOT, uid=UID, container="web", attempt=0, reason=reason, message=message
    )
    assert Listener().hears(event) == told


def test_a_start_is_told_in_two_events() -> None:
    event = ContainerStarted(slot=SLOT, uid=UID, container="web", attempt=0, container_id="c", started_at=1)
    assert Listener().hears(event) == [
        (NORMAL, "Created", "Created container: web"),
        (NORMAL, "Started", "Started container web"),
    ]


def test_backing_off_is_told_once_for_each_wait_in_words_that_count_up() -> None:
    listener = Listener()
    again = (WARNING, "BackOff", f"Back-off restarting failed container web in pod web_default({UID})")
    assert listener.waits("CrashLoopBackOff", "back-off 10s restarting failed") == [again]
    assert listener.waits("CrashLoopBackOff", "back-off 10s restarting failed") == []
    assert listener.waits("CrashLoopBackOff", "back-off 20s restarting failed") == [again]


def test_backing_off_from_an_image_is_no_warning_but_its_consequence_is() -> None:
    assert Listener().waits("ImagePullBackOff", 'Back-off pulling image "reg.io/web:1": no') == [
        (NORMAL, "BackOff", 'Back-off pulling image "reg.io/web:1"'),
        (WARNING, "Failed", "Error: ImagePullBackOff"),
    ]


def test_sandboxes_are_told_of_when_they_fail_or_change() -> None:
    listener = Listener()
    failed = SandboxStartFailed(slot=SLOT, uid=UID, attempt=0, reason="x", message="no network")
    assert listener.hears(failed) == [
        (WARNING, "FailedCreatePodSandBox", "Failed to create pod sandbox: no network")
    ]
    first = StartSandbox(slot=SLOT, reason=Reason.POD_ADDED, uid=UID, attempt=0)
    assert listener.hears(TICK, Decision(first, (1,))) == []
    again = StartSandbox(slot=SLOT, reason=Reason.SANDBOX_GONE, uid=UID, attempt=1)
    assert listener.hears(TICK, Decision(again, (1,))) == [
        (NORMAL, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
    ]
