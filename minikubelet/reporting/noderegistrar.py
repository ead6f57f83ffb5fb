"""Keeping the Node at the API server: registered, and its status told on every change and now and then.

Belongs here: when to look, to tell and to try again. May not be here: what a Node says (`nodeobject`) or
the lease (`nodelease`). A Node that somebody deletes is registered again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio.to_thread
import structlog

from minikubelet.apiclient.apibackoff import Backoff, BackoffPolicy
from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.apiclient.apipaths import node_path, node_status_path, nodes_path
from minikubelet.ports.apiport import Api, JsonObject, PatchKind
from minikubelet.reporting import nodeobject
from minikubelet.reporting.eventrecorder import EventType
from minikubelet.reporting.machinefacts import Machine, read_machine
from minikubelet.reporting.nodeobject import Condition, NodeSetup

log = structlog.get_logger(__name__)

BACKOFF = BackoffPolicy(first_seconds=0.2, factor=2.0, most_seconds=7.0, jitter=0.5)


Record = Callable[[EventType, str, str], None]
"""Takes an Event of the node: its type, reason and message."""


class NodeRegistrar:
    """Registers `setup.name` and keeps its status.

    `state_dir` lies on the disk that is told of; `runtime` answers `docker://20.10.24`, `problem` why the
    node is not ready, `journal` why the journal is degraded, both empty when all is well; `pressures` are the
    conditions of what the node is short of; `record` takes the Events of the node. `now` is in µs since the
    epoch, `check` and `report` are seconds between looks and between reports without a change.
    Without `register`, a Node is told of only if somebody made it.
    """

    def __init__(
        self,
        api: Api,
        setup: NodeSetup,
        *,
        state_dir: Path,
        now: Callable[[], int],
        runtime: Callable[[], str],
        problem: Callable[[], str],
        journal: Callable[[], str],
        pressures: Callable[[], tuple[str, ...]],
        record: Record,
        register: bool = True,
        check: float = 10.0,
        report: float = 300.0,
        rng: random.Random | None = None,
        read: Callable[[Path], Machine] = read_machine,
        backoff: BackoffPolicy = BACKOFF,
    ) -> None:
        self._api = api
        self._setup = setup
        self._state_dir = state_dir
        self._now = now
        self._runtime = runtime
        self._problem = problem
        self._journal = journal
        self._pressures = pressures
        self._record = record
        self._register = register
        self._check = check
        self._report = report * 1_000_000
        self._backoff = Backoff(backoff, rng or random.Random())  # noqa: S311 - jitter keeps no secret
        self._read = read
        self._changed = asyncio.Event()
        self._told: tuple[JsonObject, tuple[Condition, ...]] | None = None
        self._told_at = 0
        self._stored: JsonObject | None = None
        self._said = ""

    @property
    def uid(self) -> str:
        """The Node's uid, empty while unknown."""
        metadata = (self._stored or {}).get("metadata") or {}
        return str(metadata.get("uid", ""))

    def changed(self) -> None:
        """Something that the conditions tell of may have changed: look at once."""
        self._changed.set()

    async def run(self) -> None:
        """Keep the Node until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self.look()
            except ApiUnreachable as error:
                await self._later(error.message, 0.0)
            except ApiError as error:
                await self._later(str(error), error.retry_after or 0.0)
            else:
                self._backoff.reset()
                self._said = ""
                await self._wait(self._check)

    async def look(self) -> None:
        """Look once at the machine and tell what has to be told; raises ApiError and ApiUnreachable."""
        machine = await anyio.to_thread.run_sync(self._read, self._state_dir, abandon_on_cancel=True)
        status = nodeobject.fixed_status(self._setup, machine, self._runtime())
        wanted = nodeobject.conditions(
            self._pressures(), runtime=self._runtime(), problem=self._problem(), journal=self._journal()
        )
        if self._stored is not None:
            await self._look_back()
        if self._stored is None:
            await self._begin(machine, status, wanted)
            if self._stored is None:
                return
        if self._told != (status, wanted) or self._now() - self._told_at >= self._report:
            await self._tell(status, wanted)

    async def _look_back(self) -> None:
        """See whether the Node is there and still says what was told.

        A control plane that took the node for lost, by an outage or while this machine slept, has said so in
        it, and expects to be told again at once (upstream fetches the Node before each report too).
        """
        self._stored = await self._find()
        if self._stored is None:
            self._told = None
            log.warning("the node's object was deleted, it is registered again", node=self._setup.name)
        elif self._told is not None:
            stored = nodeobject.statuses((self._stored.get("status") or {}).get("conditions"))
            if any(stored.get(each.type) != each.status for each in self._told[1]):
                self._told = None

    async def _begin(self, machine: Machine, status: JsonObject, wanted: tuple[Condition, ...]) -> None:
        name = self._setup.name
        labels = nodeobject.labels(self._setup, machine)
        stored = await self._find()
        if stored is None and self._register:
            said = nodeobject.with_times(wanted, None, self._now())
            body = nodeobject.new_node(name, labels, {**status, "conditions": said})
            stored = await self._create(body)
            self._changes(wanted, {})
        elif stored is not None:
            self._rebooted(stored, machine)
        if stored is None:
            return
        patch = nodeobject.label_patch(stored, labels) if self._register else None
        if patch is not None:
            stored = await self._api.patch_object(node_path(name), patch, PatchKind.STRATEGIC)
        self._stored = stored
        log.info("the node is registered", node=name)

    async def _find(self) -> JsonObject | None:
        try:
            return await self._api.get_object(node_path(self._setup.name))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def _create(self, body: JsonObject) -> JsonObject | None:
        try:
            return await self._api.create_object(nodes_path(), body)
        except ApiError as error:
            if error.already_exists:
                return await self._find()
            raise

    async def _tell(self, status: JsonObject, wanted: tuple[Condition, ...]) -> None:
        stored = (self._stored or {}).get("status") or {}
        before = nodeobject.statuses(stored.get("conditions"))
        said = nodeobject.with_times(wanted, stored.get("conditions"), self._now())
        patch = nodeobject.status_patch(status, said)
        try:
            self._stored = await self._api.patch_object(
                node_status_path(self._setup.name), patch, PatchKind.STRATEGIC
            )
        except ApiError as error:
            if error.not_found:
                self._stored = self._told = None
                self._changed.set()
                log.warning("the node's object was deleted, it is registered again", node=self._setup.name)
                return
            raise
        self._told = (status, wanted)
        self._told_at = self._now()
        self._changes(wanted, before)

    def _changes(self, wanted: tuple[Condition, ...], before: Mapping[str, str]) -> None:
        """Record an Event for each condition that is told to be otherwise than it was."""
        for one in wanted:
            if one.event and before.get(one.type) != one.status:
                message = f"Node {self._setup.name} status is now: {one.event}"
                self._record(EventType.NORMAL, one.event, message)

    def _rebooted(self, stored: JsonObject, machine: Machine) -> None:
        info = (stored.get("status") or {}).get("nodeInfo") or {}
        before = info.get("bootID", "")
        if before and machine.boot_id and before != machine.boot_id:
            message = f"Node {self._setup.name} has been rebooted, boot id: {machine.boot_id}"
            self._record(EventType.WARNING, "Rebooted", message)

    async def _later(self, problem: str, at_least: float) -> None:
        if not self._said:
            log.warning("the node cannot be told of", node=self._setup.name, problem=problem)
        self._said = problem
        # Not cut short by changes: they are told anyway with the next try.
        await asyncio.sleep(max(self._backoff.next_seconds(), at_least))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
