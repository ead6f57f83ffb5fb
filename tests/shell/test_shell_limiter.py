"""The limiter: never more at once than its limit, nobody forgotten, and the limit follows the throughput."""

import asyncio

import pytest

from minikubelet.shell.limiter import LONGEST_TIDY_WAIT, Limiter, Rank
from tests.running import run


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


def test_what_was_begun_is_finished_before_more_is_begun_and_tidying_comes_last() -> None:
    async def main() -> list[Rank]:
        limiter = Limiter(2, 2, lambda: 0.0)
        order: list[Rank] = []

        async def call(rank: Rank) -> None:
            async with limiter.slot(rank):
                await asyncio.sleep(0)
                order.append(rank)

        async with asyncio.TaskGroup() as group, limiter.slot(), limiter.slot():
            for rank in (Rank.TIDY, Rank.BEGIN, Rank.FINISH, Rank.BEGIN, Rank.FINISH):
                group.create_task(call(rank))
            await asyncio.sleep(0)
        return order

    assert run(main()) == [Rank.FINISH, Rank.FINISH, Rank.BEGIN, Rank.BEGIN, Rank.TIDY]


def test_tidying_that_has_waited_long_goes_first_but_one_at_a_time() -> None:
    async def main() -> list[Rank]:
        now = 0.0
        limiter = Limiter(2, 2, lambda: now)
        order: list[Rank] = []

        async def call(rank: Rank) -> None:
            async with limiter.slot(rank):
                await asyncio.sleep(0)
                order.append(rank)

        async with asyncio.TaskGroup() as group, limiter.slot(), limiter.slot():
            for rank in (Rank.TIDY, Rank.TIDY, Rank.BEGIN):
                group.create_task(call(rank))
            await asyncio.sleep(0)
            now = 2 * LONGEST_TIDY_WAIT
        return order

    assert run(main()) == [Rank.TIDY, Rank.BEGIN, Rank.TIDY]


def test_tidying_takes_one_place_beside_starts_and_all_places_without_them() -> None:
    async def main() -> tuple[int, int]:
        limiter = Limiter(4, 4, lambda: 0.0)
        gate = asyncio.Event()
        busy = 0

        async def tidy() -> None:
            nonlocal busy
            async with limiter.slot(Rank.TIDY):
                busy += 1
                await gate.wait()

        async with asyncio.TaskGroup() as group:
            async with limiter.slot():
                for _ in range(4):
                    group.create_task(tidy())
                await asyncio.sleep(0)
                beside = busy
            await asyncio.sleep(0)
            alone = busy
            gate.set()
        return beside, alone

    assert run(main()) == (1, 4)


class Machine:
    """An engine with so many cores on a clock by hand: more calls at once than that take longer each."""

    def __init__(self, cores: int, most: int) -> None:
        self.cores = cores
        self.now = 0.0
        self.limiter = Limiter(4, most, lambda: self.now)
        self.limits: list[int] = []
        self._calls: list[asyncio.Future[None]] = []

    async def call(self) -> None:
        async with self.limiter.slot():
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._calls.append(done)
            await done
        self.limits.append(self.limiter.limit)

    async def work(self, calls: int) -> None:
        """Carry calls out in rounds: all that are there go on side by side."""
        tasks = [asyncio.create_task(self.call()) for _ in range(calls)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            under_way, self._calls = self._calls, []
            self.now += max(1.0, len(under_way) / self.cores)
            for done in under_way:
                done.set_result(None)
        await asyncio.gather(*tasks)


def test_the_limit_climbs_on_an_engine_that_takes_more_without_getting_slower() -> None:
    machine = Machine(cores=100, most=16)
    run(machine.work(600))
    assert machine.limits[-1] == 16


def test_the_limit_stays_low_on_an_engine_whose_calls_get_slower() -> None:
    machine = Machine(cores=2, most=64)
    run(machine.work(600))
    assert min(machine.limits) >= 2
    assert max(machine.limits[300:]) <= 12


def test_a_limit_that_is_too_high_descends() -> None:
    async def main() -> int:
        machine = Machine(cores=100, most=32)
        await machine.work(900)
        machine.cores = 2
        await machine.work(900)
        return machine.limiter.limit

    assert run(main()) < 16
