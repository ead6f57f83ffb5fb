"""What exists in a simulated engine, and what time does to it.

Belongs here: sandboxes, containers, their scripts and ends. May not be here: waiting, latencies, faults.
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

KILLED = 137
TERMINATED = 143
NOT_FOUND = 127
SECOND = 1_000_000


class Script(msgspec.Struct, frozen=True):
    """What a simulated program does; `seconds` None: it runs until it is stopped.

    Words of a command, one after the other: `sleep S`, `exit N`, `oom`, `when PATH` (ends once the file
    is there), `term S` (takes that long to heed SIGTERM), `ignore-term`, `missing` (cannot be started).
    A command that begins otherwise runs until it is stopped.
    """

    seconds: float | None = None
    code: int = 0
    reason: str = ""
    when: str = ""
    term: float | None = 0.0
    missing: bool = False


def read_script(command: tuple[str, ...]) -> Script:
    """The script in a command's words."""
    fields: dict[str, object] = {}
    words = list(command)
    while words:
        match words:
            case ["sleep", seconds, *words] if _is_number(seconds):
                fields |= {"seconds": float(seconds)}
            case ["exit", code, *words] if code.isdecimal():
                fields = {"seconds": 0.0, **fields, "code": int(code)}
            case ["oom", *words]:
                fields = {"seconds": 0.0, **fields, "code": KILLED, "reason": "OOMKilled"}
            case ["when", path, *words]:
                fields |= {"when": path}
            case ["term", seconds, *words] if _is_number(seconds):
                fields |= {"term": float(seconds)}
            case ["ignore-term", *words]:
                fields |= {"term": None}
            case ["missing", *words]:
                fields |= {"missing": True}
            case _:
                break
    return msgspec.convert(fields, Script)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


@dataclass(slots=True)
class Container:
    """One simulated container; `ends_at` and `end` say when and how it will end as things are."""

    config: ContainerConfig
    sandbox_id: str
    script: Script
    shown: ObservedContainer
    ends_at: int | None = None
    end: tuple[int, str] = (0, "")

    def end_by(self, when: int, code: int, reason: str = "") -> None:
        """It ends then at the latest; an earlier end stays."""
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
    """All that exists, for any number of driver objects: it survives them as an engine survives the agent."""

    clock: Clock
    images: dict[str, int] = field(default_factory=dict)
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    listeners: list[Callable[[PodUid], None]] = field(default_factory=list)
    made: dict[str, int] = field(default_factory=dict)
    """how many containers were made under each name"""

    def settle(self) -> None:
        """Let everything happen that was to happen until now."""
        now = self.clock.now()
        for container in self.containers.values():
            if container.shown.phase is not ContainerPhase.RUNNING:
                continue
            if container.script.when and Path(container.script.when).exists():
                container.end_by(now, container.script.code)
            if container.ends_at is not None and container.ends_at <= now:
                self._finish(container)

    def next_end(self) -> int | None:
        """When the next container ends, None if none is going to."""
        running = (each for each in self.containers.values() if each.shown.phase is ContainerPhase.RUNNING)
        return min((each.ends_at for each in running if each.ends_at is not None), default=None)

    def waits_for_files(self) -> bool:
        """Whether a running container ends with the appearance of a file, which no clock announces."""
        return any(
            each.script.when and each.shown.phase is ContainerPhase.RUNNING
            for each in self.containers.values()
        )

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
            self.containers[container_id] = Container(config, sandbox_id, script, shown)
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
            self._finish(container)
            why = f"command not found: {' '.join(container.config.command)}"
            raise RuntimeFault("RunContainerError", why, container_id=container_id, exit_code=NOT_FOUND)
        if script.seconds is not None and not script.when:
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
        for container_id, container in self.containers.items():
            if container.sandbox_id == sandbox_id:
                self.signal(container_id, 0)
        sandbox.shown = msgspec.structs.replace(sandbox.shown, ready=False, ips=())
        self.settle()
        self.hint(sandbox.config.uid)

    def drop_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox with all that is in it."""
        self.stop_sandbox(sandbox_id)
        inside = [key for key, each in self.containers.items() if each.sandbox_id == sandbox_id]
        for container_id in inside:
            del self.containers[container_id]
        self.hint(self.sandboxes.pop(sandbox_id).config.uid)

    def pods(self, node: str, uid: PodUid | None) -> list[ObservedPod]:
        """What a node's driver sees."""
        found: dict[PodUid, list[Sandbox]] = {}
        for sandbox in self.sandboxes.values():
            if sandbox.node == node and uid in (None, sandbox.config.uid):
                found.setdefault(sandbox.config.uid, []).append(sandbox)
        return [self._pod(sandboxes) for sandboxes in found.values()]

    def _pod(self, sandboxes: list[Sandbox]) -> ObservedPod:
        config, ids = sandboxes[0].config, {each.shown.id for each in sandboxes}
        containers = [each.shown for each in self.containers.values() if each.sandbox_id in ids]
        return ObservedPod(
            uid=config.uid,
            namespace=config.namespace,
            name=config.name,
            sandboxes=tuple(sorted((each.shown for each in sandboxes), key=lambda box: -box.attempt)),
            containers=tuple(sorted(containers, key=lambda each: (-each.attempt, each.name))),
        )

    def _finish(self, container: Container) -> None:
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
