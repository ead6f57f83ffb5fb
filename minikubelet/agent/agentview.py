"""What the agent shows of itself to `minikubelet pods`, `manifests` and `status`.

Belongs here: the state as Kubernetes objects and plain values. May not be here: changing anything.
"""

from __future__ import annotations

from typing import Any

import msgspec

from minikubelet.agent.agentplan import AgentPlan
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Generation
from minikubelet.ports.journalport import Journal
from minikubelet.ports.runtimeport import Runtime
from minikubelet.shell.intake import Intake
from minikubelet.shell.observer import Observer
from minikubelet.wire.pod_codec import encode_pod


class AgentView:
    """Reads the state of a running agent."""

    def __init__(
        self,
        plan: AgentPlan,
        reducer: Reducer,
        *,
        journal: Journal,
        intake: Intake,
        observer: Observer,
        runtime: Runtime,
    ) -> None:
        self._plan = plan
        self._reducer = reducer
        self._journal = journal
        self._intake = intake
        self._observer = observer
        self._runtime = runtime

    def pods(self) -> dict[str, Any]:
        """A v1 PodList; a pod whose definition is not known any more is left out."""
        items = [
            _shown(gen) for slot in self._reducer.snapshot().slots for gen in slot.generations if gen.pod
        ]
        return {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items}

    def manifests(self) -> list[dict[str, Any]]:
        """The verdicts over the manifest files."""
        shown: list[dict[str, Any]] = msgspec.to_builtins(self._intake.verdicts)
        return shown

    def status(self) -> dict[str, Any]:
        """How the agent is; `ok` is false while something needs a person."""
        node, health = self._reducer.node, self._journal.health
        problems = []
        if health.degraded:
            problems.append(f"the journal is degraded, records are only in memory: {health.reason}")
        if self._observer.fault:
            problems.append(f"the container runtime does not answer: {self._observer.fault}")
        if node.rejected:
            problems.append(f"{node.rejected} manifest(s) are broken; see `minikubelet manifests`")
        info = self._runtime.info
        return {
            "ok": not problems,
            "problems": problems,
            "node": node.name,
            "runtime": f"{info.name} {info.version}",
            "simulated": info.simulated,
            "apiServer": self._plan.upstream.value,
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
    if gen.ending is not None:
        shown["metadata"]["deletionGracePeriodSeconds"] = gen.ending.grace
    return shown
