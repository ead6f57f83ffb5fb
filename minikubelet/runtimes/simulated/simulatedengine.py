"""What exists in a simulated engine, and what time does to it.

Belongs here: sandboxes, containers and their ends. May not be here: waiting, latencies, faults.
Nothing here runs in the background: a container's end is a time that is looked at when someone looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod, ObservedSandbox
from minikubelet.ports.clockport import Clock
from minikubelet.ports.runtimeport import ContainerConfig, RuntimeFault, SandboxConfig
from minikubelet.runtimes.simulated.simulatedscript import KILLED, Script, read_script

TERMINATED = 143
NOT_FOUND = 127
SECOND = 1_000_000


@dataclass(slots=True)
class Container:
    """One simulated container; `ends_at` and `end` say when and how it will end as things are.

    `ending` are its engine's containers of which an end is to be expected: few of those that run.
    """

    config: ContainerConfig
    sandbox_id: str
    script: Script
    shown: ObservedContainer
    ending: dict[str, Container]
    ends_at: int | None = None
    end: tuple[int, str] = (0, "")

    def end_by(self, when: int, code: int, reason: str = "") -> None:
        """It ends then at the latest; an earlier end stays."""
        self.ending[self.shown.id] = self
        if self.ends_at is None or when < self.ends_at:
            self.ends_at = when
            self.end = (code, reason or ("Error" if code else "Completed"))


@dataclass(slots=True)
class Sandbox:
    """One simulated sandbox."""

    node: str
    config: SandboxConfig
    shown: ObservedSandbox


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
    of_pod: dict[PodUid, dict[str, None]] = field(default_factory=dict)
    ending: dict[str, Container] = field(default_factory=dict)
    listeners: list[Callable[[PodUid], None]] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)
    """how many containers were made under each name"""

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
        over = [key for key, each in self.ending.items() if not self._runs(key, each)]
        for container_id in over:
            del self.ending[container_id]
        return list(self.ending.values())

    def _runs(self, container_id: str, container: Container) -> bool:
        there = self.containers.get(container_id) is container
        return there and container.shown.phase is ContainerPhase.RUNNING

    def hint(self, uid: PodUid) -> None:
        """Tell every listener that something of a pod changed."""
        for listener in list(self.listeners):
            listener(uid)

    def add_sandbox(self, node: str, config: SandboxConfig) -> str:
        """Make a sandbox; one that is ready under this uid and attempt is found again."""
        sandbox_id = f"{node}.{config.uid}.{config.attempt}"
        found = self.sandboxes.get(sandbox_id)
        if found is None or not found.shown.ready:
            address = f"10.{len(self.sandboxes) >> 8 & 255}.{len(self.sandboxes) & 255}.2"
            shown = ObservedSandbox(
                sandbox_id, config.attempt, ready=True, ips=(address,), created_at=self.clock.now()
            )
            self.sandboxes[sandbox_id] = Sandbox(node, config, shown)
            self.of_pod.setdefault(config.uid, {})[sandbox_id] = None
            self.hint(config.uid)
        return sandbox_id

    def add_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container; one that runs under this name is found again, any other replaced."""
        sandbox = self.sandboxes.get(sandbox_id)
        if sandbox is None or not sandbox.shown.ready:
            raise RuntimeFault("CreateContainerError", f"sandbox {sandbox_id} of {config.name} is not ready")
        if config.image not in self.images:
            raise RuntimeFault("CreateContainerError", f"image {config.image} is not there")
        name = f"{sandbox_id}.{config.name}.{config.attempt}"
        container_id, found = self._named(name)
        if found is None or found.shown.phase is not ContainerPhase.RUNNING:
            # As in a real engine, what takes the place of another under its name has an id of its own.
            if found is not None:
                del self.containers[container_id]
            self.made[name] = self.made.get(name, 0) + 1
            container_id = name if self.made[name] == 1 else f"{name}.{self.made[name]}"
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
            container = Container(config, sandbox_id, script, shown, self.ending)
            self.containers[container_id] = container
            self.inside.setdefault(sandbox_id, {})[container_id] = container
            self.hint(config.uid)
        return container_id

    def _named(self, name: str) -> tuple[str, Container | None]:
        """The id under which a name was given last, and the container that has it."""
        made = self.made.get(name, 0)
        container_id = name if made <= 1 else f"{name}.{made}"
        return container_id, self.containers.get(container_id)

    def start(self, container_id: str) -> None:
        """Start a created container; one that runs stays as it is."""
        container = self.containers.get(container_id)
        if container is None:
            raise RuntimeFault("NotFound", f"there is no container {container_id}")
        if container.shown.phase is ContainerPhase.EXITED:
            raise RuntimeFault("RunContainerError", "it has already run", container_id=container_id)
        if container.shown.phase is ContainerPhase.RUNNING:
            return
        now, script = self.clock.now(), container.script
        container.shown = _with(container.shown, phase=ContainerPhase.RUNNING, started_at=now)
        if script.missing:
            container.end_by(now, NOT_FOUND, "ContainerCannotRun")
            self.finish(container)
            why = f"command not found: {' '.join(container.config.command)}"
            raise RuntimeFault("RunContainerError", why, container_id=container_id, exit_code=NOT_FOUND)
        if script.when:
            self.ending[container_id] = container
        elif script.seconds is not None:
            container.end_by(now + int(script.seconds * SECOND), script.code, script.reason)
        self.hint(container.config.uid)

    def signal(self, container_id: str, grace_seconds: float) -> None:
        """Begin to stop a running container: it ends as its script heeds SIGTERM, or when grace ends."""
        container = self.containers.get(container_id)
        if container is None or container.shown.phase is not ContainerPhase.RUNNING:
            return
        now, heeds = self.clock.now(), container.script.term
        if heeds is not None and heeds < grace_seconds:
            container.end_by(now + int(heeds * SECOND), TERMINATED)
        container.end_by(now + int(grace_seconds * SECOND), KILLED)

    def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill the sandbox's containers; it is ready no longer."""
        sandbox = self.sandboxes[sandbox_id]
        for container_id in self._inside(sandbox_id):
            self.signal(container_id, 0)
        sandbox.shown = msgspec.structs.replace(sandbox.shown, ready=False, ips=())
        self.settle()
        self.hint(sandbox.config.uid)

    def drop_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox with all that is in it."""
        self.stop_sandbox(sandbox_id)
        for container_id in self._inside(sandbox_id):
            del self.containers[container_id]
        self.inside.pop(sandbox_id, None)
        uid = self.sandboxes.pop(sandbox_id).config.uid
        self.of_pod[uid].pop(sandbox_id)
        if not self.of_pod[uid]:
            del self.of_pod[uid]
        self.hint(uid)

    def drop_container(self, container_id: str) -> None:
        """Remove a container, whether it runs or not."""
        container = self.containers.pop(container_id)
        self.inside[container.sandbox_id].pop(container_id, None)
        self.hint(container.config.uid)

    def _inside(self, sandbox_id: str) -> list[str]:
        """The containers of a sandbox, in the order of their making."""
        known = self.inside.get(sandbox_id, {}).items()
        return [key for key, each in known if self.containers.get(key) is each]

    def pods(self, node: str, uid: PodUid | None) -> list[ObservedPod]:
        """What a node's driver sees."""
        uids = list(self.of_pod) if uid is None else [uid]
        shown = ((self.sandboxes[each] for each in self.of_pod.get(one, ())) for one in uids)
        found = ([each for each in boxes if each.node == node] for boxes in shown)
        return [self._pod(sandboxes) for sandboxes in found if sandboxes]

    def _pod(self, sandboxes: list[Sandbox]) -> ObservedPod:
        config = sandboxes[0].config
        ids = [key for each in sandboxes for key in self._inside(each.shown.id)]
        containers = [self.containers[key].shown for key in ids]
        return ObservedPod(
            uid=config.uid,
            namespace=config.namespace,
            name=config.name,
            sandboxes=tuple(sorted((each.shown for each in sandboxes), key=lambda box: -box.attempt)),
            containers=tuple(sorted(containers, key=lambda each: (-each.attempt, each.name))),
        )

    def finish(self, container: Container) -> None:
        """A container ends as it was to end."""
        code, reason = container.end
        container.shown = _with(
            container.shown,
            phase=ContainerPhase.EXITED,
            finished_at=container.ends_at,
            exit_code=code,
            reason=reason,
        )
        self.hint(container.config.uid)


def _with(shown: ObservedContainer, **changes: object) -> ObservedContainer:
    return msgspec.structs.replace(shown, **changes)


def image_id(image: str) -> str:
    """Id of a simulated image."""
    return f"simulated:{image}"
