"""Bugs planted into what is told of pods, and into how soon things go on.

Belongs here: one function for each bug, as in `planted`; it patches the real code through `monkeypatch`.
"""

from __future__ import annotations

from typing import Any, Final

from minikubelet.core import apply, backoff, project, project_container
from minikubelet.core.backoff import CRASH_MAX
from minikubelet.core.project import HOLDS
from minikubelet.model.status import ContainerState, PodPhase
from tests.simulation.planted import Patch, Plant


def a_pod_runs_with_its_first_container(patch: Patch) -> None:
    def hasty(mains: Any, incomplete: Any) -> PodPhase:
        begun = any(not s.state.waiting for s in mains)
        return PodPhase.RUNNING if begun and not incomplete else PodPhase.PENDING

    patch.setattr(project, "_phase", hasty)


def pods_are_ready_whatever_their_containers_are(patch: Patch) -> None:
    ready = project._containers_ready

    def hopeful(phase: PodPhase, unready: list[str]) -> Any:
        return HOLDS if phase is PodPhase.RUNNING else ready(phase, unready)

    patch.setattr(project, "_containers_ready", hopeful)


def init_containers_are_not_waited_for_in_the_status(patch: Patch) -> None:
    patch.setattr(project, "_initialized", lambda _phase, _incomplete: HOLDS)


def the_last_end_is_not_told(patch: Patch) -> None:
    patch.setattr(project_container, "_last_state", lambda _state, _record, _runtime: ContainerState())


def addresses_are_anybodys(patch: Patch) -> None:
    addresses = project.addresses

    def shifted(gen: Any, node: Any) -> tuple[str, ...]:
        return tuple(f"{ip.rpartition('.')[0]}.9" for ip in addresses(gen, node))

    patch.setattr(project, "addresses", shifted)


def failed_calls_are_tried_again_after_minutes(patch: Patch) -> None:
    for module in (apply, backoff):
        patch.setattr(module, "retry_delay", lambda _tries, _reason="": CRASH_MAX)


STATUS_BUGS: Final[tuple[Plant, ...]] = (
    a_pod_runs_with_its_first_container,
    pods_are_ready_whatever_their_containers_are,
    init_containers_are_not_waited_for_in_the_status,
    the_last_end_is_not_told,
    addresses_are_anybodys,
    failed_calls_are_tried_again_after_minutes,
)
