"""The observer: what the runtime shows, from its events and from lists, as observations.

Belongs here: when to look, and that a look says what was known when it began. May not be here: what
follows. Events are hints to look; a list heals what hints missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from minikubelet.core.events import AnyEvent, PodObserved, RuntimeListed
from minikubelet.model.ids import PodUid, SlotKey, slot_key, split_slot
from minikubelet.model.observed import ObservedPod
from minikubelet.ports.clockport import Clock
from minikubelet.ports.runtimeport import Runtime, RuntimeFault

RELIST_EVERY: Final = 10.0
RETRY_FIRST: Final = 0.5
RETRY_MOST: Final = 8.0

_log = structlog.get_logger()

Redact = Callable[[PodUid, str], str]
"""A text of that pod without its secrets: a container may write them into its termination message."""


class Known(Protocol):
    """What the observer has to know of the state."""

    def seq(self) -> int:
        """The seq of the last event that the loop has taken in."""

    def learnt(self, slot: SlotKey, uid: PodUid) -> int | None:
        """The seq of the last thing that the state was told of a pod, looks left aside; None if unknown."""

    def on_runtime(self) -> Mapping[PodUid, SlotKey]:
        """The pods of which a sandbox or a running container is on the runtime, or may be."""

    def where(self, uid: PodUid) -> SlotKey | None:
        """The slot of a pod that is among those, None for any other."""


class Observer:
    """Looks at pods when hinted at, at everything every ten seconds, and at all of it once at the start.

    `put` takes the events, messages of containers in them are redacted.
    """

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        known: Known,
        put: Callable[[AnyEvent], None],
        redact: Redact | None = None,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._known = known
        self._put = put
        self._redact = redact or (lambda _, text: text)
        self._asked: dict[PodUid, None] = {}
        self._all = False
        self._wake = asyncio.Event()
        self._shown: dict[PodUid, tuple[ObservedPod, int]] = {}
        self._forced: dict[PodUid, SlotKey] = {}
        self._listed = False
        self._wait = RETRY_FIRST
        self._usable: Callable[[], Awaitable[None]] | None = None
        self.fault = ""

    def look(self, slot: SlotKey, uid: PodUid) -> None:
        """Look at one pod soon, and tell what it shows even if that has been told before."""
        self._forced[uid] = slot
        self._hint(uid)

    def hold_until(self, usable: Callable[[], Awaitable[None]]) -> None:
        """Look at nothing before this check of a runtime that answers has passed; it raises RuntimeFault."""
        self._usable = usable

    async def run(self) -> None:
        """Observe until cancelled; an engine that does not answer is tried again for as long as it takes."""
        while True:
            try:
                # Connecting twice is connecting once: the start may have given up on a slow engine.
                await self._runtime.connect()
                if self._usable is not None:
                    await self._usable()
                    self._usable = None
                await self._follow()
            except RuntimeFault as fault:
                self._say(fault.message, "does not answer" if fault.unreachable else "cannot be used")
            except OSError as error:
                self._say(str(error), "does not answer")
            await self._clock.sleep(self._wait)
            self._wait = min(RETRY_MOST, self._wait * 2)

    def _say(self, problem: str, what: str) -> None:
        if problem != self.fault:
            _log.warning(f"the container runtime {what}", error=problem)
        self.fault = problem

    async def _follow(self) -> None:
        tasks = [asyncio.create_task(part()) for part in (self._hear, self._tick, self._work)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _hear(self) -> None:
        async for event in self._runtime.events():
            self._hint(event.uid)
        raise RuntimeFault("Unavailable", "its event stream ended", unreachable=True)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(RELIST_EVERY)
            self._hint(PodUid(""))

    def _hint(self, uid: PodUid) -> None:
        if uid:
            self._asked[uid] = None
        else:
            self._all = True
        self._wake.set()

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._all or self._asked:
                if self._all:
                    await self._look_at_all()
                else:
                    uid = next(iter(self._asked))
                    del self._asked[uid]
                    await self._look_at(uid)

    async def _look_at_all(self) -> None:
        self._all = False
        self._asked.clear()
        after, forced, pods = await self._list()
        for pod in pods:
            self._tell(slot_key(pod.namespace, pod.name), pod, after, forced=pod.uid in forced)
        present = {pod.uid for pod in pods}
        self._shown = {uid: told for uid, told in self._shown.items() if uid in present}
        for uid, slot in {**self._known.on_runtime(), **forced}.items():
            if uid not in present:
                self._tell(slot, ObservedPod(uid, *split_slot(slot)), after)
        if not self._listed:
            self._listed = True
            self._put(RuntimeListed(pods=len(pods)))
        self._wait = RETRY_FIRST
        if self.fault:
            _log.info("the container runtime answers again")
            self.fault = ""

    async def _look_at(self, uid: PodUid) -> None:
        after, forced, pods = await self._list(uid)
        slot = forced.get(uid) or self._known.where(uid)
        if pods:
            self._tell(slot_key(pods[0].namespace, pods[0].name), pods[0], after, forced=uid in forced)
        elif slot is not None:
            self._tell(slot, ObservedPod(uid, *split_slot(slot)), after)
        else:
            self._shown.pop(uid, None)

    async def _list(
        self, uid: PodUid | None = None
    ) -> tuple[int, dict[PodUid, SlotKey], Sequence[ObservedPod]]:
        """What was known when the look began, the looks that it answers, and what the runtime shows.

        A look that is asked for while this one is under way is another: it is to show what came since.
        """
        uids = list(self._forced) if uid is None else [uid] if uid in self._forced else []
        forced = {each: self._forced.pop(each) for each in uids}
        after = self._known.seq()
        try:
            return after, forced, await self._runtime.list_pods(uid)
        except BaseException:
            self._forced = forced | self._forced
            raise

    def _tell(self, slot: SlotKey, pod: ObservedPod, after: int, *, forced: bool = False) -> None:
        there = bool(pod.sandboxes or pod.containers)
        if there and not forced and self._still_known(slot, pod):
            return
        if there:
            self._shown[pod.uid] = (pod, after)
        else:
            self._shown.pop(pod.uid, None)
        self._put(PodObserved(slot=slot, pod=self._redacted(pod), after=after))

    def _still_known(self, slot: SlotKey, pod: ObservedPod) -> bool:
        """Whether the pod was last told just so, and the state has learnt nothing else of it since.

        A container that was started after that and is gone again leaves the pod as it was told before.
        """
        told, after = self._shown.get(pod.uid, (None, 0))
        learnt = self._known.learnt(slot, pod.uid) if told == pod else None
        return learnt is not None and learnt <= after

    def _redacted(self, pod: ObservedPod) -> ObservedPod:
        if not any(c.message for c in pod.containers):
            return pod
        containers = tuple(replace(c, message=self._redact(pod.uid, c.message)) for c in pod.containers)
        return replace(pod, containers=containers)
