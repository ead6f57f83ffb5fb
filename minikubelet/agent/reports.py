"""Reports: what an agent with an API server tells it, put together.

Belongs here: wiring of outbox, node, lease and Events. May not be here: what is told (`reporting`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial

from minikubelet.agent.agentplan import AgentPlan
from minikubelet.agent.agentview import Health
from minikubelet.agent.noderoom import reserved
from minikubelet.agent.noupstream import NoUpstream
from minikubelet.core.commands import Decision
from minikubelet.core.events import AnyEvent, NodeSeen
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.ports.apiport import Api
from minikubelet.ports.clockport import Clock
from minikubelet.ports.outboxport import Outbox
from minikubelet.reporting.eventrecorder import EventRecorder, EventType, about_node
from minikubelet.reporting.machinefacts import read_machine
from minikubelet.reporting.nodelease import NodeLease
from minikubelet.reporting.nodeobject import NodeSetup
from minikubelet.reporting.noderegistrar import NodeRegistrar, Record
from minikubelet.reporting.nodewatch import NodeWatch
from minikubelet.reporting.outbox import ApiOutbox
from minikubelet.reporting.podevents import PodEvents
from minikubelet.shell.prober import Told
from minikubelet.shell.vault import Vault

Seen = Callable[[AnyEvent, list[Decision]], None]


class Reports:
    """What tells an API server of pods and node; nothing at all without a client."""

    def __init__(self, plan: AgentPlan, client: Api | None, vault: Vault, clock: Clock) -> None:
        self._plan = plan
        self.client = client
        self._clock = clock
        self._registrar: NodeRegistrar | None = None
        self.outbox: Outbox = NoUpstream()
        self.seen: Seen = _nothing
        self.warn: Told = _no_word
        self.note: Told = _no_word
        self._record: Record = _no_event
        self._running: list[Callable[[], Coroutine[object, object, None]]] = []
        if client is not None:
            outbox = ApiOutbox(client, full_pod=vault.get, node_uid=self._node_uid)
            recorder = EventRecorder(client, node=plan.node_name, now=clock.now)
            self.outbox = outbox
            events = PodEvents(recorder, plan.node_name, vault.get)
            self.seen, self.warn, self.note = events.seen, events.warn, events.note
            self._record = partial(recorder.record, about_node(plan.node_name))
            self._record(EventType.NORMAL, "Starting", "Starting kubelet.")
            self._running += [outbox.run, recorder.run]

    def tasks(
        self, health: Health, port: int, features: tuple[str, ...]
    ) -> list[Coroutine[object, object, None]]:
        """What has to run until cancelled; the node is told of as `health` says.

        Its API is at `port` and has the declared features.
        """
        if self.client is not None:
            registrar = self._registrar = self._node(self.client, health, port, features)
            lease = NodeLease(
                self.client,
                self._plan.node_name,
                now=self._clock.now,
                node_uid=self._node_uid,
                duration=self._plan.settings.kubelet.node_lease_duration_seconds,
            )
            self._running += [registrar.run, lease.run]
        return [start() for start in self._running]

    def follow_node(self, told: Callable[[NodeSeen], None]) -> None:
        """Tell of labels and taints that the Node has at the API server."""
        if self.client is not None:
            self._running.append(NodeWatch(self.client, self._plan.node_name, told).run)

    def _node(self, client: Api, health: Health, port: int, features: tuple[str, ...]) -> NodeRegistrar:
        kubelet = self._plan.settings.kubelet
        setup = NodeSetup(
            name=self._plan.node_name,
            ip=self._plan.node_ips[0],
            max_pods=kubelet.max_pods,
            reserved=reserved(kubelet, read_machine(self._plan.places.root)),
            port=port,
            declared_features=features,
        )
        return NodeRegistrar(
            client,
            setup,
            state_dir=self._plan.places.root,
            now=self._clock.now,
            runtime=health.runtime,
            problem=health.problem,
            journal=health.journal,
            pressures=health.pressures,
            record=self._record,
            register=kubelet.register_node,
            check=kubelet.node_status_update_frequency,
            report=kubelet.node_status_report_frequency,
        )

    def node_changed(self) -> None:
        """What the Node's conditions tell of has changed."""
        if self._registrar is not None:
            self._registrar.changed()

    def _node_uid(self) -> str:
        return self._registrar.uid if self._registrar is not None else ""


def _nothing(event: AnyEvent, decisions: list[Decision]) -> None:
    """There is nobody to tell."""


def _no_event(kind: EventType, reason: str, message: str) -> None:
    """There is nobody to tell."""


def _no_word(slot: SlotKey, uid: PodUid, container: str, reason: str, message: str) -> None:
    """There is nobody to tell."""
