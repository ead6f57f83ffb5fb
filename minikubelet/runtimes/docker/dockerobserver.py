"""What runs: lists, single looks and the event stream, at the price of one call when nothing has changed.

A list tells an item's state but neither times nor exit codes, and lags a moment behind the event that
announced a change. So a container is inspected once per state, and again after each event about it; the rest
comes from memory. Also the place where logs are taken up and finished: a container is shown as exited only
after the rest of its log is written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from aiodocker.exceptions import DockerError

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod, ObservedSandbox
from minikubelet.ports.runtimeport import RuntimeEvent, RuntimeFault
from minikubelet.runtimes.docker import dockernames as names
from minikubelet.runtimes.docker import dockerview as view
from minikubelet.runtimes.docker.dockerengine import Engine, is_gone, refused
from minikubelet.runtimes.docker.dockerlogs import LogKeeper
from minikubelet.runtimes.lastwords import termination_message

_LOOKS_AT_ONCE: Final = 8
_CHANGES: Final = ["start", "die", "oom", "destroy"]


class _Seen(msgspec.Struct, frozen=True):
    """What was found of a container when it was last inspected."""

    listed_as: str
    found: view.Inspected
    observed: ObservedContainer


class _Actor(msgspec.Struct, frozen=True, rename="pascal"):
    id: str = msgspec.field(default="", name="ID")
    attributes: dict[str, str] | None = None


class _Event(msgspec.Struct, frozen=True, rename="pascal"):
    action: str = ""
    actor: _Actor = _Actor()


class Observer:
    """The eyes of one driver: only what carries this node's label exists for it."""

    def __init__(self, engine: Engine, node: str, logs: LogKeeper) -> None:
        self._engine = engine
        self.node = node
        self._logs = logs
        self._seen: dict[str, _Seen] = {}
        self._sandboxes: dict[str, dict[str, str]] = {}
        self._suspect: dict[str, int] = {}
        self._made: set[str] = set()
        self._touches = 0
        self._gate = asyncio.Semaphore(_LOOKS_AT_ONCE)

    def touch(self, container_id: str) -> None:
        """Something happened to it: what is remembered, and what the next list says, may be old."""
        self._touches += 1
        self._suspect[container_id] = self._touches

    def made(self, container_id: str) -> None:
        """This driver has just made it: it is ours, and nobody has to look."""
        self._made.add(container_id)

    async def pods(self, uid: PodUid | None) -> Sequence[ObservedPod]:
        """All pods of this node, or the one of `uid`, in the order of their uids."""
        before = self._touches
        labels = {"node": self.node} if uid is None else {"node": self.node, "pod_uid": uid}
        params = {"all": True, "filters": names.filters(**labels)}
        try:
            items = await self._engine.read("containers/json", list[view.Listed], params=params)
        except DockerError as error:
            raise refused("ListPods", error) from None
        if uid is None:
            await self._forget_all_but({item.id for item in items}, before)
        boxes = [item for item in items if names.is_sandbox(item.labels or {})]
        others = [item for item in items if not names.is_sandbox(item.labels or {})]
        found = await asyncio.gather(*(self._container(item) for item in others))
        sandboxes = await asyncio.gather(*(self._sandbox(item) for item in boxes))
        return _grouped(zip([*boxes, *others], [*sandboxes, *found], strict=True))

    async def status(self, container_id: str) -> ObservedContainer | None:
        """A container as it is now; None if there is none of ours."""
        found = await self.inspect(container_id)
        if found is None or found.labels.get(names.NODE) != self.node or names.is_sandbox(found.labels):
            return None
        return (await self._take_in(found)).observed

    async def inspect(self, name: str) -> view.Inspected | None:
        """The engine's document of any container by id or name; None if there is none."""
        mark = self._suspect.get(name)
        try:
            found = await self._engine.read(f"containers/{name}/json", view.Inspected)
        except DockerError as error:
            if is_gone(error):
                return None
            raise refused("ContainerStatus", error) from None
        if mark is not None and self._suspect.get(name) == mark and not names.is_sandbox(found.labels):
            del self._suspect[name]  # nothing more happened to it while it was looked at
        return found

    async def is_ours(self, container_id: str) -> bool:
        """Whether it is there and of this node; RuntimeFault if it is another's."""
        if container_id in self._seen or container_id in self._sandboxes or container_id in self._made:
            return True
        found = await self.inspect(container_id)
        if found is None:
            return False
        self.require_ours(found)
        return True

    def require_ours(self, found: view.Inspected) -> None:
        """RuntimeFault unless this node made it."""
        if found.labels.get(names.NODE) != self.node:
            owner = found.labels.get(names.NODE)
            raise RuntimeFault(
                "NotOwned",
                f"container {found.id[:12]} was made by {f'node {owner}' if owner else 'someone else'},"
                f" not by node {self.node}; it is left alone",
            )

    async def sandbox_labels(self, sandbox_id: str) -> dict[str, str]:
        """The labels of a sandbox of ours; RuntimeFault if there is none."""
        if sandbox_id not in self._sandboxes:
            found = await self.inspect(sandbox_id)
            if found is None or not names.is_sandbox(found.labels):
                raise RuntimeFault("CreateContainerError", f"there is no sandbox {sandbox_id[:12]}")
            self.require_ours(found)
            self._sandboxes[sandbox_id] = found.labels
        return self._sandboxes[sandbox_id]

    async def gone(self, container_id: str) -> None:
        """It was removed."""
        self._made.discard(container_id)
        self._seen.pop(container_id, None)
        self._sandboxes.pop(container_id, None)
        self._suspect.pop(container_id, None)
        await self._logs.forget(container_id)

    async def events(self) -> AsyncGenerator[RuntimeEvent, None]:
        """A hint at everything once the subscription stands, then one per change of ours."""
        filters = {"type": ["container"], "event": _CHANGES, **names.filters(node=self.node)}
        # The engine answers a moment before it subscribes: `since` fills that gap from its memory.
        params: dict[str, Any] = {"since": str(int(time.time()) - 1), "filters": filters}
        rest = b""
        try:
            async with self._engine.stream("GET", "events", params=params) as answer:
                for container_id in [*self._seen, *self._sandboxes]:
                    self.touch(container_id)  # whatever has happened to it before
                yield RuntimeEvent(PodUid(""))
                async for data in answer.content.iter_any():
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        if line.strip():
                            yield self._noted(msgspec.json.decode(line, type=_Event))
        except DockerError as error:
            raise refused("Events", error) from None
        raise RuntimeFault("EngineUnreachable", "the engine ended its stream of events", unreachable=True)

    def _noted(self, event: _Event) -> RuntimeEvent:
        seen = self._seen.get(event.actor.id)
        known_to_run = seen is not None and seen.observed.phase is ContainerPhase.RUNNING
        if event.action != "start" or not known_to_run:
            self.touch(event.actor.id)
        return RuntimeEvent(PodUid((event.actor.attributes or {}).get(names.POD_UID, "")))

    async def _container(self, item: view.Listed) -> ObservedContainer | None:
        seen = self._seen.get(item.id)
        if seen is None or seen.listed_as != item.state or item.id in self._suspect:
            async with self._gate:
                found = await self.inspect(item.id)
                if found is None:
                    return None
                seen = await self._take_in(found)
        if seen.observed.phase is ContainerPhase.RUNNING:
            self._follow(seen.found)
        return seen.observed

    async def _sandbox(self, item: view.Listed) -> ObservedSandbox | None:
        self._sandboxes[item.id] = item.labels or {}
        state = item.state
        if item.id in self._suspect:
            found = await self.inspect(item.id)
            if found is None:
                return None
            if found.state.status == item.state:  # the list has caught up
                self._suspect.pop(item.id, None)
            state = found.state.status
        return view.sandbox(item, state)

    async def _take_in(self, found: view.Inspected) -> _Seen:
        """Remembers a container, and sees to its log and its last words."""
        phase, message = view.phase_of(found), ""
        known = self._seen.get(found.id)
        if phase is ContainerPhase.CREATED and known and known.observed.phase is not phase:
            return known  # an older answer that came later
        if known and known.found.state.started_at != found.state.started_at:
            self._logs.revive(found.id)
        if phase is ContainerPhase.RUNNING:
            self._follow(found)
        elif phase is ContainerPhase.EXITED:
            if not view.never_ran(found):
                self._follow(found)
                await self._logs.finish(found.id)
            same = known is not None and known.found.state == found.state
            message = known.observed.message if known and same else await _last_words(found)
        seen = _Seen(found.state.status, found, view.observed(found, message))
        self._seen[found.id] = seen
        self._made.discard(found.id)
        return seen

    def _follow(self, found: view.Inspected) -> None:
        log_path = found.labels.get(names.LOG_PATH)
        if log_path:
            self._logs.follow(found.id, Path(log_path), found.log_path, tty=found.config.tty)

    async def _forget_all_but(self, ids: set[str], before: int) -> None:
        for container_id in [known for known in (*self._seen, *self._sandboxes) if known not in ids]:
            await self.gone(container_id)
        suspect = self._suspect.items()
        self._suspect = {known: mark for known, mark in suspect if known in ids or mark > before}


