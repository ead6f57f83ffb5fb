"""The limiter: never more at once than its limit, nobody forgotten, and the limit follows the throughput."""

import asyncio
import itertools

import pytest

from minikubelet.shell.limiter import Limiter
from tests.running import run


def ticking() -> Limiter:
    """A limiter whose clock moves by one second with every look."""
    seconds = itertools.count()
    return Limiter(4, 16, lambda: float(next(seconds)))


def test_no_more_run_at_once_than_the_limit_and_all_come_through() -> None:
    async def main() -> tuple[int, int]:
        limiter = Limiter(3, 3, lambda: 0.0)
        busy, most, done = 0, 0, 0

        async def call() -> None:
            nonlocal busy, most, done
            async with limiter.slot():
                busy += 1
                most = max(most, busy)
                await asyncio.sleep(0)
                busy -= 1
                done += 1

        await asyncio.gather(*(call() for _ in range(100)))
        return most, done

    assert run(main()) == (3, 100)


def test_first_come_first_served() -> None:
    async def main() -> list[int]:
        limiter = Limiter(2, 2, lambda: 0.0)
        order: list[int] = []

        async def call(number: int) -> None:
            async with limiter.slot():
                order.append(number)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(call(number))
        return order

    assert run(main()) == list(range(20))


def test_a_cancelled_wait_gives_its_place_on() -> None:
    async def main() -> bool:
        limiter = Limiter(2, 2, lambda: 0.0)
        gate = asyncio.Event()

        async def hold() -> None:
            async with limiter.slot():
                await gate.wait()

        holders = [asyncio.create_task(hold()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(hold()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        gate.set()
        waiting[1].cancel()
        await asyncio.wait([*holders, *waiting])
        async with limiter.slot(), limiter.slot():
            return all(task.done() for task in waiting)

    assert run(main())


def test_a_call_that_fails_gives_its_place_back() -> None:
    async def main() -> None:
        limiter = Limiter(2, 2, lambda: 0.0)
        for _ in range(10):
            with pytest.raises(ZeroDivisionError):
                async with limiter.slot():
                    _ = 1 / 0
        async with limiter.slot(), limiter.slot():
            pass

    run(main())


def test_the_limit_stays_within_its_bounds() -> None:
    async def main() -> list[int]:
        limiter = ticking()
        limits: list[int] = []

        async def call() -> None:
            async with limiter.slot():
                await asyncio.sleep(0)
                limits.append(limiter.limit)

        await asyncio.gather(*(call() for _ in range(500)))
        return limits

    limits = run(main())
    assert min(limits) >= 2
    assert max(limits) <= 16
    assert len(set(limits)) > 1
