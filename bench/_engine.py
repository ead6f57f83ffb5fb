"""A model engine for the benchmarks: it answers commands at once and shows what it holds.

Enough of a runtime for histories of the size and shape that a node makes; its ids are as long as Docker's.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import assert_never

from msgspec.structs import replace

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.model.ids import PodUid, SlotKey, split_slot
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod, ObservedSandbox

RUNNING, EXITED = ContainerPhase.RUNNING, ContainerPhase.EXITED


class Engine:
    """Pods by uid, newest instances first, as engines show them."""

    def __init__(self) -> None:
        self.pods: dict[PodUid, ObservedPod] = {}
        self.slots: dict[PodUid, SlotKey] = {}
        self.hashes: dict[tuple[PodUid, str], str] = {}
        self._made = 0

    def answer(self, command: c.RuntimeCommand, at: int) -> e.ResultEvent:
        """Carry a command out; everything succeeds."""
        slot, uid = command.slot, command.uid
        match command:
            case c.StartSandbox():
                return self._start_sandbox(command, at)
            case c.StartContainer():
                return self._start_container(command, at)
            case c.StopContainer():
                self.end(uid, command.container, 143, at)
                return e.ContainerStopped(
                    slot=slot, uid=uid, container=command.container, container_id=command.container_id,
                    exit_code=143, finished_at=at,
                )  # fmt: skip
            case c.RemoveContainer():
                self._keep(uid, lambda one: one.id != command.container_id)
                return e.ContainerRemoved(
                    slot=slot, uid=uid, container=command.container, container_id=command.container_id
                )
            case c.StopSandbox():
                self._stop_sandboxes(uid)
                return e.SandboxStopped(slot=slot, uid=uid, sandbox_id=command.sandbox_id)
            case c.RemoveSandbox():
                self.pods.pop(uid, None)
                return e.SandboxRemoved(slot=slot, uid=uid, sandbox_id=command.sandbox_id)
            case c.CleanUpPod():
                self.pods.pop(uid, None)
                self.slots.pop(uid, None)
                return e.PodCleanedUp(slot=slot, uid=uid)
            case _ as never:
                assert_never(never)

    def show(self, uid: PodUid) -> ObservedPod:
        """What a look at a pod shows."""
        return self.pods.get(uid) or ObservedPod(uid, *split_slot(self.slots[uid]))

    def running(self, uid: PodUid) -> list[ObservedContainer]:
        """The containers of a pod that run."""
        return [one for one in self.pods[uid].containers if one.phase is RUNNING] if uid in self.pods else []

    def end(self, uid: PodUid, name: str, code: int, at: int) -> None:
        """The running instance of a container ends."""
        pod = self.pods[uid]
        containers = tuple(
            replace(one, phase=EXITED, exit_code=code, finished_at=at)
            if one.name == name and one.phase is RUNNING
            else one
            for one in pod.containers
        )
        self.pods[uid] = replace(pod, containers=containers)

    def _new_id(self) -> str:
        self._made += 1
        return sha256(str(self._made).encode()).hexdigest()

    def _start_sandbox(self, command: c.StartSandbox, at: int) -> e.SandboxStarted:
        key = self._new_id()
        ips = (f"172.17.{self._made // 250 % 250}.{self._made % 250 + 2}",)
        made = ObservedSandbox(key, command.attempt, ready=True, ips=ips, created_at=at)
        self.slots[command.uid] = command.slot
        pod = self.pods.get(command.uid) or self.show(command.uid)
        self.pods[command.uid] = replace(pod, sandboxes=(made, *pod.sandboxes))
        return e.SandboxStarted(
            slot=command.slot, uid=command.uid, attempt=command.attempt, sandbox_id=key, ips=ips
        )

    def _start_container(self, command: c.StartContainer, at: int) -> e.ContainerStarted:
        uid, name = command.uid, command.container
        image_id = f"sha256:{sha256(name.encode()).hexdigest()}"
        made = ObservedContainer(
            id=self._new_id(), name=name, attempt=command.attempt, phase=RUNNING,
            sandbox_id=command.sandbox_id, hash=self.hashes[uid, name], image=f"registry.example/{name}:1",
            image_id=image_id, created_at=at, started_at=at,
        )  # fmt: skip
        pod = self.pods[uid]
        self.pods[uid] = replace(pod, containers=(made, *pod.containers))
        return e.ContainerStarted(
            slot=command.slot, uid=uid, container=name, attempt=command.attempt, container_id=made.id,
            image_id=image_id, started_at=at, hash=made.hash,
        )  # fmt: skip

    def _keep(self, uid: PodUid, wanted: Callable[[ObservedContainer], bool]) -> None:
        pod = self.pods[uid]
        self.pods[uid] = replace(pod, containers=tuple(filter(wanted, pod.containers)))

    def _stop_sandboxes(self, uid: PodUid) -> None:
        pod = self.pods[uid]
        self.pods[uid] = replace(pod, sandboxes=tuple(replace(one, ready=False) for one in pod.sandboxes))
