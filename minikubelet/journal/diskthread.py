"""The one thread in which a journal's disk is used, and how long the disk takes to answer.

Belongs here: waiting for blocking calls, and giving up. May not be here: what is called.
"""

import asyncio
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_Calls = SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]


class DaemonThread(Executor):
    """One thread that makes calls in order; unlike those of the library, it keeps no process from ending."""

    def __init__(self, name: str) -> None:
        self._calls: _Calls = SimpleQueue()
        self._thread = Thread(target=_make_calls, args=(self._calls,), name=name, daemon=True)
        weakref.finalize(self, self._calls.put, None)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a call made; see `concurrent.futures.Executor`."""
        if self._thread.ident is None:
            self._thread.start()
        answer: Future[T] = Future()
        self._calls.put((answer, partial(fn, *args, **kwargs)))
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - as the base has it
        """End the thread once what was submitted has been done; see `concurrent.futures.Executor`."""
        self._calls.put(None)
        if wait and self._thread.ident is not None:
            self._thread.join()


def _make_calls(calls: _Calls) -> None:
    while (todo := calls.get()) is not None:
        answer, call = todo
        if not answer.set_running_or_notify_cancel():
            continue
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the answer is told
            answer.set_exception(error)
        del todo, answer, call  # nothing is held while there is nothing to do


class DiskThread:
    """Makes one call after the other; `on_hang` is told when one takes longer than `hang_after` seconds."""

    def __init__(self, hang_after: float, on_hang: Callable[[], None]) -> None:
        self._hang_after = hang_after
        self._on_hang = on_hang
        self._worker = DaemonThread("journal")
        self._hung = asyncio.Event()

    @property
    def hangs(self) -> bool:
        """Whether a call has not been answered for too long."""
        return self._hung.is_set()

    async def run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Make a call and wait for its answer, however long that takes."""
        loop = asyncio.get_running_loop()
        patience = loop.call_later(self._hang_after, self._hang)
        try:
            return await loop.run_in_executor(self._worker, call, *args)
        finally:
            patience.cancel()
            self._hung.clear()

    def _hang(self) -> None:
        self._hung.set()
        self._on_hang()

    async def answered(self, task: "asyncio.Task[Any]") -> bool:
        """Wait for a task that makes calls, unless the disk hangs; whether it came to its end."""
        hung = asyncio.ensure_future(self._hung.wait())
        await asyncio.wait([task, hung], return_when=asyncio.FIRST_COMPLETED)
        hung.cancel()
        return task.done()

    def close(self) -> None:
        """End the thread; one that hangs is left to itself, and ends with the process."""
        self._worker.shutdown(wait=not self.hangs)
