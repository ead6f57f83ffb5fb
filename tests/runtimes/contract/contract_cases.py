"""The contract that every driver keeps, as functions over a `DriverWorld`.

Each case is one promise of the runtime port. A driver's own test module makes a world and runs
`cases_for(abilities)` on it; what only one driver promises is tested with that driver.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest

from minikubelet.model.observed import ContainerPhase
from minikubelet.ports.runtimeport import Mount, RuntimeFault
from tests.runtimes.contract.contract_world import (
    Ability,
    DriverWorld,
    connected,
    container_of,
    exited,
    pod_of,
    sandbox_of,
    started,
    status,
)

Case: TypeAlias = Callable[[DriverWorld], Coroutine[Any, Any, None]]
_CASES: list[tuple[Case, frozenset[Ability]]] = []


def contract(*needs: Ability) -> Callable[[Case], Case]:
    """Makes a function a case of the contract, for drivers that have those abilities."""

    def register(case: Case) -> Case:
        _CASES.append((case, frozenset(needs)))
        return case

    return register


def cases_for(abilities: frozenset[Ability]) -> list[Case]:
    """The cases that a driver with these abilities has to pass."""
    return [case for case, needs in _CASES if needs <= abilities]


@contract()
async def a_connected_driver_says_who_answers(world: DriverWorld) -> None:
    async with connected(world.driver()) as runtime:
        assert runtime.info.name
        assert runtime.info.version


@contract()
async def a_sandbox_is_ready_then_stopped_then_gone(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        pod = await pod_of(runtime, config.uid)
        assert pod is not None
        assert (pod.namespace, pod.name, pod.containers) == (config.namespace, config.name, ())
        assert [(box.id, box.attempt, box.ready) for box in pod.sandboxes] == [(sandbox_id, 0, True)]
        assert pod.sandboxes[0].created_at > 1_600_000_000_000_000
        await runtime.stop_pod_sandbox(sandbox_id)
        await runtime.stop_pod_sandbox(sandbox_id)
        pod = await pod_of(runtime, config.uid)
        assert pod is not None
        assert [(box.id, box.ready) for box in pod.sandboxes] == [(sandbox_id, False)]
        await runtime.remove_pod_sandbox(sandbox_id)
        await runtime.remove_pod_sandbox(sandbox_id)
        assert await pod_of(runtime, config.uid) is None


@contract()
async def a_container_is_created_runs_and_is_removed(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        spec = container_of(world, config, world.sleeps(), attempt=3)
        container_id = await runtime.create_container(sandbox_id, spec)
        found = await status(runtime, container_id)
        assert found.phase is ContainerPhase.CREATED
        await runtime.start_container(container_id)
        found = await status(runtime, container_id)
        assert (found.name, found.attempt, found.phase) == ("main", 3, ContainerPhase.RUNNING)
        assert (found.sandbox_id, found.hash, found.image) == (sandbox_id, "cafe", world.image)
        assert found.started_at >= found.created_at > 1_600_000_000_000_000
        assert found.exit_code is None
        pod = await pod_of(runtime, config.uid)
        assert pod is not None
        assert pod.containers == (found,)
        await runtime.remove_container(container_id)
        await runtime.remove_container(container_id)
        assert await runtime.container_status(container_id) is None


@contract()
async def exit_codes_reasons_and_times_are_kept(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        for number, (code, reason) in enumerate([(0, "Completed"), (3, "Error"), (255, "Error")]):
            spec = container_of(world, config, world.exits(code), attempt=number)
            found = await exited(runtime, await started(runtime, sandbox_id, spec))
            assert (found.attempt, found.exit_code, found.reason) == (number, code, reason)
            assert found.finished_at >= found.started_at > 0
        pod = await pod_of(runtime, config.uid)
        assert pod is not None
        assert [container.attempt for container in pod.containers] == [2, 1, 0], "newest attempt first"


@contract()
async def stopping_ends_a_container_that_heeds_sigterm(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
        await runtime.stop_container(container_id, 3600)
        found = await status(runtime, container_id)
        assert found.phase is ContainerPhase.EXITED
        assert found.exit_code != 137, "it was killed although it would have gone"
        await runtime.stop_container(container_id, 3600)


@contract()
async def what_ignores_sigterm_is_killed_after_its_grace(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.ignores_term()))
        await runtime.stop_container(container_id, 1)
        found = await status(runtime, container_id)
        assert (found.phase, found.exit_code) == (ContainerPhase.EXITED, 137)


@contract()
async def no_grace_kills_at_once(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.ignores_term()))
        await runtime.stop_container(container_id, 0)
        assert (await status(runtime, container_id)).exit_code == 137


@contract()
async def a_second_stop_shortens_the_grace_of_the_first(world: DriverWorld) -> None:
    """The first would wait an hour: that both return is the proof."""
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.ignores_term()))
        first = asyncio.create_task(runtime.stop_container(container_id, 3600))
        await asyncio.sleep(0)
        await runtime.stop_container(container_id, 1)
        await first
        assert (await status(runtime, container_id)).exit_code == 137


@contract()
async def a_cancelled_stop_leaves_a_driver_that_works(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.ignores_term()))
        stop = asyncio.create_task(runtime.stop_container(container_id, 3600))
        await asyncio.sleep(0.05)
        stop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stop
        assert (await status(runtime, container_id)).phase is ContainerPhase.RUNNING
        await runtime.stop_container(container_id, 0)
        assert (await status(runtime, container_id)).phase is ContainerPhase.EXITED


@contract()
async def nothing_runs_in_a_sandbox_that_was_stopped(world: DriverWorld) -> None:
    """Whether it is refused when it is made or when it is started is the driver's affair."""
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        await runtime.stop_pod_sandbox(sandbox_id)
        with pytest.raises(RuntimeFault) as caught:
            await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
        assert not caught.value.unreachable
        assert caught.value.reason in {"CreateContainerError", "RunContainerError"}
        pod = await pod_of(runtime, config.uid)
        assert pod is not None
        assert all(found.phase is not ContainerPhase.RUNNING for found in pod.containers)


