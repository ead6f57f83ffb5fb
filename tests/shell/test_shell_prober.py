"""The prober on a clock of its own: delays, periods, thresholds, what gates what, and what hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from minikubelet.core.commands import StopContainer
from minikubelet.core.events import PodWithdrawn
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.pod import EnvVar, ProbeKind
from minikubelet.shell.probehandlers import Answer, Outcome
from tests.core.core_world import SECOND, container, static_pod
from tests.running import run
from tests.shell.prober_world import ProbeWorld, probe, probed, probing

STARTUP, READINESS, LIVENESS = ProbeKind.STARTUP, ProbeKind.READINESS, ProbeKind.LIVENESS
FAILED, PASSED = Answer(Outcome.FAILED, "no"), Answer(Outcome.PASSED)


def in_world(directory: Path, main: Callable[[ProbeWorld], Awaitable[None]]) -> ProbeWorld:
    async def whole() -> ProbeWorld:
        async with probing(directory) as world:
            await main(world)
        return world

    return run(whole())


def test_a_probe_is_asked_every_period_after_its_delay(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        await world.bring_up(probed(readiness={"initial_delay_seconds": 4, "period_seconds": 3}))
        await world.pass_time(11)

    world = in_world(tmp_path, main)
    assert world.times(READINESS) == [4, 7, 10]
    assert world.told_results() == [(READINESS, True)]


def test_the_delay_holds_as_well_where_the_definition_is_known_only_later(tmp_path: Path) -> None:
    """Found by simulation: a full disk had refused it to the life of the agent before."""

    async def main(world: ProbeWorld) -> None:
        pod = static_pod(probed(readiness={"initial_delay_seconds": 4, "period_seconds": 3}))
        world.offer(pod)
        world.run_until_idle()
        await world.pass_time(2)
        await world.vault.store(pod)
        await world.pass_time(6)

    assert in_world(tmp_path, main).times(READINESS) == [4, 7]


def test_readiness_changes_only_after_so_many_answers_in_a_row(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        await world.bring_up(probed(readiness={"failure_threshold": 3, "success_threshold": 2}))
        shown = []
        for answer in (PASSED, PASSED, FAILED, FAILED, PASSED, FAILED, FAILED, FAILED, PASSED, PASSED):
            world.answers[READINESS] = answer
            await world.pass_time(1)
            shown.append(world.shown().ready)
        assert shown == [True, True, True, True, True, True, True, False, False, True]

    world = in_world(tmp_path, main)
    assert world.told_results() == [(READINESS, True), (READINESS, False), (READINESS, True)]


def test_the_first_failure_of_a_readiness_that_never_was_is_told_once(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        world.answers[READINESS] = FAILED
        await world.bring_up(probed(readiness={"failure_threshold": 2}))
        await world.pass_time(6)
        world.answers[READINESS] = PASSED
        await world.pass_time(2)

    world = in_world(tmp_path, main)
    assert world.told_results() == [(READINESS, False), (READINESS, True)]


def test_liveness_that_fails_often_enough_restarts_the_container_and_is_asked_anew(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        await world.bring_up(probed(liveness={"failure_threshold": 2}))
        await world.pass_time(3)
        world.answers[LIVENESS] = FAILED
        await world.pass_time(1)
        assert world.stopped() == []
        await world.pass_time(1)
        world.answers[LIVENESS] = PASSED
        await world.pass_time(2)
        assert world.shown().restart_count == 1
        assert world.shown().state.running

    world = in_world(tmp_path, main)
    assert world.told_results() == [(LIVENESS, False)]
    assert len(world.all(StopContainer)) == 1
    assert world.results[0].message == "no"
    assert len(world.times(LIVENESS)) >= 6


def test_liveness_and_readiness_wait_for_the_startup_probe(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        world.answers[STARTUP] = FAILED
        await world.bring_up(probed(startup={"failure_threshold": 30}, readiness={}, liveness={}))
        await world.pass_time(5)
        assert (world.times(READINESS), world.times(LIVENESS)) == ([], [])
        world.answers[STARTUP] = PASSED
        await world.pass_time(1)
        asked = len(world.times(STARTUP))
        assert world.shown().ready
        await world.pass_time(5)
        assert len(world.times(STARTUP)) == asked

    world = in_world(tmp_path, main)
    assert world.told_results() == [(STARTUP, True), (READINESS, True)]
    assert world.times(LIVENESS)


def test_a_startup_probe_that_fails_for_good_restarts_the_container(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        world.answers[STARTUP] = FAILED
        await world.bring_up(probed(startup={"failure_threshold": 3}))
        await world.pass_time(2)
        assert world.shown().restart_count == 1

    assert in_world(tmp_path, main).told_results()[0] == (STARTUP, False)


def test_a_probe_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        world.answers[LIVENESS] = None
        await world.bring_up(probed(readiness={}, liveness={}), probed("log", readiness={}))
        await world.pass_time(3)
        assert (world.shown().ready, world.shown("log").ready) == (True, True)

    world = in_world(tmp_path, main)
    assert world.times(LIVENESS) == [0]
    assert len(world.times(READINESS)) == 8


def test_an_answer_that_says_nothing_is_not_counted_but_told(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        await world.bring_up(probed(liveness={"failure_threshold": 2}))
        for answer in (FAILED, Answer(Outcome.UNKNOWN, "no engine"), Answer(Outcome.WARNED, "elsewhere")):
            world.answers[LIVENESS] = answer
            await world.pass_time(1)
        world.answers[LIVENESS] = FAILED
        await world.pass_time(1)

    world = in_world(tmp_path, main)
    assert world.results == []
    assert list(dict.fromkeys(world.told)) == [
        ("Unhealthy", "Liveness probe failed: no"),
        ("Unhealthy", "Liveness probe errored: no engine"),
        ("ProbeWarning", "Liveness probe warning: elsewhere"),
    ]


def test_nothing_is_asked_of_a_container_that_has_ended(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        await world.bring_up(probed(readiness={}, liveness={}), restart_policy="Never")
        await world.pass_time(1)
        world.exit("web", 0)
        world.run_until_idle()
        asked = len(world.asked)
        await world.pass_time(5)
        assert len(world.asked) == asked
        assert world.clock.next() is None

    in_world(tmp_path, main)


def test_readiness_alone_is_asked_while_a_pod_ends(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        pod = await world.bring_up(probed(readiness={}, liveness={}))
        await world.pass_time(1)
        world.withdraw(pod)
        before = len(world.times(LIVENESS))
        world.answers[READINESS] = FAILED
        await world.settle()
        for _ in range(2):
            world.now = world.clock.at = world.clock.at + SECOND
            world.clock.wake()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert len(world.times(LIVENESS)) == before
        assert [e.passed for e in world.waiting if hasattr(e, "passed")] == [False]
        world.run_until_idle()
        await world.settle()
        assert world.clock.next() is None

    in_world(tmp_path, main)


def test_a_restarted_agent_asks_neither_startup_again_nor_all_at_once(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        await world.bring_up(probed(startup={}, readiness={"period_seconds": 8}))
        await world.pass_time(100)
        assert world.shown().ready
        told, asked = len(world.results), len(world.asked)
        world.jitter = 0.5
        second = asyncio.create_task(world.renew_prober().run())
        await asyncio.sleep(0)
        world.restart_agent()
        world.run_until_idle()
        await world.pass_time(5)
        second.cancel()
        await asyncio.wait([second])
        again = world.asked[asked:]
        assert (104, "web", READINESS) in again
        assert STARTUP not in [kind for _, _, kind in again]
        assert len(world.results) == told
        assert world.shown().ready

    in_world(tmp_path, main)


def test_messages_hold_no_secrets_and_have_an_end(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        world.answers[LIVENESS] = Answer(Outcome.FAILED, "hunter22 " + "x" * 5000)
        made = container(liveness_probe=probe(LIVENESS), env=(EnvVar(name="P", value="hunter22"),))
        await world.bring_up(made)
        await world.settle()

    world = in_world(tmp_path, main)
    said = [world.results[0].message, world.told[0][1]]
    assert not [text for text in said if "hunter22" in text]
    assert len(said[0]) == 1024


def test_a_pod_whose_definition_is_not_known_is_asked_once_it_is(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        pod = await world.bring_up(probed(readiness={}))
        world.vault.forget(PodUid(pod.metadata.uid), world.vault.serial(PodUid(pod.metadata.uid)))
        await world.pass_time(1)
        asked = len(world.asked)
        await world.pass_time(3)
        assert len(world.asked) == asked
        await world.vault.store(pod)
        await world.pass_time(2)
        assert len(world.asked) > asked

    in_world(tmp_path, main)


@pytest.mark.parametrize("sets", [-3600, 3600])
def test_a_clock_that_is_set_stops_no_probe(tmp_path: Path, sets: int) -> None:
    """The wait before the next question is never longer than the period."""

    async def main(world: ProbeWorld) -> None:
        await world.bring_up(probed(readiness={}))
        await world.pass_time(1)
        asked = len(world.asked)
        world.now = world.clock.at = world.clock.at + sets * SECOND
        shift = sets * SECOND
        world.clock.sleepers = [(at + shift, number, woken) for at, number, woken in world.clock.sleepers]
        await world.pass_time(3)
        assert len(world.asked) >= asked + 2

    in_world(tmp_path, main)


def test_a_pod_that_goes_takes_its_tasks_along(tmp_path: Path) -> None:
    async def main(world: ProbeWorld) -> None:
        pod = await world.bring_up(probed(readiness={}))
        await world.pass_time(1)
        key = next(iter(world.reducer.slots))
        world.feed(PodWithdrawn(source=Source.FILE, slot=key, uid=PodUid(pod.metadata.uid)))
        world.run_until_idle()
        assert key not in world.reducer.slots
        assert world.prober is not None
        assert world.prober._tasks == {}

    in_world(tmp_path, main)
