"""The judges of safety: what must never happen, looked at from outside the agent as it happens.

Belongs here: one method for each promise of the contract. May not be here: what has to happen in the end
(`simliveness`). A judge that errs errs on the side of the agent; what it excuses is said where it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from minikubelet.core.commands import (
    AnyCommand,
    Decision,
    DeleteMirror,
    Reason,
    RemoveSandbox,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopSandbox,
    WakeAt,
)
from minikubelet.core.events import AnyEvent, NodeEvent
from minikubelet.model.ids import PodUid, Source
from minikubelet.ports.runtimeport import SandboxConfig
from minikubelet.ports.sourceport import SourceFact, SourceListed
from minikubelet.simulation.simengine import NODE, Instance, Judge, WatchedEngine
from minikubelet.simulation.simgrace import Graces
from minikubelet.simulation.simlife import AgentLife
from minikubelet.simulation.simloop import SECOND
from minikubelet.simulation.simorder import Order
from minikubelet.simulation.simprobejudge import ProbeJudge
from minikubelet.simulation.simrestarts import Restarts
from minikubelet.simulation.simtold import Told
from minikubelet.simulation.simwanted import NEVER, Book, Fail, Wanted

LATE: Final = 10 * SECOND
"""how long a fact may be on its way from a source to a decision"""
RECENT: Final = 60 * SECOND
"""how long what was so for a moment may be why a container is ended"""
_NEVER_DECIDED: Final = 1 << 62
_MARK: Final = re.compile(rb'\{"m":\d+,"s":(\d+)\}')


class Safety(Judge):
    """All judges; `fail` is told the name of the promise that was broken, and how."""

    def __init__(self, engine: WatchedEngine, book: Book, fail: Fail) -> None:
        self._engine = engine
        self._book = book
        self._fail = fail
        self.restarts = Restarts(engine, fail)
        self.probes = ProbeJudge(engine, book, fail)
        self.graces = Graces(engine, book, self.probes, fail)
        self.order = Order(engine, book, fail)
        self.durable = 0
        self._began = 0
        self.jumped_at = NEVER
        self.knows: Callable[[Instance], bool] = lambda _instance: False
        self._seqs: dict[int, int] = {}
        self._decided: dict[tuple[PodUid, str, int], int] = {}
        self._known_then: dict[str, frozenset[str]] = {}
        self._listed: set[tuple[int, Source]] = set()
        self._told = Told(book, self._now)

    def _now(self) -> int:
        return self._engine.real.now()

    # ── inside a life ──

    def synced(self, data: bytes) -> None:
        """These bytes of the journal have become durable."""
        marks = _MARK.findall(data)
        if marks:
            self.durable = int(marks[-1])

    def begun(self, agent: AgentLife) -> None:
        """A life begins with what is durable."""
        self.durable = agent.journal.next_seq - 1
        self._before, self._began = self._began, agent.began
        self._seqs.clear()
        self.graces.begun(self.durable)
        self.restarts.begun(self.durable)
        self._told.begun(self.durable)

    def took(self, agent: AgentLife, seq: int, event: AnyEvent, decisions: list[Decision]) -> None:
        """Note which record each decision is in, and when each end began; no bug goes by as a failure."""
        if getattr(event, "reason", "") == "InternalError":
            self._fail("no-bug", str(getattr(event, "message", "")))
        self._seqs |= {id(each.command): number for number, each in enumerate(decisions, seq + 1)}
        self._told.took(seq, event)
        self.restarts.took(seq, event)
        slots = agent.reducer.slots
        touched = slots.values() if isinstance(event, NodeEvent) else filter(None, [slots.get(event.slot)])
        generations = [gen for slot in touched for gen in slot.generations]
        self.graces.took(seq, event, decisions, generations)
        self.order.took(decisions, generations)

    def told(self, agent: AgentLife, fact: SourceFact) -> None:
        """Note which sources were listed in this life."""
        if isinstance(fact, SourceListed):
            self._listed.add((agent.number, fact.source))

    def dispatched(self, agent: AgentLife, command: AnyCommand) -> None:
        """No effect before its decision is durable, none on what a source not yet seen may hold."""
        number = self._seqs.pop(id(command), _NEVER_DECIDED)
        if not isinstance(command, WakeAt) and not agent.journal.health.degraded and number > self.durable:
            self._fail(
                "journal-first",
                f"{type(command).__name__} of {command.slot} is carried out before record {number} is durable"
                f" ({self.durable} is)",
            )
        match command:
            case StartContainer():
                self._decided[command.uid, command.container, command.attempt] = self._now()
                self._still_wanted(command.uid, f"container {command.container} is started")
            case StartSandbox():
                self._still_wanted(command.uid, "a sandbox is started")
            case StopContainer():
                self._sources_seen(agent, command)
            case DeleteMirror():
                self._mirror_known(agent, command)
            case StopSandbox() | RemoveSandbox():
                self._known_then[command.sandbox_id] = frozenset(
                    each.id for each in self._engine.running() if self.knows(each)
                )
            case _:
                pass

    def _still_wanted(self, uid: PodUid, what: str) -> None:
        wanted = self._book.pods.get(uid)
        if wanted is None:
            return
        gone = wanted.gone_since
        # What was not written down, since the disk refused, nobody knows of after a restart.
        forgotten = gone <= self.restarts.amnesia_at
        if gone != NEVER and self._now() - gone > LATE and not forgotten:
            ago = (self._now() - gone) // SECOND
            self._fail("unwanted-start", f"{what} for {wanted.slot} {uid}, which nobody wants since {ago} s")

    def _sources_seen(self, agent: AgentLife, command: StopContainer) -> None:
        wanted = self._book.pods.get(command.uid)
        if wanted is None or self.graces.end_of(command.uid, agent.began) < agent.began:
            return  # its end was decided in an earlier life, and goes on
        amnesia = self.restarts.amnesia_at
        if self._before <= amnesia and NEVER < wanted.unwanted_at <= amnesia:
            return  # so it was, and that it came anew since then is what the life before did not write down
        needed: list[Source] = []
        if command.reason is Reason.POD_REMOVED:
            needed = [wanted.source]
        elif command.reason is Reason.POD_UNKNOWN:
            needed = [Source.FILE, *([Source.API] if agent.has_api else [])]
        for source in needed:
            if (agent.number, source) not in self._listed and wanted.unwanted_at < agent.began:
                self._fail(
                    "sources-first", f"{wanted.slot} is ended before {source.value} was seen in this life"
                )

    def _mirror_known(self, agent: AgentLife, command: DeleteMirror) -> None:
        if command.reason is not Reason.MIRROR_ORPHANED:
            return
        if (agent.number, Source.FILE) not in self._listed:
            self._fail("sources-first", f"the mirror {command.slot} is removed before the files were seen")

    # ── at the engine ──

    def sandbox(self, config: SandboxConfig) -> None:
        """Never two live sandboxes of one pod."""
        for other in self._engine.sandboxes.values():
            same = other.node == NODE and other.config.uid == config.uid
            unseen = other.shown.id in self._engine.orphans
            if same and other.shown.ready and other.config.attempt != config.attempt and not unseen:
                self._fail(
                    "one-sandbox",
                    f"sandbox {config.attempt} of {config.namespace}/{config.name} is made while"
                    f" {other.config.attempt} lives",
                )

    def start(self, instance: Instance) -> None:
        """Never twice at once, before the older generation is gone, against policy or back-off."""
        wanted = self._book.pods.get(instance.uid)
        for other in self._engine.running():
            if other.uid == instance.uid and other.name == instance.name and other is not instance:
                self._fail("double-start", f"{instance.id} is started while {other.id} runs")
            rival = self._book.pods.get(other.uid)
            if wanted and rival and rival.slot == wanted.slot and rival.uid != wanted.uid:
                self._fail("one-generation", f"{instance.id} is started while {other.id} still runs")
        if wanted is not None:
            self.restarts.judge(instance, wanted)
            self.order.start(instance, wanted)

    def ordered(self, instance: Instance, grace: float) -> None:
        """A pod that is to end has ended when its grace is over, hooks and all."""
        self.graces.ordered(instance, grace, self._told.known)

    def stop(self, instance: Instance, grace: float) -> None:
        """A running container is ended for a cause only, and has its grace from when that was decided."""
        cause = self._cause(instance)
        if not cause:
            self._fail("uncaused-kill", f"{instance.id} is stopped, and nothing asked for that")
        instance.stopped_for = instance.stopped_for or cause
        self.graces.stop(instance, grace, cause)

    def remove(self, instance: Instance) -> None:
        """A container is removed when it is dead; a start that an agent asked for and died may come late."""
        late = instance.made_at < self._began <= instance.started_at
        if instance.running and not late and not self._cause(instance):
            self._fail("uncaused-kill", f"{instance.id} is removed while it runs")

    def drop(self, sandbox_id: str) -> None:
        """A sandbox goes when nothing in it is wanted any more."""
        for instance in self._engine.running():
            if instance.sandbox_id != sandbox_id:
                continue
            if not self._cause(instance):
                self._fail(
                    "uncaused-kill", f"{instance.id} dies with its sandbox, and nothing asked for that"
                )
            elif instance.uid in self._book.pods and self._known_to_run(instance):
                self._fail("grace", f"{instance.id} dies with its sandbox, and is known to run")

    def _known_to_run(self, instance: Instance) -> bool:
        """Whether it was known to run when the end of its sandbox was ordered.

        A start that an earlier life had asked for may bring it up before that is carried out.
        """
        return instance.id in self._known_then.get(instance.sandbox_id, ())

    def _cause(self, instance: Instance) -> str:
        """Why a running container may be ended, as the contract names it; empty if nothing allows it."""
        wanted = self._book.pods.get(instance.uid)
        if wanted is None:
            return "unknown"
        since = self._decided.get((instance.uid, instance.name, instance.attempt), instance.made_at)
        since -= SECOND  # what is decided may not know yet what a source has just seen
        decided = self.graces.decided(instance)
        since = max(since, min(decided, self.graces.end_of(instance.uid, decided)) - RECENT)
        if wanted.gone_since != NEVER or wanted.unwanted_at >= since:
            return "unwanted"
        if wanted.unwanted_at != NEVER and self.restarts.amnesia_at >= since:
            return "forgotten"  # that it was wanted again is not written down, since the disk refused
        changed = wanted.changed(instance.name, since)
        if changed or instance.hash != wanted.hashes.get(instance.name):
            return "changed"
        sandbox = self._engine.sandboxes.get(instance.sandbox_id)
        if sandbox is None or not sandbox.shown.ready:
            return "sandbox"
        deadline = wanted.pod.spec.active_deadline_seconds
        over = deadline is not None and self._now() >= wanted.first_at + deadline * SECOND - LATE
        if over or (deadline is not None and self.jumped_at >= wanted.first_at):
            return "deadline"
        if self.probes.unhealthy(instance) is not None:
            return "unhealthy"
        if instance.hook_failed_at:
            return "hook"
        return "finished" if self._finished(wanted) else ""

    def _finished(self, wanted: Wanted) -> bool:
        """Whether nothing of the pod is ever to be started again."""
        for container in wanted.pod.spec.containers:
            made = [
                each
                for each in self._engine.instances()
                if (each.uid, each.name) == (wanted.uid, container.name)
            ]
            over = bool(made) and bool(made[-1].ended_at or made[-1].gone)
            if not over or self._comes_again(wanted, made[-1]):
                return any(each.exit_code for each in self._inits(wanted))
        return True

    def _comes_again(self, wanted: Wanted, last: Instance) -> bool:
        """Whether a container that has ended is started again; of a lost one, what is not sure is allowed."""
        if last.gone:
            return not wanted.may_end(last.name)
        return wanted.restarts(last.name, last.exit_code)

    def _inits(self, wanted: Wanted) -> list[Instance]:
        return [
            each for each in self._engine.instances() if each.uid == wanted.uid and wanted.once(each.name)
        ]
