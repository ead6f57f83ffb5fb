"""The engine as the judges watch it, and the driver whose calls outlive the agent that made them.

Belongs here: a history of every container and sandbox that ever was, and what the world does to them. May
not be here: what is right or wrong about it (`simsafety`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase
from minikubelet.ports.runtimeport import ContainerConfig, RuntimeFault, SandboxConfig
from minikubelet.runtimes.simulated.simulatedengine import SimulatedEngine
from minikubelet.runtimes.simulated.simulatedpod import Container, adopted
from minikubelet.runtimes.simulated.simulatedscript import KILLED, Script
from minikubelet.simulation.simloop import AgentClock, WorldClock

NODE: Final = "node"
STRANGER: Final = "stranger"


@dataclass(slots=True)
class Instance:
    """One container that was made: all that became of it."""

    id: str
    uid: PodUid
    name: str
    attempt: int
    hash: str
    sandbox_id: str
    made_at: int
    started_at: int = 0
    ended_at: int = 0
    exit_code: int = 0
    signalled_at: int = 0
    gone: bool = False
    hook_failed_at: int = 0
    stopped_for: str = ""
    """the cause, in the judges' eyes, for which it was first told to end"""
    unhealthy: bool = False
    """it was told to end for its probes"""

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return bool(self.started_at) and not self.ended_at and not self.gone


class Judge:
    """Told of everything that is about to be done to the engine; the judges override what they care for."""

    def sandbox(self, config: SandboxConfig) -> None:
        """A sandbox is made, or found again."""

    def start(self, instance: Instance) -> None:
        """A container is started."""

    def ordered(self, instance: Instance, grace: float) -> None:
        """The engine is asked to stop a container."""

    def stop(self, instance: Instance, grace: float) -> None:
        """A running container is told to end."""

    def drop(self, sandbox_id: str) -> None:
        """A sandbox is stopped or removed."""

    def remove(self, instance: Instance) -> None:
        """A container is removed."""


