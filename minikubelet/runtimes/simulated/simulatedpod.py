"""A simulated sandbox, a simulated container, and how a driver sees those of one pod.

Belongs here: single ones. May not be here: which there are, and what happens to them (`simulatedengine`).
"""

from __future__ import annotations

from dataclasses import dataclass

from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod, ObservedSandbox
from minikubelet.ports.runtimeport import ContainerConfig, SandboxConfig
from minikubelet.runtimes.simulated.simulatedscript import Script


@dataclass(slots=True)
class Container:
    """One simulated container; `ends_at` and `end` say when and how it will end as things are.

    `ending` are its engine's containers of which an end is to be expected: few of those that run.
    """

    node: str
    config: ContainerConfig
    sandbox_id: str
    script: Script
    shown: ObservedContainer
    ending: dict[str, Container]
    ends_at: int | None = None
    end: tuple[int, str] = (0, "")

    @property
    def runs(self) -> bool:
        """Whether it runs."""
        return self.shown.phase is ContainerPhase.RUNNING

    def end_by(self, when: int, code: int, reason: str = "") -> None:
        """It ends then at the latest; an earlier end stays."""
        self.ending[self.shown.id] = self
        if self.ends_at is None or when < self.ends_at:
            self.ends_at = when
            self.end = (code, reason or ("Error" if code else "Completed"))

    def last_words(self, code: int) -> str:
        """Its termination message, when it ends with that code."""
        if self.script.says and self.config.termination_log is not None:
            return self.script.says
        return f"{self.script.logs}\n" if self.script.logs and self.config.fallback_to_logs and code else ""


@dataclass(slots=True)
class Sandbox:
    """One simulated sandbox."""

    node: str
    config: SandboxConfig
    shown: ObservedSandbox


def adopted(holder: Container, sandbox_id: str) -> bool:
    """Whether a container that has the name already is taken for the one that was to be made."""
    return holder.sandbox_id == sandbox_id and holder.runs


def shown_pod(members: list[Sandbox | Container]) -> ObservedPod:
    """What is shown of a pod, newest attempt first, then newest creation."""
    config = members[0].config
    boxes = [each.shown for each in members if isinstance(each, Sandbox)]
    containers = [each.shown for each in members if isinstance(each, Container)]
    return ObservedPod(
        uid=config.uid,
        namespace=config.namespace,
        name=config.name if isinstance(config, SandboxConfig) else config.pod_name,
        sandboxes=tuple(sorted(boxes, key=lambda box: (-box.attempt, -box.created_at, box.id))),
        containers=tuple(sorted(containers, key=lambda one: (-one.attempt, -one.created_at, one.id))),
    )
