"""Answers: which command under way an event answers.

Belongs here: matching results with pending commands. May not be here: what a result changes (`apply`).
An answer that nobody waits for, because it came twice or to an earlier life, says nothing.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

from minikubelet.core.commands import CLEANUP_LANE, SANDBOX_LANE
from minikubelet.core.events import (
    CommandFailed,
    ContainerRemoved,
    ContainerStarted,
    ContainerStartFailed,
    ContainerStopped,
    PodCleanedUp,
    ResultEvent,
    SandboxRemoved,
    SandboxStarted,
    SandboxStartFailed,
    SandboxStopped,
)
from minikubelet.core.state import Generation, Pending


class Answered(NamedTuple):
    """The command that an event answers; `attempt` and `target` are None where they say nothing."""

    lane: str
    command: str
    attempt: int | None = None
    target: str | None = None


def answered(event: ResultEvent) -> Answered:
    """What a result is the answer to."""
    match event:
        case SandboxStarted() | SandboxStartFailed():
            return Answered(SANDBOX_LANE, "StartSandbox", attempt=event.attempt)
        case SandboxStopped():
            return Answered(SANDBOX_LANE, "StopSandbox")
        case SandboxRemoved():
            return Answered(f"sandbox:{event.sandbox_id}", "RemoveSandbox")
        case ContainerStarted() | ContainerStartFailed():
            return Answered(event.container, "StartContainer", attempt=event.attempt)
        case ContainerStopped():
            return Answered(event.container, "StopContainer", target=event.container_id)
        case ContainerRemoved():
            return Answered(f"remove:{event.container_id}", "RemoveContainer")
        case PodCleanedUp():
            return Answered(CLEANUP_LANE, "CleanUpPod")
        case CommandFailed():
            return Answered(event.lane, event.command)
        case _ as never:
            assert_never(never)


def awaited(gen: Generation, wanted: Answered) -> Pending | None:
    """The command under way that is answered, if there is one."""
    pending = gen.pending.get(wanted.lane)
    if pending is None or pending.command != wanted.command:
        return None
    same = wanted.attempt in (None, pending.attempt) and wanted.target in (None, pending.target)
    return pending if same else None
