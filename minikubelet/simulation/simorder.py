"""The judge of order within a pod: what comes up after what, and what goes down before what.

Belongs here: init containers, sidecars and main containers (upstream's computePodActions and killContainers).
May not be here: whether a container may start or end at all (`simsafety`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from minikubelet.core.commands import Decision, Reason, StopContainer
from minikubelet.core.state import Generation
from minikubelet.model.pod import Container
from minikubelet.simulation.simengine import Instance, WatchedEngine
from minikubelet.simulation.simwanted import Book, Fail, Wanted

_ENDS: Final = (
    Reason.POD_DELETED,
    Reason.POD_REMOVED,
    Reason.POD_REPLACED,
    Reason.POD_FINISHED,
    Reason.DEADLINE_EXCEEDED,
)
"""why a whole pod ends; a container that is stopped for a reason of its own waits for no other"""


class Order:
    """`knows` tells whether the agent that lives knows that a container runs."""

    def __init__(self, engine: WatchedEngine, book: Book, fail: Fail) -> None:
        self.knows: Callable[[Instance], bool] = lambda _instance: False
        self._engine = engine
        self._book = book
        self._fail = fail

    def start(self, instance: Instance, wanted: Wanted) -> None:
        """A container starts after the init containers before it: those that end have ended well by then."""
        for before in _before(instance.name, wanted):
            made = [
                each
                for each in self._engine.instances()
                if (each.sandbox_id, each.name) == (instance.sandbox_id, before.name)
            ]
            done = any(each.started_at for each in made) if _is_sidecar(before) else _ended_well(made)
            if not done:
                what = "has started" if _is_sidecar(before) else "has ended well"
                self._fail("order", f"{instance.id} is started before {before.name} {what} in its sandbox")

    def took(self, decisions: list[Decision], generations: Iterable[Generation]) -> None:
        """At a pod's end its sidecars are stopped after the main containers, the last of them first."""
        defined = {gen.uid for gen in generations if gen.pod is not None}
        for decision in decisions:
            command = decision.command
            if not isinstance(command, StopContainer) or command.reason not in _ENDS:
                continue
            wanted = self._book.pods.get(command.uid)
            if wanted is None or command.uid not in defined:
                continue
            first = _stopped_before(command.container, wanted)
            left = [
                each.id
                for each in self._engine.running()
                if each.uid == command.uid and each.name in first and self.knows(each)
            ]
            if left:
                self._fail("order", f"{command.container_id} is stopped while {left[0]} runs")


def _before(name: str, wanted: Wanted) -> list[Container]:
    """The init containers that a container waits for."""
    inits = list(wanted.pod.spec.init_containers)
    own = next((number for number, each in enumerate(inits) if each.name == name), len(inits))
    return inits[:own]


def _stopped_before(name: str, wanted: Wanted) -> tuple[str, ...]:
    """What has to have ended before a sidecar is stopped; nothing where it is none."""
    spec = wanted.pod.spec
    sidecars = [each.name for each in spec.init_containers if _is_sidecar(each)]
    if name not in sidecars:
        return ()
    return (*(each.name for each in spec.containers), *sidecars[sidecars.index(name) + 1 :])


def _is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def _ended_well(made: list[Instance]) -> bool:
    return any(each.ended_at and each.exit_code == 0 for each in made)
