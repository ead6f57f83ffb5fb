"""Wiring: the parts of a life that do not hang on where it lives, put together.

Belongs here: construction, and who is told of what. May not be here: settings, adapters, or what any part
does. The agent of a node and the one in a simulation are both made here, so that they cannot drift apart.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Mapping

import msgspec

from minikubelet.core.commands import AnyCommand, Decision
from minikubelet.core.events import AnyEvent, PodCleanedUp, PodObserved, SandboxStarted
from minikubelet.core.reducer import Reducer
from minikubelet.core.state import Generation
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.ports.clockport import Clock
from minikubelet.ports.journalport import Journal
from minikubelet.ports.outboxport import Outbox
from minikubelet.ports.runtimeport import Runtime
from minikubelet.shell.dispatcher import Dispatcher
from minikubelet.shell.effects import Effects, PodConfigs
from minikubelet.shell.hooks import Hooks
from minikubelet.shell.images import Images
from minikubelet.shell.inbox import Inbox
from minikubelet.shell.intake import Intake
from minikubelet.shell.leftovers import Leftovers
from minikubelet.shell.limiter import Limiter
from minikubelet.shell.loop import Loop, Seen
from minikubelet.shell.observer import Observer
from minikubelet.shell.probehandlers import ProbeHandlers
from minikubelet.shell.prober import Prober, Told
from minikubelet.shell.pullwaits import PullWaits
from minikubelet.shell.relook import Relook, learnt
from minikubelet.shell.timers import Timers
from minikubelet.shell.vault import Vault


class StateView:
    """What the observer has to know of the state; `seen` keeps the cost of a question that of one pod."""

    def __init__(self, reducer: Reducer) -> None:
        self._reducer = reducer
        self._slots = dict(self.on_runtime())

    def seq(self) -> int:
        """The seq of the last event taken in."""
        return self._reducer.seq

    def seen(self, event: AnyEvent) -> None:
        """Take note of where pods come onto the runtime and go for good."""
        match event:
            case PodObserved():
                self._note(event.pod.uid, event.slot)
            case SandboxStarted() | PodCleanedUp():
                self._note(event.uid, event.slot)
            case _:
                pass

    def _note(self, uid: PodUid, key: SlotKey) -> None:
        """A look may show what has been cleaned up since it began."""
        slot = self._reducer.slots.get(key)
        gen = slot.find(uid) if slot is not None else None
        if gen is not None and _on_runtime(gen):
            self._slots[uid] = key
        else:
            self._slots.pop(uid, None)

    def where(self, uid: PodUid) -> SlotKey | None:
        """The slot of a pod with a sandbox or a running container."""
        key = self._slots.get(uid)
        slot = self._reducer.slots.get(key) if key is not None else None
        gen = slot.find(uid) if slot is not None else None
        if gen is None:
            self._slots.pop(uid, None)
        return key if gen is not None and _on_runtime(gen) else None

    def learnt(self, slot: SlotKey, uid: PodUid) -> int | None:
        """The seq of the last thing that the state was told of a pod, looks left aside; None if unknown."""
        known = self._reducer.slots.get(slot)
        gen = known.find(uid) if known is not None else None
        return None if gen is None else learnt(gen)

    def on_runtime(self) -> Mapping[PodUid, SlotKey]:
        """The pods with a sandbox or a container that runs, or may run."""
        every = (gen for slot in self._reducer.slots.values() for gen in slot.generations)
        return {gen.uid: gen.slot for gen in every if _on_runtime(gen)}


def _on_runtime(gen: Generation) -> bool:
    return gen.sandbox is not None or any(
        record.running or record.unsure for record in gen.containers.values()
    )


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a life is given: its state, its adapters, and what makes requests of pods.

    `told` hears what a person should read of a container; `seen` of each event before any other part does;
    `issued` of each command before it is carried out.
    """

    reducer: Reducer
    journal: Journal
    runtime: Runtime
    outbox: Outbox
    vault: Vault
    clock: Clock
    configs: PodConfigs
    images: Images
    limiter: Limiter
    told: Told
    seen: Seen
    issued: Callable[[AnyCommand], None] | None = None
    jitter: Callable[[], float] = random.random


class Wired(msgspec.Struct, frozen=True, kw_only=True):
    """The parts; each with `run` goes on until cancelled, and `tasks` are the runs of all of them."""

    inbox: Inbox
    loop: Loop
    dispatcher: Dispatcher
    observer: Observer
    leftovers: Leftovers
    timers: Timers
    intake: Intake
    prober: Prober
    hooks: Hooks
    handlers: ProbeHandlers

    def tasks(self) -> list[Coroutine[object, object, None]]:
        """What has to run until cancelled."""
        runs = (self.loop, self.dispatcher, self.observer, self.leftovers, self.prober, self.hooks)
        return [part.run() for part in runs]


def wire(given: Given) -> Wired:
    """Put the parts together; nothing runs yet, and the inbox is empty."""
    reducer, runtime, vault, clock = given.reducer, given.runtime, given.vault, given.clock
    inbox = Inbox()
    view = StateView(reducer)
    observer = Observer(runtime, clock, view, inbox.put, vault.redact_words)
    timers = Timers(clock, inbox.put)
    handlers = ProbeHandlers(runtime)
    hooks = Hooks(runtime, vault, reducer, handlers.http, clock, told=given.told)
    prober = Prober(reducer, vault, handlers, clock, inbox.put, told=given.told, jitter=given.jitter)
    waits = PullWaits(reducer)
    dispatcher = Dispatcher(_effects(given, hooks, waits), timers, given.outbox, inbox.put)
    relook = Relook(reducer, observer.look)

    def seen(seq: int, event: AnyEvent, decisions: list[Decision]) -> None:
        given.seen(seq, event, decisions)
        view.seen(event)
        relook.seen(seq, event)
        prober.seen(event)
        hooks.seen()
        waits.seen()

    def dispatch(command: AnyCommand, decided: int) -> None:
        if given.issued is not None:
            given.issued(command)
        dispatcher.dispatch(command, decided)

    return Wired(
        inbox=inbox,
        loop=Loop(reducer, given.journal, inbox, clock, dispatch=dispatch, seen=seen),
        dispatcher=dispatcher,
        observer=observer,
        leftovers=Leftovers(reducer, vault, clock),
        timers=timers,
        intake=Intake(vault, inbox, given.outbox),
        prober=prober,
        hooks=hooks,
        handlers=handlers,
    )


def _effects(given: Given, hooks: Hooks, waits: PullWaits) -> Effects:
    return Effects(
        given.runtime,
        given.configs,
        given.images,
        vault=given.vault,
        paths=given.vault.paths,
        limiter=given.limiter,
        waits=waits,
        hooks=hooks,
    )
