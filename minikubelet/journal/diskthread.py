"""The one thread in which a journal's disk is used, and how long the disk takes to answer.

Belongs here: waiting for blocking calls, and giving up. May not be here: what is called.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class DiskThread:
    """Makes one call after the other; `on_hang` is told when one takes longer than `hang_after` seconds."""

    def __init__(self, hang_after: float, on_hang: Callable[[], None]) -> None:
        self._hang_after = hang_after
        self._on_hang = on_hang
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="journal")
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
        """End the thread; one that hangs is left to itself."""
        self._worker.shutdown(wait=not self.hangs)
