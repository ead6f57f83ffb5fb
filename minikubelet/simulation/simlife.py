"""One life of the agent in the simulated world: its real parts, wired as `agent.assembly` wires them.

Belongs here: construction, and taps for the judges. May not be here: any behaviour of the agent. What does
not run here: threads, sockets, the HTTP client below the `Api` port, inotify, signals, and the node's own
API; everything else of the agent is the code that runs on a node.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

import anyio.to_thread

from minikubelet.core.commands import AnyCommand, Decision
from minikubelet.core.events import AgentStarted, AnyEvent
from minikubelet.core.reducer import Reducer
from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.journal.writing import Patience
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.ports.clockport import Clock
from minikubelet.ports.journalport import Retention
from minikubelet.ports.outboxport import Outbox
from minikubelet.ports.sourceport import SourceFact
from minikubelet.reporting.outbox import ApiOutbox
from minikubelet.shell.dispatcher import Dispatcher
from minikubelet.shell.effects import Effects
from minikubelet.shell.images import Images
from minikubelet.shell.inbox import Inbox
from minikubelet.shell.intake import Intake
from minikubelet.shell.leftovers import Leftovers
from minikubelet.shell.limiter import Limiter
from minikubelet.shell.loop import Loop
from minikubelet.shell.observer import Observer
from minikubelet.shell.podconfig import NodeSide, PodConfigMaker
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.pullwaits import PullWaits
from minikubelet.shell.recovery import recover
from minikubelet.shell.relook import Relook
from minikubelet.shell.timers import Timers
from minikubelet.shell.vault import Vault
from minikubelet.shell.volumes import Volumes
from minikubelet.simulation.simapi import LifeApi, SimApi
from minikubelet.simulation.simdisk import LifeDisk
from minikubelet.simulation.simengine import NODE
from minikubelet.simulation.simfolder import FOLDER, SimFolder, cached_reader
from minikubelet.simulation.simloop import Life, WorldClock, blocking
from minikubelet.simulation.simpods import NAMESPACE
from minikubelet.simulation.simruntime import LifeRuntime
from minikubelet.sources import filesource
from minikubelet.sources.apisource import ApiSource
from minikubelet.sources.filesource import FileSource
from minikubelet.wire import records

JOURNAL: Final = Path("/simulated/journal")
ADDRESS: Final = "192.0.2.10"
_LIMITS: Final = Retention(max_bytes=1 << 22, max_age=7 * 86_400, segment_bytes=1 << 15)


class Witness(Protocol):
    """Told of what happens inside a life, as it happens."""

    def took(self, agent: AgentLife, seq: int, event: AnyEvent, decisions: list[Decision]) -> None:
        """The loop took an event in."""

    def dispatched(self, agent: AgentLife, command: AnyCommand) -> None:
        """A command is about to be carried out."""

    def told(self, agent: AgentLife, fact: SourceFact) -> None:
        """A source handed a fact over."""


@cache
def _schema() -> str:
    return records.schema_hash()


class NoApi:
    """The outbox of a node without an API server."""

    def __getattr__(self, name: str) -> Any:
        """Nobody is to be told anything."""
        return lambda *_args, **_options: None


class AgentLife:
    """Everything of one life, from the journal it opens to the tasks it runs."""

    def __init__(
        self,
        number: int,
        *,
        witness: Witness,
        disk: LifeDisk,
        runtime: LifeRuntime,
        api: SimApi | None,
        clock: Clock,
        root: Path,
        seed: int,
    ) -> None:
        self.number = number
        self.life = Life()
        self.disk = disk
        self.runtime = runtime
        self.has_api = api is not None
        self.witness = witness
        self.clock = clock
        self.began = WorldClock().now()
        self.task: asyncio.Task[None] | None = None
        self.vault = Vault(PodPaths(root, root / "logs"))
        self.vault.load()
        opened = DiskJournal.open(
            JOURNAL,
            node=NODE,
            boot=f"life-{number}",
            core_version=records.CORE_VERSION,
            schema_hash=_schema(),
            settings={"staticPodNamespace": NAMESPACE},
            limits=_LIMITS,
            fileops=disk,
            clock=clock.now,
            patience=Patience(),
        )
        self.journal = opened.journal
        recovered = recover(opened)
        self.reducer: Reducer = recovered.reducer
        self.recovered = recovered
        self.inbox = Inbox()
        self._client = LifeApi(api) if api is not None else None
        rng = Random(f"{seed} outbox {number}")  # noqa: S311 - jitter keeps no secret
        self.outbox: Outbox = (
            ApiOutbox(self._client, full_pod=self.vault.get, node_uid=lambda: "", rng=rng)
            if self._client
            else NoApi()
        )
        self._wire()

    def _wire(self) -> None:
        put = self.inbox.put
        self.observer = Observer(self.runtime, self.clock, _StateView(self.reducer), put)
        self.timers = Timers(self.clock, put)
        self._waits = PullWaits(self.reducer)
        self.dispatcher = Dispatcher(self._effects(), self.timers, self.outbox, put)
        self.intake = Intake(self.vault, self.inbox, self.outbox)
        self.leftovers = Leftovers(self.reducer, self.vault, self.clock)
        self._relook = Relook(self.reducer, self.observer.look)
        self.loop = Loop(
            self.reducer,
            self.journal,
            self.inbox,
            self.clock,
            dispatch=self._dispatch,
            seen=self._seen,
        )
        sources = (Source.FILE, Source.API) if self.has_api else (Source.FILE,)
        put(
            AgentStarted(
                node=NODE,
                boot=f"life-{self.number}",
                sources=sources,
                has_api=self.has_api,
                runtime=self.runtime.info.name,
                node_ips=(ADDRESS,),
                static_namespace=NAMESPACE,
            )
        )

    def _effects(self) -> Effects:
        node = NodeSide(name=NODE, ips=(ADDRESS,), memory=8 << 30, cpus=2)
        paths = self.vault.paths
        return Effects(
            self.runtime,
            PodConfigMaker(node, paths, Volumes(paths)),
            Images(self.runtime, 2),
            vault=self.vault,
            paths=paths,
            limiter=Limiter(4, 16, asyncio.get_running_loop().time),
            waits=self._waits,
        )

    def _dispatch(self, command: AnyCommand) -> None:
        self.witness.dispatched(self, command)
        self.dispatcher.dispatch(command)

    def _seen(self, seq: int, event: AnyEvent, decisions: list[Decision]) -> None:
        self.witness.took(self, seq, event, decisions)
        self._relook.seen(seq, event)
        self._waits.seen()

    async def put(self, fact: SourceFact) -> None:
        """Be the sink of the sources."""
        self.witness.told(self, fact)
        await self.intake.put(fact)

    async def run(self) -> None:
        """Live until cancelled; a part that fails ends it."""
        with contextlib.suppress(Exception):
            await self.runtime.connect()  # the observer goes on trying, as on a node
        source = FileSource(
            FOLDER,
            cached_reader(NODE, NAMESPACE),
            now=self.clock.now,
            frequency=20.0,
            first_seen=self.vault.first_seen(),
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self.loop.run(), name="loop")
            group.create_task(self.dispatcher.run(), name="dispatcher")
            group.create_task(self.observer.run(), name="observer")
            group.create_task(source.run(self), name="files")
            group.create_task(self.leftovers.run(), name="leftovers")
            if self._client is not None and isinstance(self.outbox, ApiOutbox):
                group.create_task(self.outbox.run(), name="outbox")
                seen = self.outbox.status_seen
                group.create_task(ApiSource(self._client, NODE, status_seen=seen).run(self), name="api")


class _StateView:
    """What the observer has to know of the state; as in `agent.assembly`."""

    def __init__(self, reducer: Reducer) -> None:
        self._reducer = reducer

    def seq(self) -> int:
        return self._reducer.seq

    def on_runtime(self) -> Mapping[PodUid, SlotKey]:
        return {
            gen.uid: gen.slot
            for slot in self._reducer.slots.values()
            for gen in slot.generations
            if gen.sandbox is not None or any(record.running for record in gen.containers.values())
        }


@contextlib.contextmanager
def replaced(folder: SimFolder) -> Iterator[None]:
    """Put the simulated folder and calls without threads in the place of the machine's for a while."""
    changes: tuple[tuple[Any, str, Any], ...] = (
        (filesource, "look", folder.look),
        (filesource, "load", folder.load),
        (filesource, "FolderWatch", folder.watch),
        (anyio.to_thread, "run_sync", blocking),
    )
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    try:
        for module, name, value in changes:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
