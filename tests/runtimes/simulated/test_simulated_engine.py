"""What is special about the simulation: it is the same every time, and as unkind as it is told to be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase, ObservedContainer
from minikubelet.ports.runtimeport import ContainerConfig, Resources, RuntimeFault, SandboxConfig
from minikubelet.runtimes.simulated.simulatedengine import SimulatedEngine
from minikubelet.runtimes.simulated.simulatedoptions import Draws, SimulationOptions, parse_endpoint
from minikubelet.runtimes.simulated.simulatedruntime import SimulatedRuntime
from minikubelet.runtimes.simulated.simulatedscript import Script, read_script
from tests.running import run
from tests.runtimes.simulated.simulated_world import VirtualClock, turns

UID = PodUid("u")
SANDBOX = SandboxConfig(
    uid=UID, namespace="n", name="p", attempt=0, hostname="p", log_directory=Path("/nowhere")
)


def container(*command: str, name: str = "main") -> ContainerConfig:
    return ContainerConfig(
        uid=UID,
        namespace="n",
        pod_name="p",
        name=name,
        attempt=0,
        image="app:1",
        hash="h",
        command=command,
        log_path=Path("/nowhere/0.log"),
        resources=Resources(),
    )


@asynccontextmanager
async def simulated(clock: VirtualClock, options: SimulationOptions) -> AsyncIterator[SimulatedRuntime]:
    runtime = SimulatedRuntime(options, clock, engine=SimulatedEngine(clock, images={"app:1": 1}))
    runtime.engine.listeners.append(runtime._wake)
    yield runtime
    await runtime.aclose()


async def begun(runtime: SimulatedRuntime, *command: str) -> str:
    sandbox_id = await runtime.run_pod_sandbox(SANDBOX)
    container_id = await runtime.create_container(sandbox_id, container(*command))
    await runtime.start_container(container_id)
    return container_id


async def shown(runtime: SimulatedRuntime, container_id: str) -> ObservedContainer:
    found = await runtime.container_status(container_id)
    assert found is not None
    return found


def test_an_endpoint_says_how_unkind_the_engine_is() -> None:
    found = parse_endpoint("simulated://?seed=7&latency=20ms&tail=0.1&faults=0.05&hang=2m&lost=1")
    assert found == SimulationOptions(seed=7, latency=0.02, tail=0.1, faults=0.05, hang=120.0, lost=1.0)
    assert parse_endpoint("simulated://") == SimulationOptions()


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("simulated://?sed=1", "there is no option 'sed'; there are seed"),
        ("simulated://?seed=x", "seed is 'x', but has to be a whole number"),
        ("simulated://?latency=soon", "latency is 'soon', but has to be 20ms or 1.5s"),
        ("simulated://?faults=2", "faults is '2', but has to be from 0 to 1"),
        ("simulated://host", "not of the form"),
        ("docker://", "not of the form"),
    ],
)
def test_a_wrong_endpoint_is_explained(endpoint: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_endpoint(endpoint)


@pytest.mark.parametrize(
    ("command", "script"),
    [
        (("sh", "-c", "exit 3"), Script()),
        (("exit", "3"), Script(seconds=0.0, code=3)),
        (("sleep", "2.5", "exit", "3"), Script(seconds=2.5, code=3)),
        (("sleep", "5", "oom"), Script(seconds=5.0, code=137, reason="OOMKilled")),
        (("ignore-term", "sleep", "9"), Script(seconds=9.0, term=None)),
        (("term", "4"), Script(term=4.0)),
        (("sleep", "infinity"), Script()),
    ],
)
def test_a_command_says_what_the_container_does(command: tuple[str, ...], script: Script) -> None:
    assert read_script(command) == script


def test_containers_end_by_themselves_when_their_time_has_come() -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with simulated(clock, SimulationOptions()) as runtime:
            container_id = await begun(runtime, "sleep", "30", "oom")
            seen: list[str] = []
            events = asyncio.create_task(_collect(runtime, seen))
            await clock.advance(29)
            assert (await shown(runtime, container_id)).phase is ContainerPhase.RUNNING
            assert seen == [""]
            await clock.advance(2)
            found = await shown(runtime, container_id)
            assert (found.exit_code, found.reason) == (137, "OOMKilled")
            assert found.finished_at - found.started_at == 30_000_000
            assert seen == ["", UID]
            await runtime.aclose()
            await events

    run(main())


async def _collect(runtime: SimulatedRuntime, seen: list[str]) -> None:
    async for event in runtime.events():
        seen += [event.uid]


def test_a_slow_stop_is_waited_for_on_the_clock() -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with simulated(clock, SimulationOptions()) as runtime:
            container_id = await begun(runtime, "term", "4")
            stop = asyncio.create_task(runtime.stop_container(container_id, 30))
            await clock.advance(3)
            assert not stop.done()
            await clock.advance(2)
            await stop
            assert (await shown(runtime, container_id)).exit_code == 143

    run(main())


def test_latencies_take_time_of_the_clock_and_hung_calls_can_be_cancelled() -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with simulated(clock, SimulationOptions(latency=1.0, hangs=1.0)) as runtime:
            call = asyncio.create_task(runtime.run_pod_sandbox(SANDBOX))
            await clock.advance(599)
            assert not call.done()
            await clock.advance(60)
            assert await call == "node.u.0"
            hung = asyncio.create_task(runtime.list_pods())
            await turns()
            hung.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hung

    run(main())


def test_a_fault_comes_before_or_after_the_effect_and_never_else() -> None:
    async def main() -> set[bool]:
        clock = VirtualClock()
        had_effect = set()
        async with simulated(clock, SimulationOptions(faults=1.0, seed=3)) as runtime:
            for attempt in range(20):
                before = len(runtime.engine.sandboxes)
                with pytest.raises(RuntimeFault) as caught:
                    await runtime.run_pod_sandbox(
                        SandboxConfig(
                            uid=PodUid(f"u{attempt}"),
                            namespace="n",
                            name="p",
                            attempt=0,
                            hostname="p",
                            log_directory=Path("/nowhere"),
                        )
                    )
                assert caught.value.reason == "CreatePodSandboxError"
                assert not caught.value.unreachable
                had_effect.add(len(runtime.engine.sandboxes) > before)
        return had_effect

    assert run(main()) == {True, False}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (SimulationOptions(lost=1.0), [""]),
        (SimulationOptions(doubled=1.0), ["", UID, UID]),
        (SimulationOptions(), ["", UID]),
    ],
)
def test_events_are_lost_or_doubled_as_asked(options: SimulationOptions, expected: list[str]) -> None:
    async def main() -> list[str]:
        clock = VirtualClock()
        async with simulated(clock, options) as runtime:
            seen: list[str] = []
            events = asyncio.create_task(_collect(runtime, seen))
            await turns()
            await runtime.run_pod_sandbox(SANDBOX)
            await turns()
            await runtime.aclose()
            await events
            return seen

    assert run(main()) == expected


def test_late_events_come_late() -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with simulated(clock, SimulationOptions(late=1.0, delay=10.0)) as runtime:
            seen: list[str] = []
            events = asyncio.create_task(_collect(runtime, seen))
            await turns()
            await runtime.run_pod_sandbox(SANDBOX)
            await turns()
            assert seen == [""]
            await clock.advance(10)
            assert seen == ["", UID]
            await runtime.aclose()
            await events

    run(main())


@given(st.integers(0, 5), st.lists(st.sampled_from(["a", "b", "c"]), max_size=30))
def test_chance_is_the_same_whatever_else_happens_in_between(seed: int, order: list[str]) -> None:
    """The fates of one subject's calls do not hang on how those of others interleave with them."""
    options = SimulationOptions(seed=seed, latency=1.0, tail=0.2, faults=0.3, lost=0.3)
    mixed, alone = Draws(options), Draws(options)
    fates = [(subject, mixed.fate("start_container", subject)) for subject in order]
    for wanted in ("a", "b", "c"):
        own = [fate for subject, fate in fates if subject == wanted]
        assert own == [alone.fate("start_container", wanted) for _ in own]


