"""The event log: the lines a person reads while the agent works.

Belongs here: words for decisions and failures. May not be here: secrets, or anything that decides.
"""

from __future__ import annotations

from typing import Final

import structlog

from minikubelet.core.commands import (
    AnyCommand,
    CleanUpPod,
    CreateMirror,
    Decision,
    DeleteApiPod,
    DeleteMirror,
    PublishStatus,
    RemoveContainer,
    RemoveSandbox,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopSandbox,
)
from minikubelet.core.events import (
    AnyEvent,
    CommandFailed,
    ContainerProbed,
    ContainerStarted,
    ContainerStartFailed,
    ManifestsJudged,
    PodObserved,
    SandboxStartFailed,
)
from minikubelet.model.observed import ContainerPhase

_WORDS: Final[dict[type, str]] = {
    StartSandbox: "start sandbox",
    StopSandbox: "stop sandbox",
    RemoveSandbox: "remove sandbox",
    StartContainer: "start container",
    StopContainer: "stop container",
    RemoveContainer: "remove container",
    CleanUpPod: "clean up pod",
    CreateMirror: "create mirror pod",
    DeleteMirror: "delete mirror pod",
    DeleteApiPod: "release pod",
}

MOST_PHASES: Final = 4096
"""Pods whose phase is remembered: statuses may come after a pod's end, and none says that it is the last."""

_log = structlog.get_logger()


class EventLog:
    """Says what was decided and what failed; a phase only when it changes."""

    def __init__(self) -> None:
        self._phases: dict[str, str] = {}
        self._rejected: dict[str, str] = {}
        self._foreign: dict[str, str] = {}
        self._shadowed: dict[str, str] = {}

    def seen(self, seq: int, event: AnyEvent, decisions: list[Decision]) -> None:
        """Take note of an event and of what was decided from it."""
        self._event(seq, event)
        for decision in decisions:
            self._command(seq, decision.command)

    def _event(self, seq: int, event: AnyEvent) -> None:
        match event:
            case SandboxStartFailed() | CommandFailed():
                _log.warning("failed", seq=seq, pod=event.slot, reason=event.reason, error=event.message)
            case ContainerStartFailed():
                _log.warning(
                    "container not started",
                    seq=seq,
                    pod=event.slot,
                    container=event.container,
                    reason=event.reason,
                    error=event.message,
                )
            case ContainerProbed():
                _log.info(
                    f"{event.probe.value.lower()} probe {'passed' if event.passed else 'failed'}",
                    seq=seq,
                    pod=event.slot,
                    container=event.container,
                    message=event.message,
                )
            case ManifestsJudged():
                self._manifests(seq, event)
            case ContainerStarted():
                _log.info("container started", seq=seq, pod=event.slot, container=event.container)
            case PodObserved():
                for container in event.pod.containers:
                    if container.phase is ContainerPhase.EXITED:
                        _log.debug("container exited", seq=seq, pod=event.slot, container=container.name)
            case _:
                _log.debug(type(event).__name__, seq=seq, pod=getattr(event, "slot", ""))

    def _manifests(self, seq: int, event: ManifestsJudged) -> None:
        """Files that are broken now and were not, or otherwise; and those that are mended."""
        before, self._rejected = self._rejected, dict(event.rejected)
        for file, why in self._rejected.items():
            if before.get(file) != why:
                _log.warning("manifest rejected; its pods go on as they were", seq=seq, file=file, why=why)
        for file in sorted(before.keys() - self._rejected.keys()):
            _log.info("manifest no longer rejected", seq=seq, file=file)
        held, self._shadowed = self._shadowed, dict(event.shadowed)
        for file in sorted(self._shadowed.keys() - held.keys()):
            _log.warning("manifest is shadowed", seq=seq, file=file, why=self._shadowed[file])
        known, self._foreign = self._foreign, dict(event.foreign)
        for file in sorted(self._foreign.keys() - known.keys()):
            _log.warning(
                "manifest defines no pod, and is left alone", seq=seq, file=file, why=self._foreign[file]
            )

    def _command(self, seq: int, command: AnyCommand) -> None:
        if isinstance(command, PublishStatus):
            if self._phases.get(command.uid) != command.status.phase:
                self._phases[command.uid] = command.status.phase
                if len(self._phases) > MOST_PHASES:
                    del self._phases[next(iter(self._phases))]
                _log.info("phase", seq=seq, pod=command.slot, phase=command.status.phase)
            return
        if isinstance(command, CleanUpPod):
            self._phases.pop(command.uid, None)
        word = _WORDS.get(type(command))
        if word is not None:
            named = {"container": getattr(command, "container", "")}
            shown = {key: value for key, value in named.items() if value}
            _log.info(word, seq=seq, pod=command.slot, reason=command.reason.value, **shown)
