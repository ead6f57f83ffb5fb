"""The node is measured, and told of while it is short of something and until it no longer shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from minikubelet.core.events import AnyEvent, NodeMeasured
from minikubelet.core.nodefacts import NodeFacts
from minikubelet.core.reducer import Reducer
from minikubelet.core.signals import EvictionRules, Observation, Signal, Threshold
from minikubelet.core.state import ContainerRecord, Generation, Life, Slot
from minikubelet.model.ids import PodUid, Source, slot_key
from minikubelet.model.pod import Pod
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.pressurewatch import AGAIN, PressureWatch
from tests.running import run
from tests.shell.shell_world import FakeRuntime

KEY = slot_key("default", "web")
RULES = EvictionRules(
    (
        Threshold(signal=Signal.MEMORY_AVAILABLE, amount=10),
        Threshold(signal=Signal.NODEFS_AVAILABLE, amount=10),
    ),
    transition=300,
)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.at = 1

    def now(self) -> int:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


class Watched:
    """A watch over a node whose memory and disk tests set."""

    def __init__(self, directory: Path, rules: EvictionRules = RULES) -> None:
        self.reducer = Reducer()
        self.reducer.node = NodeFacts(listed=True, eviction=rules)
        self.clock = Clock()
        self.memory, self.disk, self.reclaimed = 99, 99, 0
        self.told: list[AnyEvent] = []
        self.runtime = FakeRuntime()
        self.watch = PressureWatch(
            self.reducer, PodPaths(directory / "s", directory / "l"), self.runtime, self.told.append,
            clock=self.clock, observe=self.observe, split=lambda: False, reclaim=self.reclaim,
        )  # fmt: skip

    def observe(self) -> tuple[Observation, ...]:
        return (
            Observation(Signal.MEMORY_AVAILABLE, self.memory, 100),
            Observation(Signal.NODEFS_AVAILABLE, self.disk, 100),
        )

    async def reclaim(self) -> None:
        self.reclaimed += 1
        self.disk += 5

    def look(self) -> int:
        """How many events one look gives; the state takes them in."""
        before = len(self.told)
        run(self.watch.once())
        for event in self.told[before:]:
            self.reducer.decide(1, self.clock.at, event)
        return len(self.told) - before


def test_a_node_with_enough_of_everything_is_never_told_of(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    assert [world.look() for _ in range(3)] == [0, 0, 0]
    assert Watched(tmp_path, EvictionRules()).look() == 0


def test_a_shortage_is_told_once_then_now_and_again_and_when_it_is_over(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    world.memory = 5
    assert [world.look(), world.look()] == [1, 0]
    world.clock.at += AGAIN
    assert [world.look(), world.look()] == [1, 0]
    world.memory = 50
    assert [world.look(), world.look()] == [1, 0]
    world.clock.at += RULES.transition
    assert world.look() == 1
    assert world.reducer.node.pressure.conditions == ()
    assert world.look() == 0


@pytest.mark.parametrize(("disk", "told"), [(7, 0), (3, 1)])
def test_what_nobody_uses_of_the_disk_goes_before_anything_is_told(
    tmp_path: Path, disk: int, told: int
) -> None:
    world = Watched(tmp_path)
    world.disk = disk
    assert (world.look(), world.reclaimed) == (told, 1)


def test_pods_that_may_end_are_told_with_what_they_use_at_each_look(tmp_path: Path) -> None:
    world = Watched(tmp_path)
    record = ContainerRecord("main", life=Life.RUNNING, id="c1")
    gen = Generation(uid=PodUid("u"), slot=KEY, source=Source.API, pod=Pod(), containers={"main": record})
    static = replace(gen, uid=PodUid("s"), source=Source.FILE)
    world.reducer.slots[KEY] = Slot(KEY, (static, gen))
    world.memory = 5
    run(world.watch.once())
    run(world.watch.once())
    first, second = world.told
    assert isinstance(first, NodeMeasured)
    assert first == second
    assert [use.uid for use in first.pods] == ["u"]
    assert [use.name for use in first.pods[0].containers] == ["main"]


@pytest.mark.parametrize(
    ("short", "expected"),
    [(("memory",), (7, 0)), (("disk",), (0, 4)), (("memory", "disk"), (7, 4))],
)
def test_only_what_the_node_is_short_of_is_measured_of_pods(
    tmp_path: Path, short: tuple[str, ...], expected: tuple[int, int]
) -> None:
    world = Watched(tmp_path)
    record = ContainerRecord("main", life=Life.RUNNING, id="c1")
    gen = Generation(uid=PodUid("u"), slot=KEY, source=Source.API, pod=Pod(), containers={"main": record})
    world.reducer.slots[KEY] = Slot(KEY, (gen,))
    world.runtime.stats["c1"], world.runtime.written["c1"] = {"memory_bytes": 7}, 4
    for what in short:
        setattr(world, what, -9)
    run(world.watch.once())
    (event,) = world.told
    assert isinstance(event, NodeMeasured)
    assert [(use.memory, use.root) for use in event.pods] == [expected]