@dataclass(slots=True)
class WatchedEngine(SimulatedEngine):
    """A simulated engine that remembers, and whose containers can be made to behave."""

    judge: Judge = field(default_factory=Judge)
    history: dict[str, list[Instance]] = field(default_factory=dict)
    addresses: dict[PodUid, set[str]] = field(default_factory=dict)
    """all that a pod's sandboxes ever had"""
    calm: bool = False
    calls: dict[str, int] = field(default_factory=dict)
    real: WorldClock = field(kw_only=True)
    """the judges' clock, which nobody sets"""
    dropping: bool = False
    orphans: set[str] = field(default_factory=set)
    """sandboxes that a life of the agent had asked for which was over when they came"""
    under_way: int = 0
    """calls that change something, whoever made them and lives still"""

    def instances(self) -> list[Instance]:
        """All containers that ever were, by id in the order of their making."""
        return [each for made in self.history.values() for each in made]

    def latest(self, container_id: str) -> Instance | None:
        """The newest container of an id."""
        made = self.history.get(container_id)
        return made[-1] if made else None

    def count(self, call: str) -> None:
        """Count a call that changes something."""
        self.calls[call] = self.calls.get(call, 0) + 1

    def has_sandbox(self, config: SandboxConfig) -> bool:
        """Whether our node's sandbox of this pod and attempt is there, dead or not."""
        key = (config.uid, config.attempt)
        return any(
            each.node == NODE and (each.config.uid, each.config.attempt) == key
            for each in self.sandboxes.values()
        )

    def add_orphan(self, config: SandboxConfig) -> str:
        """Make a sandbox that the agent's last life had asked for: nobody who lives can know of it yet."""
        made = SimulatedEngine.add_sandbox(self, NODE, config)
        self.addresses.setdefault(config.uid, set()).update(self.sandboxes[made].shown.ips)
        self.orphans.add(made)
        return made

    def add_sandbox(self, node: str, config: SandboxConfig) -> str:
        """Make a sandbox."""
        if node == NODE:
            self.count("sandbox")
            self.judge.sandbox(config)
        made = SimulatedEngine.add_sandbox(self, node, config)
        self.addresses.setdefault(config.uid, set()).update(self.sandboxes[made].shown.ips)
        return made

    def add_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Make a container."""
        self.count("create")
        holder = self.holder(sandbox_id, config) if sandbox_id in self.sandboxes else None
        instance = self.latest(holder.shown.id) if holder is not None else None
        if holder is not None and instance is not None and not adopted(holder, sandbox_id):
            self.judge.remove(instance)
        container_id = SimulatedEngine.add_container(self, sandbox_id, config)
        container = self.containers[container_id]
        made = self.history.setdefault(container_id, [])
        if not made or made[-1].gone or made[-1].ended_at:
            made.append(
                Instance(
                    container_id,
                    config.uid,
                    config.name,
                    config.attempt,
                    config.hash,
                    sandbox_id,
                    self.real.now(),
                )
            )
        if self.calm:
            container.script = behaved(container.script)
        return container_id

    def start(self, container_id: str) -> None:
        """Start a container."""
        self.count("start")
        instance = self.latest(container_id)
        container = self.containers.get(container_id)
        fresh = container is not None and container.shown.phase is ContainerPhase.CREATED
        if instance is not None and fresh:
            self.judge.start(instance)
            instance.started_at = self.real.now()
        try:
            SimulatedEngine.start(self, container_id)
        except RuntimeFault:
            if instance is not None and container is not None and fresh:
                self._ended(instance, container)
            raise

    def signal(self, container_id: str, grace_seconds: float) -> None:
        """Begin to stop a container."""
        instance = self.latest(container_id)
        container = self.containers.get(container_id)
        if instance is not None and container is not None and container.shown.phase is ContainerPhase.RUNNING:
            self.count("stop")
            if not self.dropping:
                self.judge.stop(instance, grace_seconds)
            instance.signalled_at = instance.signalled_at or self.real.now()
        SimulatedEngine.signal(self, container_id, grace_seconds)

    def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop a sandbox."""
        inside = any(each.sandbox_id == sandbox_id for each in self.running())
        if not self.dropping and (inside or self.sandboxes[sandbox_id].shown.ready):
            self.count("drop")
            self.judge.drop(sandbox_id)
        before, self.dropping = self.dropping, True
        SimulatedEngine.stop_sandbox(self, sandbox_id)
        self.dropping = before

    def drop_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox with its containers."""
        SimulatedEngine.drop_sandbox(self, sandbox_id)
        for instance in self.instances():
            if instance.sandbox_id == sandbox_id:
                instance.gone = True

    def finish(self, container: Container) -> None:
        """A container ends, or is found to have ended."""
        SimulatedEngine.finish(self, container)
        instance = self.latest(container.shown.id)
        if instance is not None and not instance.ended_at:
            self._ended(instance, container)

    def _ended(self, instance: Instance, container: Container) -> None:
        """Its end, which the engine's clock may put before now; not before its start, were that to fail."""
        late = self.clock.now() - (container.shown.finished_at or self.clock.now())
        instance.ended_at = max(instance.started_at, self.real.now() - late)
        instance.exit_code = container.shown.exit_code or 0

    def lose(self, container_id: str) -> None:
        """A container is not there any more."""
        instance = self.latest(container_id)
        if container_id in self.containers and instance is not None:
            instance.gone = True
        SimulatedEngine.lose(self, container_id)

    # ── what the world does ──

    def running(self) -> list[Instance]:
        """Our node's containers that run."""
        found = []
        for container_id, container in self.containers.items():
            instance = self.latest(container_id)
            if container.shown.phase is ContainerPhase.RUNNING and instance is not None:
                found.append(instance)
        return found

    def exit(self, container_id: str, code: int, reason: str = "") -> None:
        """A program ends by itself."""
        container = self.containers.get(container_id)
        if container is not None and container.shown.phase is ContainerPhase.RUNNING:
            container.end_by(self.clock.now(), code, reason)
            self.settle()

    def lose_power(self) -> None:
        """Nothing goes on in a machine without power; its neighbour's things count as another machine's."""
        for each in self.running():
            if each.uid != STRANGER:
                self.exit(each.id, KILLED)
        for key, box in list(self.sandboxes.items()):
            if box.node == NODE and box.shown.ready and box.config.uid != STRANGER:
                self.kill_sandbox(key)

    def set_clock(self, clock: AgentClock, by: int) -> None:
        """Set the machine's clock by so many µs: what runs does not notice."""
        self.settle()
        clock.offset += by
        for container in self.containers.values():
            if container.ends_at is not None and container.shown.phase is ContainerPhase.RUNNING:
                container.ends_at += by

    def settle_stranger(self) -> None:
        """Somebody else's sandbox and container, which are none of the agent's business."""
        log, uid = Path("/simulated/stranger"), PodUid(STRANGER)
        self.images["app:0"] = 1
        config = SandboxConfig(
            uid=uid, namespace="kube-system", name="s0-node", attempt=0, hostname="x", log_directory=log
        )
        container = ContainerConfig(
            uid=uid,
            namespace="kube-system",
            pod_name="s0-node",
            name="x",
            attempt=0,
            image="app:0",
            hash="",
            log_path=log,
        )
        self.start(self.add_container(self.add_sandbox(STRANGER, config), container))

    def stranger_lives(self) -> bool:
        """Whether it is as it was."""
        return any(each.uid == STRANGER and each.running for each in self.instances())


def behaved(script: Script) -> Script:
    """The program as it is once it has been mended: it heeds, and fails no more."""
    ends = script.seconds is not None and script.code == 0 and not script.missing
    return Script(seconds=script.seconds if ends else None, term=0.0)
