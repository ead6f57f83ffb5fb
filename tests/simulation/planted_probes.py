"""Bugs planted into probes and hooks, as in `planted`.

Belongs here: one function for each bug; it patches the real code through `monkeypatch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from msgspec.structs import replace

from minikubelet.core import lifecycle, probes, step
from minikubelet.core.events import ContainerProbed
from minikubelet.core.probes import Run
from minikubelet.core.state import ContainerRecord, Generation
from minikubelet.model.pod import ProbeKind
from minikubelet.shell import prober
from minikubelet.shell.hooks import Hooks
from minikubelet.shell.probehandlers import Answer, Outcome, ProbeHandlers
from minikubelet.shell.prober import Prober

Patch = pytest.MonkeyPatch


async def nothing_yet(*_args: Any, **_options: Any) -> None:
    """Do nothing, after a while."""


def one_bad_answer_is_enough(patch: Patch) -> None:
    counts = Run.counts
    patch.setattr(Run, "counts", lambda self, probe: self.passed is False or counts(self, probe))


def one_good_answer_is_enough(patch: Patch) -> None:
    counts = Run.counts
    patch.setattr(Run, "counts", lambda self, probe: bool(self.passed) or counts(self, probe))


def answers_need_not_be_in_a_row(patch: Patch) -> None:
    patch.setattr(Run, "then", lambda self, passed: Run(passed, self.length + 1))


def start_up_is_no_gate(patch: Patch) -> None:
    patch.setattr(probes, "has_started", lambda _container, record: record.running)


def start_up_is_asked_again_after_a_restart(patch: Patch) -> None:
    new_life = step._new_life_of

    def forgetful(gen: Generation) -> Generation:
        made = new_life(gen)
        kept = {name: replace(record, started=False) for name, record in made.containers.items()}
        return replace(made, containers=kept)

    patch.setattr(step, "_new_life_of", forgetful)


def readiness_is_never_taken_back(patch: Patch) -> None:
    changes = prober._changes

    def lenient(kind: ProbeKind, passed: bool, passing: bool) -> bool:
        return (passed or kind is not ProbeKind.READINESS) and changes(kind, passed, passing)

    patch.setattr(prober, "_changes", lenient)


def readiness_outlives_its_instance(patch: Patch) -> None:
    """A container that is started again is as ready as the one before."""
    begun = lifecycle.begun

    def lasting(record: ContainerRecord, **options: Any) -> ContainerRecord:
        return replace(begun(record, **options), ready=record.ready, started=record.started)

    patch.setattr(lifecycle, "begun", lasting)


def liveness_changes_nothing(patch: Patch) -> None:
    told = probes._told

    def deaf(gen: Any, record: ContainerRecord, event: ContainerProbed, now: Any) -> ContainerRecord:
        return record if event.probe is ProbeKind.LIVENESS else told(gen, record, event, now)

    patch.setattr(probes, "_told", deaf)


def initial_delay_is_skipped(patch: Patch) -> None:
    patch.setattr(Prober, "_first_wait", nothing_yet)


def answers_that_come_too_late_do_not_count(patch: Patch) -> None:
    ask = ProbeHandlers._exec

    async def lenient(self: ProbeHandlers, action: Any, target: Any, seconds: float) -> Answer:
        answer = await ask(self, action, target, seconds)
        return Answer(Outcome.UNKNOWN) if "timed out" in answer.message else answer

    patch.setattr(ProbeHandlers, "_exec", lenient)


def unhealthy_containers_get_no_grace(patch: Patch) -> None:
    patch.setattr(probes, "grace_of_unhealthy", lambda *_args: 0)


def hooks_take_no_grace(patch: Patch) -> None:
    """What the preStop hook took is given once more."""
    stop = Hooks.pre_stop

    async def generous(self: Hooks, command: Any) -> float:
        await stop(self, command)
        return float(command.grace)

    patch.setattr(Hooks, "pre_stop", generous)


PROBE_BUGS: Final[tuple[Callable[[Patch], None], ...]] = (
    one_bad_answer_is_enough,
    one_good_answer_is_enough,
    answers_need_not_be_in_a_row,
    start_up_is_no_gate,
    start_up_is_asked_again_after_a_restart,
    readiness_outlives_its_instance,
    liveness_changes_nothing,
    initial_delay_is_skipped,
    answers_that_come_too_late_do_not_count,
    unhealthy_containers_get_no_grace,
)

RARE_PROBE_BUGS: Final[tuple[Callable[[Patch], None], ...]] = (
    hooks_take_no_grace,
    readiness_is_never_taken_back,
)
"""Not found in the first sixty seeds: too rare for the suite."""
