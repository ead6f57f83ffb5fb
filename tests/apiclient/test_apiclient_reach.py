"""Waiting for an API server that is out of reach: not longer than until any request has got through."""

from __future__ import annotations

import asyncio
import random

import pytest

from minikubelet.apiclient import apireach
from minikubelet.apiclient.apireach import Reach
from tests.running import run

LONG = 3600.0


async def pausing(reach: Reach) -> asyncio.Task[None]:
    task = asyncio.create_task(reach.pause(LONG))
    await asyncio.sleep(0.01)
    assert not task.done()
    return task


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_whoever_waits_goes_on_when_another_request_gets_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apireach, "LEAST_SECONDS", 0.0)

    async def main() -> None:
        reach = Reach(random.Random(1))
        reach.got_through()
        reach.lost()
        waiting = [await pausing(reach) for _ in range(3)]
        reach.got_through()
        await asyncio.gather(*waiting)

    run(main())


def test_a_server_that_refuses_is_left_alone_for_the_whole_time() -> None:
    async def main() -> None:
        reach = Reach()
        reach.got_through()
        waiting = await pausing(reach)
        reach.got_through()
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await end(waiting)

    run(main())


def test_nobody_goes_on_at_once() -> None:
    """Where one kind of request gets through and another does not, the other is still no storm."""

    async def main() -> None:
        reach = Reach()
        waiting = await pausing(reach)
        reach.got_through()
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await end(waiting)

    run(main())


def test_a_pause_ends_by_itself() -> None:
    async def main() -> None:
        for through in (False, True):
            reach = Reach()
            if through:
                reach.got_through()
            await reach.pause(0.01)

    run(main())
