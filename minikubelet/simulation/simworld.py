"""The world: what exists beside the agent, and how each action of a scenario changes it.

Belongs here: folder, API server, engine, disk, clocks, the agent's lives. May not be here: when something
happens (`simscenario`) and what is wrong about it (`simsafety`, `simliveness`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from minikubelet.core.commands import AnyCommand, Decision, WakeAt
from minikubelet.core.events import AnyEvent
from minikubelet.ports.sourceport import SourceFact
from minikubelet.simulation.simapi import SimApi
from minikubelet.simulation.simbounds import while_it_runs
from minikubelet.simulation.simcoherence import Coherence
from minikubelet.simulation.simcoverage import Coverage
from minikubelet.simulation.simdisk import LifeDisk, SimDisk
from minikubelet.simulation.simengine import Instance, WatchedEngine
from minikubelet.simulation.simfolder import SimFolder
from minikubelet.simulation.simjournal import state_of
from minikubelet.simulation.simlife import AgentLife
from minikubelet.simulation.simloop import (
    EPOCH,
    AgentClock,
    LifeEnded,
    VirtualLoop,
    WorldClock,
    end,
    inside,
    outside,
)
from minikubelet.simulation.simprobes import SimProbes
from minikubelet.simulation.simruntime import CalmingDraws, LifeRuntime
from minikubelet.simulation.simsafety import Safety
from minikubelet.simulation.simscenario import Action, Kind, Scenario
from minikubelet.simulation.simstore import SimStore
from minikubelet.simulation.simtruth import Truth
from minikubelet.simulation.simwanted import Book

_MOST_LEFT = 20_000
"""bytes that an agent may write before it dies in the middle of a write: groups of records, or a snapshot"""


class Violation(msgspec.Struct, frozen=True):
    """A broken promise: its name, when (µs since the beginning), and how."""

    promise: str
    at: int
    text: str


class World:
    """Everything of one run. `violations` are what the judges have found so far."""

    def __init__(self, scenario: Scenario, root: Path, loop: VirtualLoop) -> None:
        self.scenario = scenario
        self.root = root
        self.violations: list[Violation] = []
        self.coverage = Coverage()
        self.events = 0
        self.decisions = 0
        self.timers = 0
        self.lives = 0
        self.agent: AgentLife | None = None
        self.clock = WorldClock(loop)
        self.agent_clock = AgentClock(loop)
        self.engine = WatchedEngine(self.agent_clock, real=self.clock)
        self.book = Book(self.clock)
        self.safety = Safety(self.engine, self.book, self.fail)
        self.probe_judge = self.safety.probes
        self.safety.knows = self.safety.order.knows = self._known_to_run
        faults = scenario.runtime
        self.safety.restarts.exact = not (
            faults.faults or faults.hangs or faults.tail or faults.lost or faults.late
        )
        self.engine.judge = self.safety
        self.probes = SimProbes(scenario.seed, scenario.flaky)
        self.probes.asked = self.probe_judge.asked
        self.probes.answered = self.probe_judge.answered
        self.probes.failed = self._hook_failed
        self.folder = SimFolder()
        self.folder.looked = self.book.looked
        self.folder.linked = any(each.kind is Kind.FILE_SWAP for each in scenario.actions)
        self.disk = SimDisk(self.clock.now)
        self.disk.synced = self.safety.synced
        self.store = SimStore(self.disk)
        self.api = SimApi(scenario.seed, self.agent_clock.now)
        self.api.faults = scenario.api
        self.api.shown = self.book.shown
        self.coherence = Coherence(self.engine, self.book, self.fail)
        self.api.stored = Truth(self.engine, self.probe_judge, self.coherence, self.fail).stored
        self.draws = CalmingDraws(scenario.runtime)
        self.random = Random(f"{scenario.seed} world")  # noqa: S311 - no secret
        self._returns: asyncio.Task[None] | None = None
        self.shapes: dict[str, int] = {}
        self._pending: dict[asyncio.Task[None], None] = {}
        self._timers: list[asyncio.TimerHandle] = []

    def fail(self, promise: str, text: str) -> None:
        """Note a broken promise."""
        at = self.clock.now() - EPOCH
        self.violations.append(Violation(promise, at, text))

    # ── the agent's lives ──

    def begin_life(self) -> None:
        """Start the agent on what is there."""
        self.lives += 1
        seed, number = self.scenario.seed, self.lives
        runtime = LifeRuntime(
            self.engine,
            self.probes,
            self.draws,
            self.agent_clock,
            Random(f"{seed} runtime {number}"),  # noqa: S311 - no secret
        )
        agent = AgentLife(
            number,
            witness=self,
            disk=LifeDisk(self.disk),
            runtime=runtime,
            api=self.api if self.scenario.has_api else None,
            clock=self.agent_clock,
            root=self.root,
            seed=seed,
            began=self.clock.now(),
            journal_bytes=self.scenario.journal_bytes,
        )
        slow = Random(f"{seed} disk {number}")  # noqa: S311 - no secret
        agent.life.delay = lambda: self.scenario.slow_disk * slow.random()
        self.safety.begun(agent)
        self.probe_judge.begun(number, self.safety.durable)
        self.agent = agent
        agent.task = inside(agent.life, agent.run())
        agent.task.add_done_callback(lambda task: self._ended(agent, task))

    def _ended(self, agent: AgentLife, task: asyncio.Task[None]) -> None:
        if agent.life.over or task.cancelled():
            return
        failure = task.exception()
        if failure is not None and not agent.disk.over:
            self.fail("no-crash", f"the agent ended by itself: {_words(failure)}")

    async def _bury(self, agent: AgentLife, *, down: float, power: bool) -> None:
        """End a life that is over already, in all of its parts."""
        if self.agent is agent:
            await self.kill(down=down, power=power)

    async def kill(self, *, down: float, power: bool = False) -> None:
        """End the life at once, as SIGKILL or a loss of power does; the agent is started again later."""
        agent, self.agent = self.agent, None
        if agent is None:
            return
        agent.disk.over = True
        agent.runtime.over = True
        agent.runtime.abandon()
        if agent.journal.health.degraded:
            self.safety.restarts.amnesia_at = self.coherence.forgotten_at = self.clock.now()
        await end(agent.life)
        if agent.task is not None:
            with contextlib.suppress(BaseException):
                agent.task.exception()
        if power:
            self.disk.tear(self.random)
            self.store.tear(self.random)
            # A pod whose definition is lost starts nothing until its source tells of it again.
            self.safety.restarts.exact = False
            self.engine.lose_power()
        else:
            self.disk.forget()
            self.store.cut(self.random)
        self._returns = outside(self._return(down))

    async def stop(self, *, down: float) -> None:
        """End the life in order, as SIGTERM does."""
        agent = self.agent
        if agent is None or agent.task is None:
            return
        agent.life.over = True
        agent.task.cancel()
        await asyncio.wait([agent.task])
        agent.wired.timers.cancel_all()
        seq, body = agent.reducer.seq, agent.reducer.snapshot()
        closing = inside(agent.life, agent.journal.close())
        await asyncio.wait([closing])
        degraded, killed = agent.journal.health.degraded, agent.disk.over
        await self.kill(down=down)
        if not degraded and not killed and closing.exception() is None:
            self._same_state(seq, body)

    def _same_state(self, seq: int, body: Any) -> None:
        """What a stopped agent wrote leads to the very state that it had."""
        found = state_of(self.disk)
        if found.seq != seq or msgspec.json.encode(found) != msgspec.json.encode(body):
            self.fail("replay", f"the journal leads to another state than the agent had at record {seq}")

    async def _return(self, down: float) -> None:
        await asyncio.sleep(down)
        if self.agent is None:
            self.begin_life()

    def _hook_failed(self, container_id: str) -> None:
        instance = self.engine.latest(container_id)
        if instance is not None:
            instance.hook_failed_at = instance.hook_failed_at or self.clock.now()

    def _known_to_run(self, instance: Instance) -> bool:
        """Whether the agent that lives knows that a container runs."""
        slots = self.agent.reducer.slots.values() if self.agent is not None else ()
        generations = [gen for slot in slots for gen in slot.generations if gen.uid == instance.uid]
        records = [gen.containers.get(instance.name) for gen in generations]
        return any(each is not None and each.running and each.id == instance.id for each in records)

    # ── witness ──

    def took(self, agent: AgentLife, seq: int, event: AnyEvent, decisions: list[Decision]) -> None:
        """Count, and let the judges see."""
        self.events += 1
        self.decisions += len(decisions)
        self.timers += sum(isinstance(each.command, WakeAt) for each in decisions)
        self.coverage.took(agent.reducer.slots, event)
        self.safety.took(agent, seq, event, decisions)
        self.probe_judge.took(seq, event)
        while_it_runs(self.disk, agent, self.fail)

    def dispatched(self, agent: AgentLife, command: AnyCommand) -> None:
        """Let the judges see."""
        self.safety.dispatched(agent, command)

    def told(self, agent: AgentLife, fact: SourceFact) -> None:
        """Let the judges see."""
        self.safety.told(agent, fact)

    # ── for the actions ──

    def _later(self, coro: Coroutine[Any, Any, None]) -> None:
        task = outside(coro)
        self._pending[task] = None
        task.add_done_callback(lambda done: self._pending.pop(done, None))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something so much later, unless the faults have ended by then."""
        self._timers.append(asyncio.get_running_loop().call_later(seconds, act))

    async def act_on_agent(self, action: Action) -> None:
        """Stop or kill the agent, at once or in the middle of its next write."""
        down, power = action.number / 1000, action.kind is Kind.POWER_LOSS
        if action.kind is Kind.AGENT_STOP:
            await self.stop(down=down)
        elif self.agent is not None and action.detail % 3 == 0:
            agent = self.agent
            agent.disk.bytes_left = action.detail % _MOST_LEFT
            agent.disk.died = lambda: self._later(self._bury(agent, down=down, power=power))
            self.after(1.5, lambda: self._kill_if(agent, down=down, power=power))
        else:
            await self.kill(down=down, power=power)

    def _kill_if(self, agent: AgentLife, *, down: float, power: bool) -> None:
        if self.agent is agent:
            self._later(self.kill(down=down, power=power))

    def end_faults(self) -> None:
        """Nothing that was begun goes on."""
        for timer in self._timers:
            timer.cancel()
        if self.agent is not None:
            self.agent.disk.bytes_left = None

    async def quiesce(self) -> None:
        """Let go of everything at the end of a run."""
        for task in [*self._pending, *([self._returns] if self._returns else [])]:
            task.cancel()
        agent, self.agent = self.agent, None
        if agent is not None:
            agent.runtime.over = agent.disk.over = True
            agent.runtime.abandon()
            await end(agent.life)
            if agent.task is not None and not agent.task.cancelled():
                agent.task.exception()


def _words(failure: BaseException) -> str:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    if isinstance(failure, LifeEnded):
        return "a part of it heard that the life is over"
    where = failure.__traceback__
    line = ""
    while where is not None:
        line = f"{where.tb_frame.f_code.co_filename.rpartition('/')[2]}:{where.tb_lineno}"
        where = where.tb_next
    return f"{type(failure).__name__}: {failure} ({line})"
