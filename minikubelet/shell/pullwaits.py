"""Pull waits: a start that waits for its image is given up when its pod is to end.

Belongs here: who waits, and when that wait has become pointless. May not be here: pulling (`images`), or
the pull itself, which goes on: others may want the same image.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Stage
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.ports.runtimeport import RuntimeFault

T = TypeVar("T")


class PullWaits:
    """The waits under way; `seen` is to be called after each event that the reducer took."""

    def __init__(self, reducer: Reducer) -> None:
        self._reducer = reducer
        self._waiting: dict[asyncio.Task[object], tuple[SlotKey, PodUid]] = {}

    async def wait(self, slot: SlotKey, uid: PodUid, image: Coroutine[object, object, T]) -> T:
        """What `image` gives; RuntimeFault once the pod is to end."""
        task = asyncio.create_task(image)
        self._waiting[task] = (slot, uid)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise RuntimeFault("ErrImagePull", "the wait for the image was given up: the pod ends") from None
        finally:
            del self._waiting[task]

    def seen(self) -> None:
        """Give up the waits of pods that are to end."""
        for task, (slot, uid) in self._waiting.items():
            known = self._reducer.slots.get(slot)
            gen = known.find(uid) if known else None
            if gen is None or gen.stage is Stage.ENDING:
                task.cancel()
