"""Whose turn it is when the machine goes down, and how long it waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import structlog

from minikubelet.core.events import AnyEvent, NodeShutdownCancelled, NodeShuttingDown
from minikubelet.core.reducer import Reducer
from minikubelet.model.settings import KubeletSettings, PriorityGrace
from minikubelet.shell.shutdownturns import ShutdownTurns, Turn, turns
from tests.running import run

CRITICAL = 2_000_000_000


def graces(*pairs: tuple[int, int]) -> dict[str, Any]:
    wanted = tuple(PriorityGrace(priority=p, shutdown_grace_period_seconds=s) for p, s in pairs)
    return {"shutdown_by_priority": wanted}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ()),
        ({"shutdown_grace_period": 30.0}, (Turn(CRITICAL, 30), Turn(None, 0))),
        (
            {"shutdown_grace_period": 30.0, "shutdown_grace_period_critical_pods": 10.0},
            (Turn(CRITICAL, 20), Turn(None, 10)),
        ),
        (graces((9000, 180), (0, 60), (CRITICAL, 5)), (Turn(9000, 60), Turn(CRITICAL, 180), Turn(None, 5))),
        (graces((7, 9)), (Turn(None, 9),)),
    ],
)  # fmt: skip
def test_the_least_important_come_first(settings: dict[str, Any], expected: tuple[Turn, ...]) -> None:
    assert turns(KubeletSettings(**settings)) == expected


def test_without_pods_every_turn_is_over_at_once_and_the_node_is_told_of_twice() -> None:
    reducer, changes, seqs = Reducer(), [], iter(range(1, 100))
    taken: list[AnyEvent] = []

    def put(event: AnyEvent) -> None:
        taken.append(event)
        reducer.decide(next(seqs), 1, event)
        machine.seen()

    configured = (Turn(CRITICAL, 3600), Turn(None, 3600))
    machine = ShutdownTurns(reducer, put, configured, lambda: changes.append(reducer.node.going_down))
    assert machine.seconds == 7200
    run(machine.going_down())
    assert taken == [NodeShuttingDown(grace=3600, below=CRITICAL), NodeShuttingDown(grace=3600)]
    machine.stays_up()
    assert taken[2:] == [NodeShutdownCancelled()]
    assert changes == [True, False]


def test_pods_that_do_not_end_are_named_and_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = ShutdownTurns(Reducer(), lambda _: None, (Turn(None, 0),), lambda: None)
    monkeypatch.setattr(machine, "_busy", lambda _below: ["default/late"])
    with structlog.testing.capture_logs() as said:
        run(machine.going_down())
    (late,) = [line for line in said if "pods" in line]
    assert (late["pods"], late["seconds"]) == (["default/late"], 0)


def test_it_ends_when_it_is_cancelled() -> None:
    async def story() -> None:
        waiting = asyncio.create_task(
            ShutdownTurns(Reducer(), lambda _: None, (Turn(None, 3600),), lambda: None).going_down()
        )
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        assert waiting.cancelled()

    run(story())
