"""Running coroutines from plain test functions, and waiting for a condition instead of for a time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, overload

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds until a wait is given up: far more than any test needs on a slow, shared machine."""


def run(main: Coroutine[Any, Any, T], *, patience: float = PATIENCE) -> T:
    """Runs a coroutine on a loop of its own; a task that it leaves behind fails the test."""

    async def watched() -> T:
        async with asyncio.timeout(patience):
            result = await main
        await asyncio.sleep(0)  # tasks that were cancelled just now come to their end in this turn
        left = sorted(repr(task) for task in asyncio.all_tasks() if task is not asyncio.current_task())
        if left:
            raise AssertionError(f"{len(left)} tasks were left behind: {'; '.join(left)}")
        return result

    return asyncio.run(watched())


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], what: str, *, patience: float = PATIENCE, every: float = 0.02
) -> T: ...


@overload
async def eventually(
    condition: Callable[[], T], what: str, *, patience: float = PATIENCE, every: float = 0.02
) -> T: ...


async def eventually(
    condition: Callable[[], Any], what: str, *, patience: float = PATIENCE, every: float = 0.02
) -> Any:
    """The first truthy value of the condition; AssertionError naming `what` when patience (seconds) ends."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if loop.time() > deadline:
            raise AssertionError(f"gave up after {patience:.0f} s waiting for {what}; last seen: {value!r}")
        await asyncio.sleep(every)
