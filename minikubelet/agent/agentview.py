"""What the agent shows of itself to `minikubelet pods`, `manifests` and `status`.

Belongs here: the state as Kubernetes objects and plain values. May not be here: changing anything.
"""

from __future__ import annotations

from typing import Any

import msgspec

from minikubelet.agent.agentplan import AgentPlan
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Generation
from minikubelet.model.ids import Source, slot_key
from minikubelet.model.status import rfc3339
from minikubelet.ports.journalport import Journal
from minikubelet.ports.outboxport import Outbox
from minikubelet.ports.runtimeport import Runtime
from minikubelet.shell.intake import Intake
from minikubelet.shell.observer import Observer
from minikubelet.wire.pod_codec import encode_pod


class Health:
    """Whether runtime and journal are well, in the words that the Node shows; empty is well."""

    def __init__(self, observer: Observer, journal: Journal, runtime: Runtime, reducer: Reducer) -> None:
        self._observer = observer
        self._reducer = reducer
        self._journal = journal
        self._runtime = runtime
        self._reducer = reducer

    def pressures(self) -> tuple[str, ...]:
        """The conditions of what the node is short of."""
        return self._reducer.node.pressure.conditions

    def runtime(self) -> str:
        """Name and version, as `docker://20.10.24`."""
        return f"{self._runtime.info.name}://{self._runtime.info.version}"

    def problem(self) -> str:
        """Why no pod can be run, if so."""
        if self._reducer.node.going_down:
            return "node is shutting down"
        fault = self._observer.fault
        return f"the container runtime does not answer: {fault}" if fault else ""

    def journal(self) -> str:
        """Why the journal is degraded, if it is."""
        health = self._journal.health
        return f"records are only in memory: {health.reason}" if health.degraded else ""


class AgentView:
    """Reads the state of a running agent."""

    def __init__(
        self,
        plan: AgentPlan,
        reducer: Reducer,
        *,
        health: Health,
        intake: Intake,
        outbox: Outbox,
    ) -> None:
        self._plan = plan
        self._reducer = reducer
        self._health = health
        self._intake = intake
        self._outbox = outbox

    def pods(self) -> dict[str, Any]:
        """A v1 PodList; a pod whose definition is not known any more is left out."""
        items = [
            _shown(gen) for slot in self._reducer.snapshot().slots for gen in slot.generations if gen.pod
        ]
        return {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items}

    def named(self, namespace: str, name: str) -> list[dict[str, Any]]:
        """The pods of that name, the newest first."""
        slot = self._reducer.slots.get(slot_key(namespace, name))
        return [_shown(gen) for gen in reversed(slot.generations if slot else ()) if gen.pod]

    def manifests(self) -> list[dict[str, Any]]:
        """The verdicts over the manifest files."""
        shown: list[dict[str, Any]] = msgspec.to_builtins(self._intake.verdicts)
        return shown

    def status(self) -> dict[str, Any]:
        """How the agent is; `ok` is false while something needs a person."""
        node = self._reducer.node
        problems = [text for text in (self._health.journal(), self._health.problem()) if text]
        if node.rejected:
            broken = ", ".join(v.file for v in self._intake.verdicts if v.hides_pods)
            problems.append(f"cannot be used: {broken}; see `minikubelet manifests`")
        if Source.API in node.sources and Source.API not in node.synced:
            problems.append("the API server has not answered since the start: its pods are not known")
        return {
            "ok": not problems,
            "problems": problems,
            "node": node.name,
            "runtime": self._health.runtime(),
            "apiServer": self._plan.upstream.value,
            "untold": self._outbox.stats().pending,
            "sources": [s.value for s in node.sources],
            "synced": [s.value for s in node.synced],
            "pods": len(self._reducer.slots),
            "journal": str(self._plan.places.journal),
            "seq": self._reducer.seq,
        }


def _shown(gen: Generation) -> dict[str, Any]:
    if gen.pod is None:
        raise ValueError("a pod without definition cannot be shown")
    shown = encode_pod(gen.pod, gen.published)
    if gen.ending is not None and gen.ending.remove:
        ends = rfc3339(gen.ending.at + gen.ending.grace * 1_000_000)
        shown["metadata"]["deletionTimestamp"] = ends
        shown["metadata"]["deletionGracePeriodSeconds"] = gen.ending.grace
    return shown
