"""What exists in a simulated engine, and what time does to it.

Belongs here: sandboxes and containers, as on a Docker engine. May not be here: waiting, latencies, faults.
Nothing here runs in the background: a container's end is a time that is looked at when someone looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod, ObservedSandbox
from minikubelet.ports.clockport import Clock
from minikubelet.ports.runtimeport import ContainerConfig, RuntimeFault, SandboxConfig
from minikubelet.runtimes.alreadyrun import already_run
from minikubelet.runtimes.simulated.simulatedpod import Container, Sandbox, adopted, shown_pod
from minikubelet.runtimes.simulated.simulatedscript import KILLED, read_script

TERMINATED = 143
NOT_FOUND = 127
CANNOT_START = 128
CANNOT_RUN = "ContainerCannotRun"
SECOND = 1_000_000

_Shown = TypeVar("_Shown", ObservedSandbox, ObservedContainer)


@dataclass(slots=True)
class SimulatedEngine:
    """All that exists, for any number of driver objects: it survives them as an engine survives the agent.

    A call costs the same however many pods there are, so what belongs to a pod, what is in a sandbox and what
    is to end is found without looking at everything; `containers` alone says whether one still exists.
    """

    clock: Clock
    images: dict[str, int] = field(default_factory=dict)
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    inside: dict[str, dict[str, Container]] = field(default_factory=dict)
    of_pod: dict[PodUid, dict[str, Sandbox | Container]] = field(default_factory=dict)
    ending: dict[str, Container] = field(default_factory=dict)
    listeners: list[Callable[[PodUid], None]] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)
    """how many sandboxes or containers were made under each name"""

    def settle(self) -> None:
        """Let everything happen that was to happen until now."""
        now = self.clock.now()
        for container in self._ending():
            if container.script.when and Path(container.script.when).exists():
                container.end_by(now, container.script.code)
            if container.ends_at is not None and container.ends_at <= now:
                self.finish(container)

    def next_end(self) -> int | None:
        """When the next container ends, None if none is going to."""
        return min((each.ends_at for each in self._ending() if each.ends_at is not None), default=None)

    def waits_for_files(self) -> bool:
        """Whether a running container ends with the appearance of a file, which no clock announces."""
        return any(each.script.when for each in self._ending())

    def _ending(self) -> list[Container]:
        """The running containers of which an end is to be expected; others are forgotten here."""
        known = self.ending.items()
        over = [key for key, each in known if not each.runs or self.containers.get(key) is not each]
        for container_id in over:
            del self.ending[container_id]
        return list(self.ending.values())

    def hint(self, uid: PodUid) -> None:
        """Tell every listener that something of a pod changed."""
        for listener in list(self.listeners):
            listener(uid)

    def add_sandbox(self, node: str, config: SandboxConfig) -> str:
        """Make a sandbox; one that is ready under this uid and attempt is found again, any other replaced."""
        name = f"{node}.{config.uid}.{config.attempt}"
        sandbox_id = self._last_id(name)
        found = self.sandboxes.get(sandbox_id)
        if found is not None and found.shown.ready:
            return sandbox_id
        if found is not None:
            self._forget_sandbox(sandbox_id)
        sandbox_id = self._new_id(name)
        address = f"10.{len(self.sandboxes) >> 8 & 255}.{len(self.sandboxes) & 255}.2"
        shown = ObservedSandbox(
            sandbox_id, config.attempt, ready=True, ips=(address,), created_at=self.clock.now()
        )
        made = self.sandboxes[sandbox_id] = Sandbox(node, config, shown)
        self.of_pod.setdefault(config.uid, {})[sandbox_id] = made
        self.hint(config.uid)
        return sandbox_id

    def add_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container, be its sandbox dead; the one that `holder` finds is adopted or replaced."""
        sandbox = self.sandboxes.get(sandbox_id)
        if sandbox is None:
            raise RuntimeFault("CreateContainerError", f"there is no sandbox {sandbox_id}")
        if config.image not in self.images:
            raise RuntimeFault("CreateContainerError", f"image {config.image} is not there")
        holder = self.holder(sandbox_id, config)
        if holder is not None and adopted(holder, sandbox_id):
            return holder.shown.id
        if holder is not None:
            self.lose(holder.shown.id)
        container_id = self._new_id(_name(sandbox.node, config))
        shown = ObservedContainer(
            id=container_id,
            name=config.name,
            attempt=config.attempt,
            phase=ContainerPhase.CREATED,
            sandbox_id=sandbox_id,
            hash=config.hash,
            image=config.image,
            image_id=image_id(config.image),
            created_at=self.clock.now(),
        )
        script = read_script((*config.command, *config.args))
        made = Container(sandbox.node, config, sandbox_id, script, shown, self.ending)
        self.containers[container_id] = made
        self.inside.setdefault(sandbox_id, {})[container_id] = made
        self.of_pod.setdefault(config.uid, {})[container_id] = made
        self.hint(config.uid)
        return container_id

    def holder(self, sandbox_id: str, config: ContainerConfig) -> Container | None:
        """The container that has the name already (pod, container, attempt) which a new one is to get."""
        return self.containers.get(self._last_id(_name(self.sandboxes[sandbox_id].node, config)))

    def _last_id(self, name: str) -> str:
        made = self.made.get(name, 0)
        return name if made <= 1 else f"{name}.{made}"

    def _new_id(self, name: str) -> str:
        """As in a real engine, what takes the place of another under its name has an id of its own."""
        self.made[name] = self.made.get(name, 0) + 1
        return self._last_id(name)

    def start(self, container_id: str) -> None:
        """Start a created container; one that runs stays as it is."""
        container = self.containers.get(container_id)
        if container is None:
            why = f"there is no container {container_id}"
            raise RuntimeFault("RunContainerError", why, container_id=container_id)
        if container.shown.phase is ContainerPhase.EXITED:
            raise already_run("RunContainerError", container.shown)
        if container.runs:
            return
        sandbox = self.sandboxes.get(container.sandbox_id)
        if sandbox is None or not sandbox.shown.ready:
            self._never_run(container, CANNOT_START, "cannot join the network of a sandbox that does not run")
        if container.script.missing:
            command = " ".join(container.config.command)
            self._never_run(container, NOT_FOUND, f"command not found: {command}")
        now, script = self.clock.now(), container.script
        container.shown = _with(container.shown, phase=ContainerPhase.RUNNING, started_at=now)
        if script.when:
            self.ending[container_id] = container
        elif script.seconds is not None:
            container.end_by(now + int(script.seconds * SECOND), script.code, script.reason)
        self.hint(container.config.uid)

    def _never_run(self, container: Container, code: int, why: str) -> NoReturn:
        """Its start fails, and it stays as one that has ended without having begun."""
        made = container.shown.created_at
        end = {"finished_at": made, "exit_code": code, "reason": CANNOT_RUN, "message": why}
        container.shown = _with(container.shown, phase=ContainerPhase.EXITED, **end)
        self.hint(container.config.uid)
        raise RuntimeFault(
            "RunContainerError", why, container_id=container.shown.id, exit_code=code, ended=CANNOT_RUN
        )

    def signal(self, container_id: str, grace_seconds: float) -> None:
        """Begin to stop a running container: it ends as its script heeds SIGTERM, or when grace ends."""
        container = self.containers.get(container_id)
        if container is None or not container.runs:
            return
        now, heeds = self.clock.now(), container.script.term
        if heeds is not None and heeds < grace_seconds:
            container.end_by(now + int(heeds * SECOND), TERMINATED)
        container.end_by(now + int(grace_seconds * SECOND), KILLED)

    def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill the sandbox's containers; it is ready no longer."""
        sandbox = self.sandboxes[sandbox_id]
        for container_id in list(self.inside.get(sandbox_id, ())):
            self.signal(container_id, 0)
        sandbox.shown = _with(sandbox.shown, ready=False, ips=())
        self.settle()
        self.hint(sandbox.config.uid)

    def drop_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox with all that is in it."""
        self.stop_sandbox(sandbox_id)
        for container_id in list(self.inside.get(sandbox_id, ())):
            self.lose(container_id)
        self.lose_sandbox(sandbox_id)

    # ── what somebody else does: the sandbox's network stays while containers are in it ──

    def kill_sandbox(self, sandbox_id: str) -> None:
        """Its process dies; the containers in it go on."""
        sandbox = self.sandboxes[sandbox_id]
        sandbox.shown = _with(sandbox.shown, ready=False, ips=())
        self.hint(sandbox.config.uid)

    def lose_sandbox(self, sandbox_id: str) -> None:
        """It is removed; the containers in it go on."""
        self.hint(self._forget_sandbox(sandbox_id))

    def lose(self, container_id: str) -> None:
        """A container is removed, whether it runs or not."""
        container = self.containers.pop(container_id, None)
        if container is not None:
            self.inside[container.sandbox_id].pop(container_id)
            if not self.inside[container.sandbox_id]:
                del self.inside[container.sandbox_id]
            self._forget(container.config.uid, container_id)
            self.hint(container.config.uid)

    def _forget_sandbox(self, sandbox_id: str) -> PodUid:
        uid = self.sandboxes.pop(sandbox_id).config.uid
        self._forget(uid, sandbox_id)
        return uid

    def _forget(self, uid: PodUid, member: str) -> None:
        self.of_pod[uid].pop(member)
        if not self.of_pod[uid]:
            del self.of_pod[uid]

    # ── what a driver sees ──

    def pods(self, node: str, uid: PodUid | None) -> list[ObservedPod]:
        """What a node's driver sees."""
        uids = list(self.of_pod) if uid is None else [uid]
        members = ([m for m in self.of_pod.get(each, {}).values() if m.node == node] for each in uids)
        return [shown_pod(found) for found in members if found]

    def finish(self, container: Container) -> None:
        """A container ends as it was to end."""
        code, reason = container.end
        container.shown = _with(
            container.shown,
            phase=ContainerPhase.EXITED,
            finished_at=container.ends_at,
            exit_code=code,
            reason=reason,
            message=container.last_words(code),
        )
        self.hint(container.config.uid)


def _with(shown: _Shown, **changes: object) -> _Shown:
    return msgspec.structs.replace(shown, **changes)


def _name(node: str, config: ContainerConfig) -> str:
    return f"{node}.{config.uid}.{config.name}.{config.attempt}"


def image_id(image: str) -> str:
    """Id of a simulated image."""
    return f"simulated:{image}"