async def _last_words(found: view.Inspected) -> str:
    """The termination message of a container that has exited."""
    file, log = found.labels.get(names.TERMINATION_LOG), found.labels.get(names.LOG_PATH)
    fall_back = names.flag(found.labels, names.FALLBACK_TO_LOGS) and found.state.exit_code != 0
    return await asyncio.to_thread(
        termination_message, Path(file) if file else None, Path(log) if log and fall_back else None
    )


def _grouped(
    found: Iterable[tuple[view.Listed, ObservedSandbox | ObservedContainer | None]],
) -> list[ObservedPod]:
    """One pod per uid, its sandboxes and containers newest attempt first, then newest creation, then id."""
    pods: dict[str, ObservedPod] = {}
    for item, thing in found:
        labels = item.labels or {}
        uid = PodUid(labels.get(names.POD_UID, ""))
        pod = pods.get(uid) or ObservedPod(
            uid, labels.get(names.POD_NAMESPACE, ""), labels.get(names.POD_NAME, "")
        )
        if isinstance(thing, ObservedSandbox):
            pod = msgspec.structs.replace(pod, sandboxes=(*pod.sandboxes, thing))
        elif thing is not None:
            pod = msgspec.structs.replace(pod, containers=(*pod.containers, thing))
        else:
            continue
        pods[uid] = pod
    return [_sorted(pods[uid]) for uid in sorted(pods)]


def _sorted(pod: ObservedPod) -> ObservedPod:
    return msgspec.structs.replace(
        pod,
        sandboxes=tuple(sorted(pod.sandboxes, key=lambda box: (-box.attempt, -box.created_at, box.id))),
        containers=tuple(sorted(pod.containers, key=lambda one: (-one.attempt, -one.created_at, one.id))),
    )