def test_the_same_seed_tells_the_same_story() -> None:
    async def story() -> list[str]:
        clock = VirtualClock()
        told: list[str] = []
        async with simulated(clock, SimulationOptions(seed=11, latency=0.2, tail=0.1, faults=0.3)) as runtime:
            for attempt in range(30):
                call = asyncio.create_task(runtime.pull_image(f"image:{attempt}"))
                await clock.advance(60)
                told.append(f"{call.exception() or call.result()}")
        return told

    first = run(story())
    assert first == run(story())
    assert len({line.partition(":")[0] for line in first}) == 2, "some succeed and some fail"


def test_images_are_pulled_before_they_are_used() -> None:
    async def main() -> None:
        clock = VirtualClock()
        runtime = SimulatedRuntime(SimulationOptions(), clock)
        sandbox_id = await runtime.run_pod_sandbox(SANDBOX)
        with pytest.raises(RuntimeFault, match="image app:1 is not there"):
            await runtime.create_container(sandbox_id, container())
        assert await runtime.pull_image("app:1") == "simulated:app:1"
        await runtime.create_container(sandbox_id, container())
        with pytest.raises(RuntimeFault, match="ErrImagePull"):
            await runtime.pull_image("registry.invalid/app:1")
        await runtime.remove_image("app:1")
        assert await runtime.image_status("app:1") is None

    run(main())


def test_a_command_run_inside_ends_with_a_container_that_is_removed() -> None:
    """Its end, which was to come before that of the command, comes no more."""

    async def main() -> None:
        clock = VirtualClock()
        async with simulated(clock, SimulationOptions()) as runtime:
            container_id = await begun(runtime, "sleep", "2", "exit", "0")
            command = asyncio.create_task(runtime.exec_sync(container_id, ("sleep", "9"), 20))
            await clock.advance(1)
            runtime.engine.lose(container_id)
            await clock.advance(2)
            assert (await command).exit_code == 137

    run(main())


def test_a_command_run_inside_takes_its_time_and_gives_its_code() -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with simulated(clock, SimulationOptions()) as runtime:
            container_id = await begun(runtime)
            assert (await runtime.exec_sync(container_id, ("exit", "4"), 1)).exit_code == 4
            slow = asyncio.create_task(runtime.exec_sync(container_id, ("sleep", "9"), 1))
            await clock.advance(1)
            with pytest.raises(RuntimeFault, match="DeadlineExceeded"):
                await slow
            assert (await runtime.container_stats(container_id))["pids"] == 1
            await runtime.stop_container(container_id, 0)
            with pytest.raises(RuntimeFault, match="does not run"):
                await runtime.exec_sync(container_id, ("exit", "0"), 1)
            assert await runtime.container_stats(container_id) == {}

    run(main())