@contract()
async def a_command_in_a_container_ends_with_it(world: DriverWorld) -> None:
    """It would take an hour: that it returns is the proof."""
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
        command = asyncio.create_task(runtime.exec_sync(container_id, ("sleep", "3600"), 3600))
        await asyncio.sleep(0.1)  # most likely it runs by now; if not, it finds nothing to run in
        await runtime.stop_container(container_id, 0)
        try:
            assert (await command).exit_code != 0
        except RuntimeFault as fault:
            assert fault.reason == "ContainerNotRunning"  # noqa: PT017 - whether it began is a matter of time


@contract()
async def what_is_gone_can_be_stopped_and_removed(world: DriverWorld) -> None:
    async with connected(world.driver()) as runtime:
        config = sandbox_of(world)
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
        await runtime.remove_pod_sandbox(sandbox_id)
        await runtime.stop_container(container_id, 5)
        await runtime.remove_container(container_id)
        await runtime.stop_pod_sandbox(sandbox_id)
        await runtime.remove_pod_sandbox(sandbox_id)
        assert await runtime.container_status(container_id) is None


@contract()
async def stopping_a_sandbox_kills_its_containers(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.ignores_term()))
        await runtime.stop_pod_sandbox(sandbox_id)
        assert (await status(runtime, container_id)).phase is ContainerPhase.EXITED


@contract()
async def a_new_driver_adopts_what_runs(world: DriverWorld) -> None:
    """As after a restart of the agent: ids, attempts and states are those that were."""
    config = sandbox_of(world)
    first = world.driver()
    await first.connect()
    sandbox_id = await first.run_pod_sandbox(config)
    container_id = await started(first, sandbox_id, container_of(world, config, world.sleeps(), attempt=2))
    before = await pod_of(first, config.uid)
    await world.abandon(first)
    async with connected(world.driver()) as second:
        assert await pod_of(second, config.uid) == before
        await second.stop_container(container_id, 3600)
        assert (await status(second, container_id)).phase is ContainerPhase.EXITED


@contract()
async def an_exit_while_no_driver_looked_is_seen_later(world: DriverWorld) -> None:
    config = sandbox_of(world)
    shared = world.directory / "shared"
    shared.mkdir()
    first = world.driver()
    await first.connect()
    sandbox_id = await first.run_pod_sandbox(config)
    spec = container_of(
        world, config, world.exits_when(shared / "go", 7), mounts=(Mount(shared, str(shared)),)
    )
    container_id = await started(first, sandbox_id, spec)
    await world.abandon(first)
    (shared / "go").touch()
    async with connected(world.driver()) as second:
        found = await exited(second, container_id)
        assert (found.exit_code, found.reason) == (7, "Error")


