"""A model of a container runtime: it answers commands with result events and shows what it holds.

Belongs here: just enough engine for the core's tests. May not be here: anything the core decides.
"""

from __future__ import annotations

from typing import Any, NamedTuple, assert_never

from msgspec.structs import replace

from minikubelet.core.commands import (
    CleanUpPod,
    RemoveContainer,
    RemoveSandbox,
    RuntimeCommand,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopSandbox,
    lane_of,
)
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
from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod, ObservedSandbox


class Fault(NamedTuple):
    """How a command fails: a reason, and whether an instance is left that could not run."""

    reason: str
    message: str = "no"
    instance: bool = False


class ModelRuntime:
    """Pods by uid. `faults` maps a lane or a command's kind to how many times it fails, and how."""

    def __init__(self) -> None:
        self.pods: dict[PodUid, ObservedPod] = {}
        self.hashes: dict[PodUid, dict[str, str]] = {}
        self.faults: dict[str, tuple[int, Fault]] = {}
        self.exit_codes: dict[str, int] = {}
        self.made = 0

    def fail(self, what: str, reason: str = "Broken", times: int = 1, **more: Any) -> None:
        """Let the next commands of a kind, or of a container, fail."""
        self.faults[what] = (times, Fault(reason, **more))

    def answer(self, command: RuntimeCommand, now: int) -> ResultEvent:
        """Carry a command out."""
        for what in (type(command).__name__, lane_of(command)):
            times, fault = self.faults.get(what, (0, Fault("")))
            if times:
                self.faults[what] = (times - 1, fault)
                return self._failed(command, fault, now)
        return self._done(command, now)

    def _failed(self, command: RuntimeCommand, fault: Fault, now: int) -> ResultEvent:
        slot, uid, reason, message = command.slot, command.uid, fault.reason, fault.message
        if isinstance(command, StartSandbox):
            return SandboxStartFailed(
                slot=slot, uid=uid, attempt=command.attempt, reason=reason, message=message
            )
        if isinstance(command, StartContainer):
            left = fault.instance and uid in self.pods
            made = self._make(command, now, ContainerPhase.EXITED).id if left else ""
            return ContainerStartFailed(
                slot=slot,
                uid=uid,
                container=command.container,
                attempt=command.attempt,
                reason=reason,
                message=message,
                container_id=made,
            )
        lane = lane_of(command)
        return CommandFailed(
            slot=slot, uid=uid, lane=lane, command=type(command).__name__, reason=reason, message=message
        )

    def _done(self, command: RuntimeCommand, now: int) -> ResultEvent:
        slot, uid = command.slot, command.uid
        match command:
            case StartSandbox():
                made = self.add_sandbox(uid, command.attempt, now, slot=slot)
                return SandboxStarted(
                    slot=slot, uid=uid, attempt=command.attempt, sandbox_id=made.id, ips=made.ips
                )
            case StartContainer():
                return self._start(command, now)
            case StopContainer():
                return self._stop(command, now)
            case StopSandbox():
                self.break_sandbox(uid, now, sandbox_id=command.sandbox_id)
                return SandboxStopped(slot=slot, uid=uid, sandbox_id=command.sandbox_id)
            case RemoveSandbox():
                self._remove(uid, command.sandbox_id)
                return SandboxRemoved(slot=slot, uid=uid, sandbox_id=command.sandbox_id)
            case RemoveContainer():
                self._remove(uid, command.container_id)
                return ContainerRemoved(
                    slot=slot, uid=uid, container=command.container, container_id=command.container_id
                )
            case CleanUpPod():
                self.pods.pop(uid, None)
                return PodCleanedUp(slot=slot, uid=uid)
            case _ as never:
                assert_never(never)

    def _start(self, command: StartContainer, now: int) -> ResultEvent:
        pod = self.pods.get(command.uid)
        if pod is None or command.sandbox_id not in [s.id for s in pod.sandboxes if s.ready]:
            return self._failed(command, Fault("CreateContainerError", "the sandbox does not live"), now)
        made = self._make(command, now, ContainerPhase.RUNNING)
        return ContainerStarted(
            slot=command.slot,
            uid=command.uid,
            container=command.container,
            attempt=command.attempt,
            container_id=made.id,
            image_id=made.image_id,
            started_at=now,
            hash=made.hash,
        )

    def _stop(self, command: StopContainer, now: int) -> ContainerStopped:
        code = self.exit_codes.get(command.container, 143)
        for shown in self._containers(command.uid):
            if shown.id == command.container_id and shown.phase is ContainerPhase.RUNNING:
                self._put(replace_ended(shown, code, now), command.uid)
            elif shown.id == command.container_id:
                code = shown.exit_code or 0
        return ContainerStopped(
            slot=command.slot,
            uid=command.uid,
            container=command.container,
            container_id=command.container_id,
            exit_code=code,
            finished_at=now,
        )

    # ── what is there ──

    def add_sandbox(
        self, uid: PodUid, attempt: int, now: int, *, ready: bool = True, slot: str = "kube-system/web-node"
    ) -> ObservedSandbox:
        """A sandbox appears."""
        self.made += 1
        made = ObservedSandbox(f"s{self.made}", attempt, ready, (f"10.0.0.{self.made}",), now)
        namespace, _, name = slot.partition("/")
        pod = self.pods.get(uid) or ObservedPod(uid, namespace, name)
        self.pods[uid] = replace(pod, sandboxes=(made, *pod.sandboxes))
        return made

    def add_container(
        self, uid: str, name: str, attempt: int, phase: ContainerPhase, *, now: int, sandbox_id: str = ""
    ) -> ObservedContainer:
        """A container appears."""
        self.made += 1
        key = PodUid(uid)
        made = ObservedContainer(
            id=f"c{self.made}",
            name=name,
            attempt=attempt,
            phase=phase,
            sandbox_id=sandbox_id,
            hash=self.hashes.get(key, {}).get(name, ""),
            image_id=f"sha256:{name}",
            created_at=now,
            started_at=now,
            finished_at=now if phase is ContainerPhase.EXITED else 0,
            exit_code=128 if phase is ContainerPhase.EXITED else None,
        )
        pod = self.pods.get(key) or ObservedPod(key, *place())
        self.pods[key] = replace(pod, containers=(made, *pod.containers))
        return made

    def _make(self, command: StartContainer, now: int, phase: ContainerPhase) -> ObservedContainer:
        return self.add_container(
            command.uid,
            command.container,
            command.attempt,
            phase,
            now=now,
            sandbox_id=command.sandbox_id,
        )

    def end(self, uid: PodUid, name: str, code: int, now: int, **how: Any) -> None:
        """The running instance of a container ends."""
        shown = next(c for c in self._containers(uid) if c.name == name and c.phase is ContainerPhase.RUNNING)
        self._put(replace(replace_ended(shown, code, now), **how), uid)

    def vanish(self, uid: str, name: str = "") -> None:
        """A container, or a whole pod, is gone without a trace."""
        pod = self.pods.pop(PodUid(uid))
        if name:
            kept = tuple(c for c in pod.containers if c.name != name)
            self.pods[pod.uid] = replace(pod, containers=kept)

    def blur(self, uid: str, name: str) -> None:
        """The engine cannot tell any more what a container does."""
        for shown in self._containers(PodUid(uid)):
            if shown.name == name:
                self._put(replace(shown, phase=ContainerPhase.UNKNOWN), PodUid(uid))

    def break_sandbox(self, uid: PodUid, now: int, *, sandbox_id: str = "", kill: bool = True) -> None:
        """A sandbox dies (all of them unless one is named), with its containers unless told otherwise."""
        pod = self.pods.get(uid)
        if pod is None:
            return
        hit = [s.id for s in pod.sandboxes if sandbox_id in ("", s.id)]
        sandboxes = tuple(replace(s, ready=s.ready and s.id not in hit) for s in pod.sandboxes)
        containers = tuple(
            replace_ended(c, 137, now)
            if kill and c.sandbox_id in hit and c.phase is ContainerPhase.RUNNING
            else c
            for c in pod.containers
        )
        self.pods[uid] = replace(pod, sandboxes=sandboxes, containers=containers)

    def show(self, uid: PodUid) -> ObservedPod | None:
        """What is there of a pod, newest first."""
        return self.pods.get(uid)

    def running(self, uid: PodUid) -> list[str]:
        """Names of the containers that run."""
        return sorted(c.name for c in self._containers(uid) if c.phase is ContainerPhase.RUNNING)

    def _containers(self, uid: PodUid) -> tuple[ObservedContainer, ...]:
        return self.pods[uid].containers if uid in self.pods else ()

    def _put(self, container: ObservedContainer, uid: PodUid) -> None:
        pod = self.pods[uid]
        kept = tuple(container if c.id == container.id else c for c in pod.containers)
        self.pods[uid] = replace(pod, containers=kept)

    def _remove(self, uid: PodUid, found: str) -> None:
        pod = self.pods.get(uid)
        if pod is None:
            return
        sandboxes = tuple(s for s in pod.sandboxes if s.id != found)
        containers = tuple(c for c in pod.containers if found not in (c.id, c.sandbox_id))
        self.pods[uid] = replace(pod, sandboxes=sandboxes, containers=containers)
        if not sandboxes and not containers:
            del self.pods[uid]


def replace_ended(shown: ObservedContainer, code: int, now: int) -> ObservedContainer:
    """The same container, ended."""
    return replace(shown, phase=ContainerPhase.EXITED, exit_code=code, finished_at=now)


def place(slot: str = "kube-system/web-node") -> tuple[str, str]:
    """Namespace and name of a slot."""
    namespace, _, name = slot.partition("/")
    return namespace, name
