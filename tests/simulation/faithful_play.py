"""One pod of a script on one node: what the script does with it, and what it waits for.

Belongs here: steps. May not be here: which steps (`faithful_scripts`), or what is compared afterwards
(`faithful_trace`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from minikubelet.core.commands import Command, WakeAt
from minikubelet.core.events import ContainerProbed, PodObserved
from minikubelet.core.state import ContainerRecord, Generation, Life, record_of
from minikubelet.model.ids import PodUid, SlotKey, Source, slot_key
from minikubelet.model.pod import Pod, ProbeKind
from minikubelet.model.status import ContainerStatus, PodStatus
from minikubelet.ports.sourceport import PodOffered, PodRetracted
from minikubelet.simulation.simengine import NODE
from minikubelet.wire.defaults import with_defaults
from minikubelet.wire.manifest import read_manifest
from tests.running import eventually
from tests.simulation.faithful_node import Node
from tests.simulation.faithful_programs import Spelling

PATIENCE = 100.0


class Play:
    """A script's pod; `marks` are its statuses when the script found it settled."""

    def __init__(self, node: Node, name: str) -> None:
        self.node = node
        self.name = name
        self.make = Spelling(node.simulated).container
        self.marks: list[PodStatus] = []
        self.static = False
        self._pod: Pod | None = None

    @property
    def slot(self) -> SlotKey:
        name = f"{self.name}-{NODE}" if self.static else self.name
        return slot_key(self.node.namespace, name)

    # ── sources ──

    async def create(self, *containers: dict[str, Any], static: bool = False, **spec: Any) -> None:
        """A source holds a pod with these containers; given again, a static pod's file was edited."""
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.node.namespace},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers), **spec},
        }
        self.static = static
        self._pod = self._read(body) if static else self._bound(body)
        source = Source.FILE if static else Source.API
        await self.node.parts.intake.put(PodOffered(source=source, pod=self._pod, origin="1"))

    def _read(self, body: dict[str, Any]) -> Pod:
        data = json.dumps(body).encode()
        reading = read_manifest(data, name="it.yaml", node_name=NODE, namespace=self.node.namespace)
        (found,) = reading.pods
        return found.pod

    def _bound(self, body: dict[str, Any]) -> Pod:
        body["metadata"]["uid"] = f"uid-{self.node.namespace}-{self.name}"
        body["spec"]["nodeName"] = NODE
        return with_defaults(msgspec.convert(body, Pod))

    async def delete(self, grace: int) -> None:
        """Somebody deletes the API pod; it stays at the API until the agent lets it go."""
        pod = self._known()
        fact = PodOffered(
            source=Source.API, pod=pod, origin="2", deletion_at=self.node.clock.now(), deletion_grace=grace
        )
        await self.node.parts.intake.put(fact)

    async def withdraw(self) -> None:
        """The source does not hold the pod any more."""
        meta = self._known().metadata
        source = Source.FILE if self.static else Source.API
        await self.node.parts.intake.put(
            PodRetracted(source=source, namespace=meta.namespace, name=meta.name, uid=PodUid(meta.uid))
        )

    def _known(self) -> Pod:
        assert self._pod is not None
        return self._pod

    # ── what is known ──

    @property
    def uid(self) -> PodUid:
        return PodUid(self._known().metadata.uid)

    def generation(self) -> Generation | None:
        slot = self.node.reducer.slots.get(self.slot)
        return slot.find(self.uid) if slot else None

    def record(self, name: str) -> ContainerRecord:
        gen = self.generation()
        assert gen is not None, f"{self.name} is not known any more"
        return record_of(gen, name)

    def status(self) -> PodStatus | None:
        gen = self.generation()
        return gen.published if gen else None

    def shown(self, name: str) -> ContainerStatus | None:
        status = self.status()
        every = (*status.init_container_statuses, *status.container_statuses) if status else ()
        return next((one for one in every if one.name == name), None)

    # ── waiting ──

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for what the agent knows or tells."""
        try:
            await eventually(condition, what, patience=PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{self.name}: {error}; told was {self.status()}") from error

    async def running(self, *names: str, attempt: int = 0) -> None:
        for name in names:
            await self.until(partial(self._runs, name, attempt), f"{name} #{attempt} to run")

    def _runs(self, name: str, attempt: int) -> bool:
        gen = self.generation()
        record = record_of(gen, name) if gen else None
        return record is not None and record.running and record.attempt == attempt

    async def ended(self, name: str, attempt: int = 0) -> None:
        await self.until(partial(self._over, name, attempt), f"{name} #{attempt} to end")

    def _over(self, name: str, attempt: int) -> bool:
        gen = self.generation()
        record = record_of(gen, name) if gen else None
        return record is not None and record.life is Life.EXITED and record.attempt == attempt

    async def waiting(self, name: str, reason: str) -> None:
        def waits() -> bool:
            shown = self.shown(name)
            return bool(shown and shown.state.waiting and shown.state.waiting.reason == reason)

        await self.until(waits, f"{name} to wait with {reason}")

    async def stopping(self, name: str) -> None:
        """The engine has been told to stop a container, whose preStop hook begins first."""

        def told() -> bool:
            gen = self.generation()
            pending = gen.pending.get(name) if gen else None
            return pending is not None and pending.command == "StopContainer"

        await self.until(told, f"{name} to be stopped")

    async def ready(self, *, ready: bool = True) -> None:
        await self.condition("Ready", ready=ready)

    async def condition(self, kind: str, *, ready: bool) -> None:
        wanted = "True" if ready else "False"

        def holds() -> bool:
            status = self.status()
            return any(c.type == kind and c.status == wanted for c in status.conditions) if status else False

        await self.until(holds, f"{kind} to be {wanted}")

    async def unready(self, name: str) -> None:
        """A readiness probe has failed often enough to count."""

        def told() -> bool:
            return any(
                isinstance(e, ContainerProbed)
                and (e.slot, e.container, e.probe, e.passed) == (self.slot, name, ProbeKind.READINESS, False)
                for e in self.node.told()
            )

        await self.until(told, f"{name} to be told unready")

    async def phase(self, phase: str) -> None:
        await self.until(lambda: (found := self.status()) and found.phase == phase, f"phase {phase}")

    async def gone(self) -> None:
        """Nothing is left of the pod; the API server hears that it may go, and lets it go."""

        def released() -> bool:
            gen = self.generation()
            return gen is None or gen.released

        await self.until(released, "the pod to be released")
        if self.generation() is not None:
            await self.withdraw()
        await self.until(lambda: self.generation() is None, "the pod to be gone")

    async def settled(self) -> None:
        """Nothing is under way, and a fresh look has brought nothing new; its status is one to compare."""
        quiet = 0
        while quiet < 2:
            since = len(self.node.told())
            self.node.parts.observer.look(self.slot, self.uid)
            await self.until(partial(self._looked, since), "a look at the pod")
            await self.until(self._idle, "all commands to be answered")
            quiet = 0 if self._decided(since) else quiet + 1
        self.mark()

    def mark(self) -> None:
        """What is told now is to be compared."""
        status = self.status()
        assert status is not None
        self.marks.append(status)

    def _looked(self, since: int) -> bool:
        return any(isinstance(e, PodObserved) and e.pod.uid == self.uid for e in self.node.told(since))

    def _idle(self) -> bool:
        gen = self.generation()
        assert gen is not None
        return not gen.pending and not any(record.dead for record in gen.containers.values())

    def _decided(self, since: int) -> bool:
        return any(
            isinstance(told, Command) and told.slot == self.slot and not isinstance(told, WakeAt)
            for told in self.node.told(since)
        )

    # ── what happens from outside ──

    def container_id(self, name: str) -> str:
        record = self.record(name)
        assert record.id, f"{self.name}: {name} was never made"
        return record.id

    def sandbox_id(self) -> str:
        gen = self.generation()
        assert gen is not None
        assert gen.sandbox is not None
        return gen.sandbox.id

    def cue(self, name: str, code: int) -> None:
        """A serving program ends with that code."""
        self.node.hands.cue(self.container_id(name), code)

    def deafen(self) -> None:
        """From now on no event about the pod arrives."""
        self.node.deaf.add(self.uid)

    def hear(self) -> None:
        """Events about the pod arrive again."""
        self.node.deaf.discard(self.uid)