@contract()
async def what_another_node_made_is_neither_seen_nor_touched(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as ours, connected(world.stranger()) as theirs:
        sandbox_id = await ours.run_pod_sandbox(config)
        container_id = await started(ours, sandbox_id, container_of(world, config, world.sleeps()))
        assert await pod_of(theirs, config.uid) is None
        assert await theirs.container_status(container_id) is None
        for attempt in (
            theirs.stop_container(container_id, 0),
            theirs.remove_container(container_id),
            theirs.stop_pod_sandbox(sandbox_id),
            theirs.remove_pod_sandbox(sandbox_id),
        ):
            await _refused_or_ignored(attempt)
        assert (await status(ours, container_id)).phase is ContainerPhase.RUNNING


async def _refused_or_ignored(call: Coroutine[Any, Any, None]) -> None:
    try:
        await call
    except RuntimeFault as fault:
        assert not fault.unreachable  # noqa: PT017 - both answers are allowed, a lost connection is not


@contract()
async def events_hint_first_at_everything_then_at_an_exit(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
        events = runtime.events()
        first = await anext(events)
        assert first.uid == ""
        await runtime.stop_container(container_id, 3600)
        async with asyncio.timeout(60):
            async for event in events:
                if event.uid != config.uid:
                    continue
                if (await status(runtime, container_id)).phase is ContainerPhase.EXITED:
                    break
        closing = getattr(events, "aclose", None)
        if closing is not None:
            await closing()


@contract()
async def creating_twice_under_one_name_gives_one_container(world: DriverWorld) -> None:
    """As after a crash between the creation and its record in the journal."""
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        spec = container_of(world, config, world.sleeps())
        await runtime.create_container(sandbox_id, spec)
        container_id = await started(runtime, sandbox_id, spec)
        assert await runtime.create_container(sandbox_id, spec) == container_id, "what runs is adopted"
        await runtime.start_container(container_id)
        assert await runtime.run_pod_sandbox(config) == sandbox_id, "so is the sandbox"
        pod = await pod_of(runtime, config.uid)
        assert pod is not None
        assert [found.id for found in pod.containers] == [container_id]
        assert len(pod.sandboxes) == 1


@contract()
async def what_was_adopted_and_has_ended_meanwhile_is_not_run_once_more(world: DriverWorld) -> None:
    """The answer to a start was lost, and a second one comes as the container ends."""
    config = sandbox_of(world)
    (shared := world.directory / "shared").mkdir()
    end = shared / "end"
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        mounts = (Mount(shared, str(shared)),)
        spec = container_of(world, config, world.exits_when(end, 3), mounts=mounts)
        container_id = await started(runtime, sandbox_id, spec)
        assert await runtime.create_container(sandbox_id, spec) == container_id
        end.touch()
        before = await exited(runtime, container_id)
        with pytest.raises(RuntimeFault, match="already run") as caught:
            await runtime.start_container(container_id)
        fault = caught.value
        assert (fault.container_id, fault.exit_code, fault.ended) == (container_id, 3, "Error")
        assert await status(runtime, container_id) == before


@contract()
async def a_command_that_is_not_there_is_a_start_failure(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await runtime.create_container(
            sandbox_id, container_of(world, config, world.missing())
        )
        with pytest.raises(RuntimeFault) as caught:
            await runtime.start_container(container_id)
        fault = caught.value
        assert (fault.reason, fault.container_id) == ("RunContainerError", container_id)
        assert fault.exit_code in {126, 127, 128}
        assert "\n" not in fault.message
        found = await status(runtime, container_id)
        assert (found.phase, found.exit_code) == (ContainerPhase.EXITED, fault.exit_code)


@contract(Ability.IMAGES)
async def an_image_is_found_by_name_and_a_missing_one_is_none(world: DriverWorld) -> None:
    async with connected(world.driver()) as runtime:
        image = await runtime.image_status(world.image)
        assert image is not None
        assert image.id
        assert world.image in image.tags
        assert await runtime.image_status("nowhere.invalid/none:1") is None
        assert image.id in [listed.id for listed in await runtime.list_images()]


@contract()
async def listing_by_uid_gives_that_pod_only(world: DriverWorld) -> None:
    async with connected(world.driver()) as runtime:
        one, other = sandbox_of(world, "one"), sandbox_of(world, "other")
        await runtime.run_pod_sandbox(one)
        await runtime.run_pod_sandbox(other)
        assert [pod.uid for pod in await runtime.list_pods(one.uid)] == [one.uid]
        assert {one.uid, other.uid} <= {pod.uid for pod in await runtime.list_pods()}
