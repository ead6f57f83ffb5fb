"""An event loop on virtual time: when nothing is ready, time jumps to the next timer.

Belongs here: time, calls that would be made in threads, and ending all that one life of the agent started.
May not be here: the world. No sockets, no threads, no real time: the same calls give the same order.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

SECOND: Final = 1_000_000
EPOCH: Final = 1_767_225_600 * SECOND
"""where simulated time begins: 2026-01-01T00:00:00Z, in µs"""
_PRUNE: Final = 512
_FEW_TIMERS: Final = 100
_RESOLUTION: Final = 1e-9
_LONGEST_JUMP: Final = 24 * 3600.0
_MOST_ROUNDS: Final = 100_000
"""rounds in one moment of virtual time: hundreds are many, and somebody who waits for nothing makes more"""

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class Stuck(RuntimeError):
    """Nothing will ever happen again: everything waits and no timer is armed, or time stands still."""


class LifeEnded(BaseException):
    """A call of a part whose life is over; nobody hears it."""


class Life:
    """Whatever runs on behalf of one life of the agent, so that it can all end at once.

    `thread` stands for a worker thread: it carries a blocking call out, after however long it takes.
    """

    def __init__(self) -> None:
        self.over = False
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.timers: list[asyncio.TimerHandle] = []
        self.delay: Callable[[], float] = _no_delay

    def note(self, timer: asyncio.TimerHandle) -> None:
        """Remember a timer that the life armed."""
        self.timers.append(timer)
        if len(self.timers) > _PRUNE:
            now = asyncio.get_running_loop().time()
            self.timers = [each for each in self.timers if not each.cancelled() and each.when() >= now]


def _no_delay() -> float:
    return 0.0


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("simulated_life", default=None)


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop whose `time` is virtual, in seconds since the simulation began."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[Any]  # a heap of timers
    _stopping: bool
    _timer_cancelled_count: int

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._rounds = 0
        self.numbers = itertools.count()
        self.set_task_factory(lambda _loop, coro, **options: _make_task(self, coro, **options))

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Have something called in the next round."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Arm a timer, for the life that asks for it."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._arm(timer)
        life = LIFE.get()
        if life is not None:
            life.note(timer)
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Arm a timer so many virtual seconds ahead."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - there are no threads
        func: Callable[[Unpack[_Ts]], _T],
        *args: *_Ts,
    ) -> asyncio.Future[_T]:
        """Make a blocking call here, after the time that it takes."""
        return asyncio.ensure_future(blocking(func, *args))

    def _arm(self, timer: Any) -> None:
        timer._scheduled = True
        heapq.heappush(self._scheduled, timer)

    def _run_once(self) -> None:
        """One round as the base class's, without what only sockets and threads need."""
        self._drop_cancelled()
        self._rounds += 1
        if self._rounds > _MOST_ROUNDS:
            self._rounds = 0
            raise Stuck(f"time stands still at {self._now:.6f} s: somebody waits for what has long been")
        if not (self._ready or self._stopping):
            self._jump()
        ready, timers, due = self._ready, self._scheduled, self._now + _RESOLUTION
        while timers and timers[0]._when < due:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _drop_cancelled(self) -> None:
        """Forget timers that were cancelled, where they are next or have become too many."""
        timers, cancelled = self._scheduled, self._timer_cancelled_count
        if len(timers) > _FEW_TIMERS and cancelled > len(timers) / 2:
            self._scheduled = [timer for timer in timers if not timer._cancelled]
            heapq.heapify(self._scheduled)
            self._timer_cancelled_count = 0
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
            self._timer_cancelled_count -= 1

    def _jump(self) -> None:
        """Let the time pass in which nothing happens."""
        if not self._scheduled:
            raise Stuck("nothing is ready and no timer is armed")
        ahead = self._scheduled[0]._when - self._now
        if ahead > 0:
            self._now += min(ahead, _LONGEST_JUMP)
            self._rounds = 0


async def blocking(func: Callable[..., _T], *args: Any, **_options: object) -> _T:
    """Make a blocking call as if in a thread: it takes its time, and a life that ends makes it no more."""
    life = LIFE.get()
    await asyncio.sleep(life.delay() if life is not None else 0)
    return func(*args)


class _NumberedTask(asyncio.Task[_T]):
    """A task whose hash is no address: asyncio keeps tasks in sets, and their order must not be chance."""

    def __init__(self, coro: Any, loop: VirtualLoop, **options: Any) -> None:
        self._number = next(loop.numbers)
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self._number


def _make_task(loop: VirtualLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    context = options.get("context")
    life = LIFE.get() if context is None else context.get(LIFE)
    task: asyncio.Task[Any] = _NumberedTask(coro, loop, **options)
    if life is not None:
        life.tasks[task] = None
        task.add_done_callback(lambda done: life.tasks.pop(done, None))
    return task


def outside(coro: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
    """Begin something that belongs to the world: it goes on when the agent dies."""
    context = contextvars.copy_context()
    context.run(LIFE.set, None)
    return asyncio.get_running_loop().create_task(coro, context=context)


def inside(life: Life, coro: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
    """Begin something that belongs to a life."""
    context = contextvars.copy_context()
    context.run(LIFE.set, life)
    return asyncio.get_running_loop().create_task(coro, context=context)


async def end(life: Life) -> None:
    """End a life as SIGKILL would: nothing of it has any effect from now on."""
    life.over = True
    while life.tasks:
        tasks = list(life.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
    for timer in life.timers:
        timer.cancel()


class WorldClock:
    """The engine's clock: virtual time as microseconds since the epoch."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._time = loop.time

    def now(self) -> int:
        """Microseconds since the epoch."""
        return EPOCH + round(self._time() * SECOND)

    async def sleep(self, seconds: float) -> None:
        """Return once that much time has passed."""
        await asyncio.sleep(seconds)


class AgentClock(WorldClock):
    """The agent's wall clock, which somebody may set."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(loop)
        self.offset = 0

    def now(self) -> int:
        """Microseconds since the epoch, as the machine believes."""
        return EPOCH + round(self._time() * SECOND) + self.offset
