"""The observer: what it tells, when it looks, and that it outlives its engine."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from minikubelet.core.events import AnyEvent, PodObserved, RuntimeListed
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.observed import ObservedPod
from minikubelet.ports.runtimeport import RuntimeEvent, RuntimeFault
from minikubelet.shell.observer import RELIST_EVERY, RETRY_FIRST, Observer
from tests.running import eventually, run
from tests.shell.shell_world import SLOT, UID, FakeRuntime, Gate, exited, running, shown


class HandClock:
    """Sleeps end when a test lets them; a short sleep, a wait before a retry, ends at once."""

    def __init__(self) -> None:
        self.ticks: asyncio.Queue[None] = asyncio.Queue()
        self.slept: list[float] = []

    def now(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        if seconds == RELIST_EVERY:
            await self.ticks.get()
        else:
            self.slept.append(seconds)
            await asyncio.sleep(0)


class World:
    """An observer over a fake runtime; what is known of the state is set by hand."""

    def __init__(self) -> None:
        self.runtime = FakeRuntime()
        self.clock = HandClock()
        self.told: list[AnyEvent] = []
        self.known: dict[PodUid, SlotKey] = {}
        self.last_seq = 7
        self.learnt_at: int | None = 0
        self.observer = Observer(self.runtime, self.clock, self, self.told.append, self.redact)

    def seq(self) -> int:
        return self.last_seq

    def learnt(self, slot: SlotKey, uid: PodUid) -> int | None:
        return self.learnt_at

    def on_runtime(self) -> Mapping[PodUid, SlotKey]:
        return self.known

    def where(self, uid: PodUid) -> SlotKey | None:
        return self.known.get(uid)

    def redact(self, uid: PodUid, text: str) -> str:
        return text.replace("canary-4711", f"[{uid}]")

    def observed(self) -> list[ObservedPod]:
        return [event.pod for event in self.told if isinstance(event, PodObserved)]

    def looks(self, what: str) -> int:
        return sum(call == what for call in self.runtime.calls)


def observing(scenario: Callable[[World], Awaitable[None]]) -> World:
    """Run a scenario beside its observer, after the first full look."""

    async def main() -> World:
        world = World()
        task = asyncio.create_task(world.observer.run())
        try:
            await scenario(world)
        finally:
            task.cancel()
            await asyncio.wait([task])
        return world

    return run(main())


async def first_look(world: World) -> None:
    await eventually(lambda: any(isinstance(e, RuntimeListed) for e in world.told), "the first full look")


def test_the_first_look_tells_every_pod_before_it_says_that_all_was_listed() -> None:
    async def scenario(world: World) -> None:
        world.runtime.shown[UID] = shown(running("c1"))
        await first_look(world)

    told = observing(scenario).told
    assert told == [PodObserved(slot=SLOT, pod=shown(running("c1")), after=7), RuntimeListed(pods=1)]


def test_a_pod_that_went_while_the_agent_was_away_is_told_as_empty() -> None:
    async def scenario(world: World) -> None:
        world.known[UID] = SLOT
        await first_look(world)

    assert observing(scenario).observed() == [ObservedPod(UID, "kube-system", "web")]


def test_a_hint_leads_to_a_look_at_that_pod_alone() -> None:
    async def scenario(world: World) -> None:
        world.runtime.shown[UID] = shown(running("c1"))
        await first_look(world)
        world.runtime.shown[UID] = shown(exited("c1", 1))
        world.last_seq = 9
        world.runtime.hints.put_nowait(RuntimeEvent(UID))
        await eventually(lambda: len(world.observed()) == 2, "the exit")

    world = observing(scenario)
    assert world.told[-1] == PodObserved(slot=SLOT, pod=shown(exited("c1", 1)), after=9)
    assert world.looks("list_pods") == 1


def test_what_has_been_told_is_not_told_again_unless_asked_for() -> None:
    async def scenario(world: World) -> None:
        world.runtime.shown[UID] = shown(running("c1"))
        await first_look(world)
        for _ in range(3):
            world.runtime.hints.put_nowait(RuntimeEvent(UID))
        await eventually(lambda: world.looks(f"list_pods {UID}"), "a look")
        assert len(world.observed()) == 1
        world.observer.look(SLOT, UID)
        await eventually(lambda: len(world.observed()) == 2, "the same once more")

    observing(scenario)


def test_a_pod_that_looks_as_before_is_told_again_when_something_happened_to_it_since() -> None:
    """A container that was started after the last look and has been removed since leaves no other trace."""

    async def scenario(world: World) -> None:
        world.runtime.shown[UID] = shown()
        await first_look(world)
        world.last_seq = world.learnt_at = 9
        world.clock.ticks.put_nowait(None)
        await eventually(lambda: len(world.observed()) == 2, "the same once more")
        world.clock.ticks.put_nowait(None)
        await eventually(lambda: world.looks("list_pods") == 3, "one more look")

    world = observing(scenario)
    assert [event.after for event in world.told if isinstance(event, PodObserved)] == [7, 9]


def test_a_pod_that_is_forgotten_and_shown_again_is_told_again() -> None:
    async def scenario(world: World) -> None:
        world.runtime.shown[UID] = shown(running("c1"))
        await first_look(world)
        world.learnt_at = None
        world.clock.ticks.put_nowait(None)
        await eventually(lambda: len(world.observed()) == 2, "the same once more")

    observing(scenario)


def test_a_pod_without_anything_left_is_told_as_empty_when_asked_for() -> None:
    async def scenario(world: World) -> None:
        await first_look(world)
        world.observer.look(SLOT, UID)
        await eventually(world.observed, "the empty pod")

    assert observing(scenario).observed() == [ObservedPod(UID, "kube-system", "web")]


def test_a_look_that_was_asked_for_is_answered_by_a_full_one() -> None:
    async def scenario(world: World) -> None:
        world.observer.look(SLOT, UID)
        await eventually(world.observed, "the empty pod")
        assert world.looks(f"list_pods {UID}") == 0

    assert observing(scenario).observed() == [ObservedPod(UID, "kube-system", "web")]


def test_a_look_asked_for_while_another_is_under_way_is_one_more() -> None:
    async def scenario(world: World) -> None:
        world.runtime.shown[UID] = shown(running("c1"))
        gate = world.runtime.gates["list_pods"] = Gate()
        await gate.reached.wait()
        world.last_seq = 9
        world.observer.look(SLOT, UID)
        gate.opened.set()
        await eventually(lambda: len(world.observed()) == 2, "what came since")

    told = observing(scenario).told
    assert [event.after for event in told if isinstance(event, PodObserved)] == [7, 9]


def test_a_look_that_fails_is_still_owed() -> None:
    async def scenario(world: World) -> None:
        world.runtime.faults["list_pods"] = RuntimeFault("Unavailable", "no", unreachable=True)
        world.observer.look(SLOT, UID)
        await eventually(lambda: world.runtime.connects > 2, "some tries")
        world.runtime.faults.clear()
        await eventually(world.observed, "the empty pod")

    assert observing(scenario).observed() == [ObservedPod(UID, "kube-system", "web")]


def test_a_relist_heals_what_hints_missed() -> None:
    async def scenario(world: World) -> None:
        world.runtime.shown[UID] = shown(running("c1"))
        await first_look(world)
        world.known[UID] = SLOT
        del world.runtime.shown[UID]
        world.clock.ticks.put_nowait(None)
        await eventually(lambda: len(world.observed()) == 2, "the loss")

    assert observing(scenario).observed()[-1] == ObservedPod(UID, "kube-system", "web")


def test_an_engine_that_goes_away_is_waited_for_and_listed_again() -> None:
    async def scenario(world: World) -> None:
        await first_look(world)
        gone = RuntimeFault("Unavailable", "connection refused", unreachable=True)
        world.runtime.faults["list_pods"] = gone
        world.runtime.hints.put_nowait(gone)
        await eventually(lambda: world.runtime.connects > 2, "some tries")
        assert world.observer.fault == "connection refused"
        world.runtime.shown[UID] = shown(running("c1"))
        del world.runtime.faults["list_pods"]
        await eventually(world.observed, "the pod")
        assert world.observer.fault == ""

    world = observing(scenario)
    assert sum(isinstance(event, RuntimeListed) for event in world.told) == 1


def test_an_engine_that_comes_late_is_checked_before_it_is_looked_at() -> None:
    """What was not found at the start, since nobody answered, would have pods start on empty directories."""

    async def scenario(world: World) -> None:
        found = [RuntimeFault("NotShared", "the engine has another /var/lib"), None]

        async def usable() -> None:
            if (fault := found[0]) is not None:
                raise fault

        world.observer.hold_until(usable)
        await eventually(lambda: world.runtime.connects > 2, "some tries")
        assert world.observer.fault == "the engine has another /var/lib"
        assert world.looks("list_pods") == 0
        found.pop(0)
        await first_look(world)
        assert world.observer.fault == ""

    observing(scenario)


def test_an_engine_that_cannot_be_reached_again_is_tried_again() -> None:
    async def scenario(world: World) -> None:
        gone = RuntimeFault("Unavailable", "no socket", unreachable=True)
        world.runtime.faults = {"list_pods": gone, "connect": gone}
        await eventually(lambda: world.runtime.connects > 2, "some tries")
        assert not any(isinstance(event, RuntimeListed) for event in world.told)
        world.runtime.faults = {}
        await first_look(world)

    observing(scenario)


def test_the_message_of_a_container_is_told_without_secrets() -> None:
    """A termination message goes into the journal and to the API server."""

    async def scenario(world: World) -> None:
        world.runtime.shown[UID] = shown(exited("c1", 1, message="login with canary-4711 failed"))
        await first_look(world)

    observed = observing(scenario).observed()
    assert observed == [shown(exited("c1", 1, message="login with [uid-1] failed"))]


def test_a_driver_whose_disk_refuses_is_waited_for_like_an_engine() -> None:
    async def scenario(world: World) -> None:
        world.runtime.broken = OSError(28, "No space left on device")
        await eventually(lambda: world.runtime.connects > 2, "some tries")
        assert "No space left" in world.observer.fault
        world.runtime.broken = None
        await first_look(world)

    observing(scenario)


def test_the_wait_for_an_engine_is_short_again_once_it_has_answered() -> None:
    async def scenario(world: World) -> None:
        await first_look(world)
        gone = RuntimeFault("Unavailable", "connection refused", unreachable=True)
        world.runtime.faults["list_pods"] = gone
        world.runtime.hints.put_nowait(gone)
        await eventually(lambda: len(world.clock.slept) > 3, "longer waits")
        del world.runtime.faults["list_pods"]
        await eventually(lambda: world.observer.fault == "", "an answer")
        world.clock.slept.clear()
        world.runtime.hints.put_nowait(gone)
        await eventually(lambda: world.clock.slept, "another wait")
        assert world.clock.slept[0] == RETRY_FIRST

    observing(scenario)


def test_a_pod_that_has_gone_is_not_remembered() -> None:
    """What was told of pods long gone would add up over the months."""

    async def scenario(world: World) -> None:
        world.runtime.shown[UID] = shown(running("c1"))
        await first_look(world)
        world.runtime.shown.clear()
        world.runtime.hints.put_nowait(RuntimeEvent(UID))
        await eventually(lambda: world.looks(f"list_pods {UID}"), "a look")
        world.runtime.shown[UID] = shown(running("c1"))
        world.runtime.hints.put_nowait(RuntimeEvent(UID))
        await eventually(lambda: len(world.observed()) == 2, "the same pod as a new one")

    observing(scenario)


def test_an_engine_is_connected_before_it_is_looked_at() -> None:
    """A start gives up on one that hangs, and what connecting sets up would be missing."""
    assert observing(first_look).runtime.calls[0] == "connect"
