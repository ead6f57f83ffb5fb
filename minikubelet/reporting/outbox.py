"""The outbox: tells an API server what the core decided, for as long as that takes, delaying nothing.

Belongs here: which slot is served when, retries, outages. May not be here: order within a slot (`slotbox`)
or the calls themselves (`podcalls`). An API server that does not answer stops all slots together, and all go
on together; one that refuses a call makes only its slot wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import assert_never

import structlog
from msgspec.structs import replace

from minikubelet.apiclient.apibackoff import Backoff, BackoffPolicy
from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.core.commands import UpstreamCommand
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.ports.apiport import Api, JsonObject
from minikubelet.ports.outboxport import FullPod, OutboxStats
from minikubelet.reporting.podcalls import Answer, Outcome, make_mirror, remove_pod, send_status, shows
from minikubelet.reporting.slotbox import Call, MakeMirror, ReleasePod, RemoveMirror, SendStatus, SlotBox
from minikubelet.wire.pod_codec import to_mirror

log = structlog.get_logger(__name__)

SLOT_BACKOFF = BackoffPolicy(first_seconds=0.2, factor=2.0, most_seconds=15.0, jitter=0.5)
OUTAGE_BACKOFF = BackoffPolicy(first_seconds=0.2, factor=2.0, most_seconds=5.0, jitter=0.5)
_SWEEP_EVERY = 256


class _Line:
    """A slot's box and its place in the queue."""

    __slots__ = ("backoff", "box", "busy", "queued", "timer", "warned")

    def __init__(self, backoff: Backoff) -> None:
        self.box = SlotBox()
        self.backoff = backoff
        self.busy = False
        self.queued = False
        self.timer: asyncio.TimerHandle | None = None
        self.warned = ""


