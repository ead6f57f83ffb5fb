"""What a pod's story was, without what differs from run to run: times, ids, addresses, looks in vain.

Belongs here: from journal records to lines that can be compared. May not be here: comparing. What goes on
side by side is kept apart, one list for each sandbox, container and condition; within a list, order counts.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

from minikubelet.core import commands, events
from minikubelet.model.ids import SlotKey
from minikubelet.model.observed import ContainerPhase
from minikubelet.model.status import PodCondition
from tests.simulation.faithful_play import Play

Trace: TypeAlias = dict[str, list[str]]
ENGINE: Final = frozenset(
    {"RunContainerError", "CreateContainerError", "CreatePodSandboxError", "ErrImagePull"}
)
"""reasons whose messages are the engine's own words: that there is one counts, not what it says"""
_NO_PROGRAM: Final = ("OCI runtime exec failed", "exec failed")
_VARYING: Final = frozenset(
    {"startedAt", "finishedAt", "startTime", "lastTransitionTime", "imageID", "podIP", "ip"}
)


@dataclass
class Instance:
    """What was told of one container: how its start went, and its end, in whichever order it was heard."""

    facts: dict[str, None] = field(default_factory=dict)
    failed: int | None = None
    ends: dict[str, int | None] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Its story; whether one that failed to start is seen as well, before it is removed, is timing."""
        ends = [told for told, code in self.ends.items() if self.failed is None or code != self.failed]
        return [*sorted(self.facts), *sorted(ends)]


class Tracer:
    """Reads one pod's records in order."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._slot: SlotKey = play.slot
        self._names: dict[str, str] = {}
        self._words: dict[str, None] = {}
        self._uids: dict[str, None] = {}
        self._sidecars: tuple[str, ...] = ()
        self._instances: dict[str, Instance] = {}
        self.trace: Trace = {}

    def read(self) -> Trace:
        """All of it."""
        for told in self._play.node.told():
            if getattr(told, "slot", None) != self._slot:
                continue
            if isinstance(told, commands.Command):
                self._decision(told)
            else:
                self._event(told)
        for name, instance in self._instances.items():
            self.trace[f"container {name}"] = instance.lines()
        for number, mark in enumerate(self._play.marks):
            self.trace[f"settled {number}"] = list(self._lines(msgspec.to_builtins(mark)))
        return {section: [self._said(line) for line in lines] for section, lines in self.trace.items()}

    def _add(self, section: str, line: str) -> None:
        """A decision or a state of one lane, in order; the same again is nothing new."""
        kept = self.trace.setdefault(section, [])
        if kept[-1:] != [line]:
            kept.append(line)

    # ── events ──

    def _event(self, event: events.AnyEvent) -> None:
        match event:
            case events.PodSet():
                self._uids[event.uid] = None
                inits = event.pod.spec.init_containers
                self._sidecars = tuple(c.name for c in inits if c.restart_policy == "Always")
            case events.PodObserved():
                self._observed(event)
            case events.SandboxStarted() | events.SandboxStartFailed() | events.SandboxRemoved():
                self._sandbox(event)
            case events.CommandFailed():
                self._add("failed", f"{event.command} {event.reason}")
            case _:
                self._container(event)

    def _sandbox(
        self, event: events.SandboxStarted | events.SandboxStartFailed | events.SandboxRemoved
    ) -> None:
        match event:
            case events.SandboxStarted():
                self._names[event.sandbox_id] = f"sandbox#{event.attempt}"
                self._add("sandbox", f"#{event.attempt} started, address {bool(event.ips)}")
            case events.SandboxStartFailed():
                self._add("sandbox", f"#{event.attempt} failed: {event.reason}")
            case events.SandboxRemoved():
                self._add("sandbox removed", self._called(event.sandbox_id))

    def _container(self, event: events.AnyEvent) -> None:
        match event:
            case events.ContainerStarted():
                self._instance(event.container, event.container_id, event.attempt).facts["started"] = None
            case events.ContainerStartFailed():
                self._start_failed(event)
            case events.ContainerStopped():
                told = f"ended {event.exit_code} {event.reason} {event.message!r}"
                name = self._called(event.container_id)
                self._instances.setdefault(name, Instance()).ends[told] = event.exit_code
            case events.ContainerProbed():
                self._probed(event)
            case events.ContainerRemoved():
                self._add(f"removed {event.container}", self._called(event.container_id))
            case _:
                pass

    def _start_failed(self, event: events.ContainerStartFailed) -> None:
        if event.reason in ENGINE and event.message:
            self._words[event.message] = None
        instance = self._instance(event.container, event.container_id, event.attempt)
        made = f"made, {event.exit_code} {event.ended}" if event.container_id else "not made"
        instance.facts[f"failed: {event.reason} {event.message!r} ({made})"] = None
        instance.failed = event.exit_code if event.container_id else None

    def _probed(self, event: events.ContainerProbed) -> None:
        said = "no program" if event.message.startswith(_NO_PROGRAM) else repr(event.message)
        told = f"{event.probe.value} {event.passed} {said}"
        self._add(f"probes {event.container}", f"{self._called(event.container_id)} {told}")

    def _observed(self, event: events.PodObserved) -> None:
        for shown in event.pod.containers:
            if shown.phase is ContainerPhase.EXITED:
                if shown.reason == "ContainerCannotRun" and shown.message:
                    self._words[shown.message] = None
                told = f"ended {shown.exit_code} {shown.reason} {shown.message!r}"
                self._instance(shown.name, shown.id, shown.attempt).ends[told] = shown.exit_code

    def _instance(self, name: str, container_id: str, attempt: int) -> Instance:
        if container_id:
            self._names[container_id] = f"{name}#{attempt}"
        return self._instances.setdefault(f"{name}#{attempt}", Instance())

    def _called(self, engine_id: str) -> str:
        return self._names.get(engine_id, engine_id)

    # ── decisions ──

    def _decision(self, command: commands.AnyCommand) -> None:
        why = command.reason.value
        match command:
            case commands.StartSandbox():
                self._add("decided sandbox", f"start #{command.attempt} {why}")
            case commands.StopSandbox():
                self._add("decided sandbox", f"stop {self._called(command.sandbox_id)} {why}")
            case commands.RemoveSandbox():
                self._add("decided removal of sandboxes", f"{self._called(command.sandbox_id)} {why}")
            case commands.StartContainer():
                self._add(f"decided {command.container}", f"start #{command.attempt} {why}")
            case commands.StopContainer():
                # What is left of a grace period hangs on how long the main containers took.
                grace = "the rest" if command.container in self._sidecars else f"{command.grace} s"
                told = f"stop {self._called(command.container_id)} {why} within {grace}"
                self._add(f"decided {command.container}", told)
            case commands.RemoveContainer():
                self._add(f"decided removal of {command.container}", self._called(command.container_id))
            case commands.PublishStatus():
                self._published(command)
            case commands.CleanUpPod() | commands.DeleteApiPod() | commands.CreateMirror():
                self._add("decided pod", f"{type(command).__name__} {why}")
            case _:
                pass

    # ── statuses ──

    def _published(self, command: commands.PublishStatus) -> None:
        which, status = list(self._uids).index(command.uid), command.status
        self._add(f"status {which} phase", f"{status.phase} {status.reason} {status.message}")
        for condition in status.conditions:
            self._condition(f"status {which} condition {condition.type}", condition)
        for shown in (*status.init_container_statuses, *status.container_statuses):
            told = " ".join(self._lines(msgspec.to_builtins(shown)))
            self._add(f"status {which} container {shown.name}", told)

    def _condition(self, section: str, condition: PodCondition) -> None:
        """Once for each change; of the reasons that it had meanwhile, the last."""
        kept = self.trace.setdefault(section, [])
        if kept and kept[-1].startswith(f"{condition.status} "):
            kept.pop()
        kept.append(f"{condition.status} {condition.reason}")

    def _lines(self, value: Any, path: str = "") -> Iterator[str]:
        """A status as lines `path=value`, in order."""
        match value:
            case dict():
                for key, inner in value.items():
                    yield from self._lines(inner, f"{path}.{key}" if path else key)
            case list() | tuple():
                for number, inner in enumerate(value):
                    yield from self._lines(inner, f"{path}[{number}]")
            case _:
                yield f"{path}={self._plain(path.rpartition('.')[2], value)!r}"

    def _plain(self, key: str, value: Any) -> Any:
        if key == "containerID":
            return self._called(value.partition("://")[2])
        return ("some" if value else "") if key in _VARYING else value

    def _said(self, text: str) -> str:
        for number, uid in enumerate(self._uids):
            text = text.replace(uid, f"<uid {number}>")
        for words in sorted(self._words, key=len, reverse=True):
            for spelt in (words, repr(words)[1:-1]):
                text = text.replace(spelt, "<the engine's words>")
        return text.replace(self._play.node.namespace, "<namespace>")


def differences(simulated: Trace, real: Trace) -> list[str]:
    """Where two traces do not agree, as lines to read: `-` the simulated engine's, `+` the real one's."""
    found: list[str] = []
    for section in sorted(simulated.keys() | real.keys()):
        ours, theirs = simulated.get(section, []), real.get(section, [])
        if ours != theirs:
            found.append(f"{section}:")
            found += [line for line in difflib.ndiff(ours, theirs) if not line.startswith(("?", " "))]
    return found
