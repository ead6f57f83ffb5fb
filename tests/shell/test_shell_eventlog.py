"""The event log: a phase is said when it changes, and the pods of a year are not remembered."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from minikubelet.core.commands import Decision, PublishStatus, Reason
from minikubelet.core.events import ManifestsJudged, TimerFired
from minikubelet.model.ids import PodUid
from minikubelet.model.status import PodStatus
from minikubelet.shell import eventlog
from minikubelet.shell.eventlog import EventLog
from tests.shell.shell_world import SLOT


def phases(log: EventLog, *told: tuple[str, str]) -> list[str]:
    """What is said of these statuses, each a uid and a phase."""
    with capture_logs() as said:
        for uid, phase in told:
            status = PodStatus(phase=phase)
            command = PublishStatus(slot=SLOT, reason=Reason.STATUS_CHANGED, uid=PodUid(uid), status=status)
            log.seen(1, TimerFired(slot=SLOT), [Decision(command, (1,))])
    return [line["phase"] for line in said if line["event"] == "phase"]


def test_a_phase_is_said_once() -> None:
    said = phases(EventLog(), ("a", "Pending"), ("a", "Running"), ("a", "Running"), ("b", "Running"))
    assert said == ["Pending", "Running", "Running"]


def test_only_so_many_pods_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventlog, "MOST_PHASES", 2)
    said = phases(EventLog(), *((uid, "Running") for uid in ("a", "b", "c", "c", "b", "a")))
    assert said == ["Running"] * 4


def test_a_file_is_said_when_it_is_broken_otherwise_and_when_it_is_mended() -> None:
    log = EventLog()
    with capture_logs() as said:
        for rejected in ((("a", "x"),), (("a", "x"), ("b", "y")), (("b", "z"),), ()):
            log.seen(1, ManifestsJudged(rejected=rejected), [])
    told = [(line["log_level"], line["file"], line.get("why", "")) for line in said]
    assert told == [
        ("warning", "a", "x"),
        ("warning", "b", "y"),
        ("warning", "b", "z"),
        ("info", "a", ""),
        ("info", "b", ""),
    ]


def test_a_file_of_another_kind_is_said_once() -> None:
    log = EventLog()
    with capture_logs() as said:
        for _ in range(2):
            log.seen(1, ManifestsJudged(foreign=(("job.yaml", "no Pod"),)), [])
    assert [(line["log_level"], line["file"], line["why"]) for line in said] == [
        ("warning", "job.yaml", "no Pod")
    ]