class ApiOutbox:
    """An `Outbox` for one API server; `run` it in one task, put into it from the same loop.

    `full_pod` gives pods with their secrets for mirrors; `node_uid` the uid of the Node that owns them,
    empty while unknown.
    """

    def __init__(
        self,
        api: Api,
        *,
        full_pod: FullPod,
        node_uid: Callable[[], str],
        rng: random.Random | None = None,
        workers: int = 4,
        slot_backoff: BackoffPolicy = SLOT_BACKOFF,
        outage_backoff: BackoffPolicy = OUTAGE_BACKOFF,
    ) -> None:
        self._api = api
        self._full_pod = full_pod
        self._node_uid = node_uid
        self._rng = rng or random.Random()  # noqa: S311 - jitter keeps no secret
        self._workers = workers
        self._slot_policy = slot_backoff
        self._outage = Backoff(outage_backoff, self._rng)
        self._outage_until = 0.0
        self._lines: dict[SlotKey, _Line] = {}
        self._pending: set[SlotKey] = set()
        self._queue: asyncio.Queue[SlotKey] = asyncio.Queue()
        self._idle = asyncio.Event()
        self._idle.set()
        self._back = asyncio.Event()
        self._puts = 0

    def put(self, command: UpstreamCommand) -> None:
        """Take a command in."""
        self._line(command.slot).box.take(command)
        self._schedule(command.slot)
        self._puts += 1
        if self._puts % _SWEEP_EVERY == 0:
            self._sweep()

    def mirror_seen(self, slot: SlotKey, uid: PodUid, mirror_hash: str, *, deleting: bool = False) -> None:
        """The API server holds this mirror: it is told the status of its static pod."""
        self._line(slot).box.see_mirror(uid, mirror_hash, deleting=deleting)
        self._schedule(slot)

    def mirror_gone(self, slot: SlotKey, uid: PodUid) -> None:
        """The API server holds this mirror no longer."""
        if slot in self._lines:
            self._lines[slot].box.lose_mirror(uid)
            self._schedule(slot)

    def status_seen(self, slot: SlotKey, uid: PodUid, seen: JsonObject, *, listed: bool = False) -> None:
        """The API server shows this object; a status of ours that somebody changed is told again.

        What a watch shows may be older than what was told; what is listed counts, whatever its version: a
        server whose state was restored counts on from an older one.
        """
        line = self._lines.get(slot)
        found = line.box.sent_to(uid) if line is not None else None
        if line is None or found is None:
            return
        pod_uid, sent = found
        version = str((seen.get("metadata") or {}).get("resourceVersion", ""))
        if not listed and _not_newer(version, sent.version):
            return
        if shows(seen.get("status") or {}, sent.status):
            if listed:
                line.box.sent[pod_uid] = replace(sent, version=version)
            return
        del line.box.sent[pod_uid]
        self._schedule(slot)

    def upstream_reachable(self) -> None:
        """The API server answers again: try at once what waits for it."""
        self._outage_until = 0.0
        self._outage.reset()
        self._back.set()

    def stats(self) -> OutboxStats:
        """How much is left to tell."""
        failing = sum(1 for slot in self._pending if self._lines[slot].timer is not None)
        return OutboxStats(slots=len(self._lines), pending=len(self._pending), failing=failing)

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - the caller's patience is the point
        """Wait until all is told, at most `timeout` seconds; whether it was."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        return self._idle.is_set()

    async def run(self) -> None:
        """Work until cancelled; what was put before waits for this."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work())
        finally:
            for line in self._lines.values():
                if line.timer is not None:
                    line.timer.cancel()

    def _line(self, slot: SlotKey) -> _Line:
        line = self._lines.get(slot)
        if line is None:
            line = self._lines[slot] = _Line(Backoff(self._slot_policy, self._rng))
        return line

    def _schedule(self, slot: SlotKey) -> None:
        """Queue a slot that has something to tell, once; drop one that has nothing to remember."""
        line = self._lines[slot]
        if not line.busy and line.box.next_call() is None:
            self._pending.discard(slot)
            if line.box.empty and not line.queued and line.timer is None:
                del self._lines[slot]
        else:
            self._pending.add(slot)
            if not (line.busy or line.queued or line.timer is not None):
                line.queued = True
                self._queue.put_nowait(slot)
        if self._pending:
            self._idle.clear()
        else:
            self._idle.set()

    async def _work(self) -> None:
        while True:
            slot = await self._queue.get()
            line = self._lines[slot]
            await self._outage_over()
            line.queued = False
            call = line.box.next_call()
            if call is not None:
                line.busy = True
                try:
                    await self._serve(slot, line, call)
                finally:
                    line.busy = False
            self._schedule(slot)

    async def _outage_over(self) -> None:
        loop = asyncio.get_running_loop()
        while (until := self._outage_until) > loop.time():
            self._back.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._back.wait()

    async def _serve(self, slot: SlotKey, line: _Line, call: Call) -> None:
        try:
            answer = await self._call(slot, call)
        except ApiUnreachable as error:
            self._begin_outage(error)
            return
        except ApiError as error:
            self._wait(slot, line, call, error.retry_after or 0.0, str(error))
            return
        if self._outage_until:
            log.info("the API server can be told again", left=len(self._pending))
            self.upstream_reachable()
        if answer.outcome is Outcome.TAKEN:
            self._wait(slot, line, call, self._slot_policy.most_seconds, answer.problem)
            return
        if answer.outcome is Outcome.REFUSED:
            log.warning("the API server refuses", pod=slot, call=type(call).__name__, problem=answer.problem)
        line.backoff.reset()
        line.warned = ""
        line.box.settle(call, answer)

    async def _call(self, slot: SlotKey, call: Call) -> Answer:
        match call:
            case SendStatus():
                return await send_status(self._api, slot, call.object_uid, call.status)
            case RemoveMirror() | ReleasePod():
                return await remove_pod(self._api, slot, call.uid)
            case MakeMirror():
                pod = self._full_pod(call.uid)
                if pod is None:
                    return Answer(Outcome.GONE)
                return await make_mirror(self._api, slot, to_mirror(pod, node_uid=self._node_uid()))
            case _ as never:
                assert_never(never)

    def _begin_outage(self, error: ApiUnreachable) -> None:
        now = asyncio.get_running_loop().time()
        if not self._outage_until:
            log.warning("the API server cannot be told; pods go on", reason=error.message)
        if self._outage_until <= now:
            self._outage_until = now + self._outage.next_seconds()

    def _wait(self, slot: SlotKey, line: _Line, call: Call, at_least: float, problem: str) -> None:
        if line.warned != problem:
            line.warned = problem
            log.warning("telling the API server failed", pod=slot, call=type(call).__name__, problem=problem)
        delay = max(line.backoff.next_seconds(), at_least)
        line.timer = asyncio.get_running_loop().call_later(delay, self._try_again, slot)

    def _try_again(self, slot: SlotKey) -> None:
        self._lines[slot].timer = None
        self._schedule(slot)

    def _sweep(self) -> None:
        """Forget pods that no source holds any more once all is told of them."""
        for slot in [slot for slot in self._lines if slot not in self._pending]:
            box = self._lines[slot].box
            for uid in [uid for uid in box.statuses if self._full_pod(uid) is None]:
                box.forget(uid)
            self._schedule(slot)


def _not_newer(version: str, than: str) -> bool:
    """Whether a resource version is known to be no newer; versions that are no numbers tell nothing."""
    return version.isdecimal() and than.isdecimal() and int(version) <= int(than)
