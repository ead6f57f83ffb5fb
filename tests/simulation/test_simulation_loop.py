"""The loop on virtual time gives the same calls the same order, wherever in memory its tasks lie."""

import asyncio

import pytest

from minikubelet.simulation.simloop import VirtualLoop
from minikubelet.simulation.simruntime import LifeRuntime
from minikubelet.simulation.simscenario import Kind
from tests.simulation.simulation_world import at, play


def _order_of_ends(held: list[object]) -> list[int]:
    """The order in which the tasks of a group end that is cancelled."""
    ended: list[int] = []

    async def wait(number: int) -> None:
        held.extend(object() for _ in range(number * len(held) % 7))
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(40):
                tasks.create_task(wait(number))

    async def main() -> None:
        task = asyncio.ensure_future(group())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])

    loop = VirtualLoop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    return ended


def test_tasks_of_a_group_are_cancelled_in_the_same_order_every_time() -> None:
    held: list[object] = []
    orders = [_order_of_ends(held) for _ in range(5)]
    assert sorted(orders[0]) == list(range(40))
    assert all(order == orders[0] for order in orders)


def test_a_wait_for_what_has_long_been_ends_the_run_as_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    async def waits_for_nothing(_self: LifeRuntime, _when: int | None) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(LifeRuntime, "_until", waits_for_nothing)
    report = play(at(0, Kind.FILE_PUT, "s0", 0, 8))
    (violation,) = report.violations
    assert violation.promise == "no-hang"
    assert "time stands still" in violation.text
