"""One life of the agent in the simulated world: its real parts, wired as on a node (`shell.wiring`).

Belongs here: construction, and taps for the judges. May not be here: any behaviour of the agent. What does
not run here: threads, sockets, the HTTP client below the `Api` port, inotify, signals and logind, the node's
own API, probes other than exec, and what serves the node rather than its pods: its registration and lease,
pressure and storage watches, image collection, log rotation, and the refresh of volumes from objects and
tokens. Everything else of the agent is the code that runs on a node.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

import anyio.to_thread

from minikubelet.core.behaviours import TODAY
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
from minikubelet.shell import vault, volumes
from minikubelet.shell.images import Images
from minikubelet.shell.limiter import Limiter
from minikubelet.shell.podconfig import NodeSide, PodConfigMaker
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.recovery import recover
from minikubelet.shell.vault import Vault
from minikubelet.shell.volumes import Volumes
from minikubelet.shell.wiring import Given, wire
from minikubelet.simulation.simapi import LifeApi, SimApi
from minikubelet.simulation.simdisk import LifeDisk
from minikubelet.simulation.simengine import NODE
from minikubelet.simulation.simfolder import FOLDER, SimFolder, cached_reader
from minikubelet.simulation.simloop import Life, blocking
from minikubelet.simulation.simpods import NAMESPACE
from minikubelet.simulation.simruntime import LifeRuntime
from minikubelet.simulation.simstore import SimStore
from minikubelet.sources import filesource
from minikubelet.sources.apisource import ApiSource
from minikubelet.sources.filesource import FileSource
from minikubelet.wire import records

JOURNAL: Final = Path("/simulated/journal")
ADDRESS: Final = "192.0.2.10"
_WEEK: Final = 7 * 86_400


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
        began: int,
        journal_bytes: int,
    ) -> None:
        self.number = number
        self.life = Life()
        self.disk = disk
        self.runtime = runtime
        self.has_api = api is not None
        self.witness = witness
        self.clock = clock
        self.began = began
        self.limits = Retention(journal_bytes, max_age=_WEEK, segment_bytes=min(1 << 15, journal_bytes // 4))
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
            limits=self.limits,
            fileops=disk,
            clock=clock.now,
            patience=Patience(),
        )
        self.journal = opened.journal
        recovered = recover(opened)
        self.reducer: Reducer = recovered.reducer
        self.recovered = recovered
        self._client = LifeApi(api) if api is not None else None
        rng = Random(f"{seed} outbox {number}")  # noqa: S311 - jitter keeps no secret
        self.outbox: Outbox = (
            ApiOutbox(self._client, full_pod=self.vault.get, node_uid=lambda: "", rng=rng)
            if self._client
            else NoApi()
        )
        self.wired = wire(self._given(Random(f"{seed} jitter {number}")))  # noqa: S311 - as above
        self.wired.inbox.put(self._started())

    def _given(self, jitter: Random) -> Given:
        node = NodeSide(name=NODE, ips=(ADDRESS,), memory=8 << 30, allocatable={"cpu": "2", "memory": "8Gi"})
        paths = self.vault.paths
        return Given(
            reducer=self.reducer,
            journal=self.journal,
            runtime=self.runtime,
            outbox=self.outbox,
            vault=self.vault,
            clock=self.clock,
            configs=PodConfigMaker(node, paths, Volumes(paths)),
            images=Images(self.runtime, 2),
            limiter=Limiter(4, 16, asyncio.get_running_loop().time),
            told=_no_word,
            seen=self._seen,
            issued=self._issued,
            jitter=jitter.random,
        )

    def _started(self) -> AgentStarted:
        return AgentStarted(
            node=NODE,
            boot=f"life-{self.number}",
            sources=(Source.FILE, Source.API) if self.has_api else (Source.FILE,),
            has_api=self.has_api,
            runtime=self.runtime.info.name,
            node_ips=(ADDRESS,),
            static_namespace=NAMESPACE,
            behaviours=TODAY,
        )

    def _issued(self, command: AnyCommand) -> None:
        self.witness.dispatched(self, command)

    def _seen(self, seq: int, event: AnyEvent, decisions: list[Decision]) -> None:
        self.witness.took(self, seq, event, decisions)

    async def put(self, *facts: SourceFact) -> None:
        """Be the sink of the sources."""
        for fact in facts:
            self.witness.told(self, fact)
        await self.wired.intake.put(*facts)

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
            for part in (*self.wired.tasks(), source.run(self)):
                group.create_task(part)
            if self._client is not None and isinstance(self.outbox, ApiOutbox):
                group.create_task(self.outbox.run())
                seen = self.outbox.status_seen
                group.create_task(ApiSource(self._client, NODE, status_seen=seen).run(self))


def _no_word(slot: SlotKey, uid: PodUid, container: str, reason: str, message: str) -> None:
    """Nobody reads Events here."""


@contextlib.contextmanager
def replaced(folder: SimFolder, store: SimStore) -> Iterator[None]:
    """Put the simulated folder and disk and calls without threads in the machine's place for a while."""
    changes: tuple[tuple[Any, str, Any], ...] = (
        (filesource, "look_again", folder.look),
        (filesource, "load", folder.load),
        (filesource, "FolderWatch", folder.watch),
        (anyio.to_thread, "run_sync", blocking),
        (vault, "write_file", store.write),
        (volumes, "make_empty_dir", store.make_empty_dir),
    )
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    try:
        for module, name, value in changes:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
