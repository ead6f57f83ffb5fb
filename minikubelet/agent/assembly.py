"""Assembly: the parts of one life of the agent, put together.

Belongs here: settings and adapters to parts. May not be here: the parts that live anywhere (`shell.wiring`),
what any part does, or when the life ends (`lifetime`).
"""

from __future__ import annotations

import asyncio
import os
import time

import msgspec

from minikubelet.agent.agentmeasuring import Measuring
from minikubelet.agent.agentplan import AgentPlan, StartFault, Upstream
from minikubelet.agent.agentview import AgentView, Health
from minikubelet.agent.noderoom import with_room
from minikubelet.agent.podmaking import PodMaking
from minikubelet.agent.reports import Reports
from minikubelet.core.behaviours import TODAY
from minikubelet.core.commands import Decision
from minikubelet.core.events import AgentStarted, AnyEvent
from minikubelet.core.reducer import Reducer
from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.model.ids import Source
from minikubelet.ports.clockport import Clock
from minikubelet.ports.journalport import Journal, JournalLockedError, Retention
from minikubelet.ports.runtimeport import Runtime
from minikubelet.shell.eventlog import EventLog
from minikubelet.shell.limiter import Limiter
from minikubelet.shell.recovery import recover
from minikubelet.shell.shutdownturns import ShutdownTurns, turns
from minikubelet.shell.vault import Vault
from minikubelet.shell.wiring import Given, StateView, Wired, wire
from minikubelet.wire.records import CORE_VERSION, schema_hash

STARTS_AT_ONCE = 4
"""how many starts an engine is given at first on any machine; the limiter goes on from there"""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a life consists of; `wired` and `making` have tasks that go on until cancelled.

    `at_work` is set once runtime and folder are known, so that the first commands for containers are decided.
    """

    wired: Wired
    at_work: asyncio.Event
    making: PodMaking
    measuring: Measuring
    shutdown: ShutdownTurns
    view: AgentView
    health: Health


class History(msgspec.Struct, frozen=True):
    """The open journal, the state it leads to, the events that took, and what was wrong with it."""

    journal: Journal
    reducer: Reducer
    boot: str
    events: int
    damage: tuple[str, ...]

    @property
    def runtime(self) -> str:
        """The runtime on which pods of an earlier life are, as far as is known; empty if there are none."""
        return self.reducer.node.runtime if StateView(self.reducer).on_runtime() else ""


def left_behind(plan: AgentPlan, history: History, runtime: str) -> str:
    """The sentence for a start with another runtime than the one that pods of before still are on.

    Raises StartFault where the node had another name: an agent owns on a runtime what carries its node's
    name, so it would take the containers' volumes away under them.
    """
    node = history.reducer.node.name
    if not history.runtime:
        return ""
    if node != plan.node_name:
        raise StartFault(
            f"{plan.places.root} holds pods of node {node}, which still run; start with --hostname-override "
            f"{node}, or name another state directory with --root-dir"
        )
    if runtime == history.runtime:
        return ""
    return (
        f"containers made by {history.runtime} before go on without anyone: to end them, start once more "
        f"with --container-runtime-endpoint {history.runtime}:// and an empty manifest folder"
    )


def open_history(plan: AgentPlan, clock: Clock) -> History:
    """Open the journal and fold it; raises StartFault where another agent holds it."""
    boot = f"{os.getpid()}-{clock.now()}"
    journal = plan.settings.agent.journal
    try:
        opened = DiskJournal.open(
            plan.places.journal,
            node=plan.node_name,
            boot=boot,
            core_version=CORE_VERSION,
            schema_hash=schema_hash(),
            settings={"staticPodNamespace": plan.settings.agent.static_pod_namespace},
            limits=Retention(journal.max_size, int(journal.max_age), journal.segment_size),
        )
    except JournalLockedError as error:
        raise StartFault(str(error)) from error
    recovered = recover(opened)
    return History(opened.journal, recovered.reducer, boot, recovered.events, recovered.damage)


def assemble(
    plan: AgentPlan, history: History, runtime: Runtime, reports: Reports, vault: Vault, *, clock: Clock
) -> Parts:
    """Put a life together; nothing runs yet."""
    outbox, reducer, journal = reports.outbox, history.reducer, history.journal
    making = PodMaking(plan, runtime, vault, reports.client, clock=clock, noted=reports.note)
    event_log = EventLog()
    at_work = asyncio.Event()

    def seen(seq: int, event: AnyEvent, decisions: list[Decision]) -> None:
        event_log.seen(seq, event, decisions)
        reports.seen(event, decisions)
        shutdown.seen()
        if not at_work.is_set() and _knows_its_pods(plan, reducer):
            at_work.set()

    wired = wire(
        Given(
            reducer=reducer,
            journal=journal,
            runtime=runtime,
            outbox=outbox,
            vault=vault,
            clock=clock,
            configs=making.configs,
            images=making.images,
            limiter=Limiter(STARTS_AT_ONCE, plan.settings.agent.max_concurrent_runtime_calls, time.monotonic),
            told=reports.warn,
            seen=seen,
        )
    )
    shutdown = ShutdownTurns(reducer, wired.inbox.put, turns(plan.settings.kubelet), reports.node_changed)
    health = Health(wired.observer, journal, runtime, reducer)
    wired.inbox.put(with_room(plan, _started(plan, history.boot, runtime)))
    reports.follow_node(wired.inbox.put)
    view = AgentView(plan, reducer, health=health, intake=wired.intake, outbox=outbox)
    measuring = Measuring(
        plan,
        runtime,
        vault.paths,
        reducer=reducer,
        put=wired.inbox.put,
        clock=clock,
        reclaim=making.image_gc.reclaim,
    )
    return Parts(
        wired=wired,
        at_work=at_work,
        making=making,
        measuring=measuring,
        shutdown=shutdown,
        view=view,
        health=health,
    )


def _knows_its_pods(plan: AgentPlan, reducer: Reducer) -> bool:
    node = reducer.node
    return node.listed and (plan.places.manifests is None or Source.FILE in node.synced)


def _started(plan: AgentPlan, boot: str, runtime: Runtime) -> AgentStarted:
    sources = []
    if plan.places.manifests is not None:
        sources.append(Source.FILE)
    if plan.upstream is not Upstream.NONE:
        sources.append(Source.API)
    return AgentStarted(
        node=plan.node_name,
        boot=boot,
        sources=tuple(sources),
        has_api=plan.upstream is not Upstream.NONE,
        runtime=runtime.info.name,
        lacks_apparmor=runtime.info.lacks_apparmor,
        node_ips=plan.node_ips,
        static_namespace=plan.settings.agent.static_pod_namespace,
        behaviours=TODAY,
    )
