"""What the process driver promises beyond the contract: supervisors, leftovers, exit codes, logs."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from minikubelet.model.observed import ContainerPhase
from minikubelet.ports.runtimeport import RuntimeEvent
from minikubelet.runtimes.process import processruntime, shimspec
from minikubelet.runtimes.process.processrecords import ShimState, write_record
from minikubelet.runtimes.process.processwatch import supervised
from tests.running import eventually, run
from tests.runtimes.contract.contract_programs import whole_lines
from tests.runtimes.contract.contract_world import (
    connected,
    container_of,
    exited,
    sandbox_of,
    started,
    status,
)
from tests.runtimes.process.process_world import ProcessWorld, of_proc, runs, state_of, usage_of


@pytest.fixture
def world(state_dir: Path) -> Iterator[ProcessWorld]:
    made = ProcessWorld(state_dir)
    yield made
    made.clean()


def test_a_killed_supervisor_takes_its_container_along(world: ProcessWorld) -> None:
    """Seen at once through the events; even what had left the process group is gone afterwards."""

    async def main() -> None:
        config = sandbox_of(world)
        async with connected(driver := world.driver()) as runtime:
            script = f"setsid sleep 3600 & echo $! >{world.directory}/left; wait"
            spec = container_of(world, config, world.shell(script))
            container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            await eventually(
                lambda: (world.directory / "left").exists() and usage_of(driver, container_id), "it"
            )
            state = state_of(driver, container_id)
            left = int(await eventually((world.directory / "left").read_text, "the pid"))
            events = driver.events()
            await anext(events)
            os.kill(state.shim, signal.SIGKILL)
            await _hint_at(events, config.uid)
            found = await exited(runtime, container_id)
            assert (found.exit_code, found.reason) == (137, "Error")
            assert "supervisor was killed" in found.message
            assert not runs(state.pid)
            assert not runs(left)
            await events.aclose()

    run(main())


async def _hint_at(events: AsyncIterator[RuntimeEvent], uid: str) -> None:
    async for event in events:
        if event.uid == uid:
            return


def test_what_a_container_leaves_behind_dies_with_it_and_its_words_are_kept(world: ProcessWorld) -> None:
    async def main() -> None:
        config = sandbox_of(world)
        async with connected(world.driver()) as runtime:
            script = (
                f"(setsid sh -c 'echo daemon; echo $$ >{world.directory}/left; exec sleep 3600' &);"
                f" while [ ! -s {world.directory}/left ]; do sleep 0.05; done; exit 5"
            )
            spec = container_of(world, config, world.shell(script))
            container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            found = await exited(runtime, container_id)
            assert found.exit_code == 5
            assert not runs(int((world.directory / "left").read_text()))
            assert whole_lines(spec.log_path, "stdout") == ["daemon"]

    run(main())


def test_a_supervisor_that_hangs_is_killed_in_the_end(
    world: ProcessWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processruntime, "_PATIENCE", 0.5)

    async def main() -> None:
        config = sandbox_of(world)
        async with connected(driver := world.driver()) as runtime:
            spec = container_of(world, config, world.sleeps())
            container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            state = state_of(driver, container_id)
            os.kill(state.shim, signal.SIGSTOP)
            await runtime.stop_container(container_id, 0)
            found = await exited(runtime, container_id)
            assert found.exit_code == 137
            assert not runs(state.pid)

    run(main())


def test_a_pid_that_was_reused_is_not_mistaken_for_the_container(world: ProcessWorld) -> None:
    """The recorded pid is alive, and is this test: it must neither count as running nor be killed."""

    async def main() -> None:
        config = sandbox_of(world)
        async with connected(driver := world.driver()) as runtime:
            spec = container_of(world, config, world.exits(0))
            container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            await exited(runtime, container_id)
            path = driver._store.directory(container_id)
            assert path is not None
            await eventually(lambda: not supervised(path), "the end of its supervisor")
            ours = ShimState(
                boot=driver._store.boot, pid=os.getpid(), start=1, shim=os.getpid(), started_at=1
            )
            write_record(path / shimspec.STATE, ours)
            found = await status(runtime, container_id)
            assert (found.phase, found.exit_code) == (ContainerPhase.EXITED, 137)
            await runtime.remove_container(container_id)

    run(main())


def test_a_restart_of_the_machine_ends_what_ran(world: ProcessWorld) -> None:
    async def main() -> None:
        config = sandbox_of(world)
        async with connected(driver := world.driver()) as runtime:
            spec = container_of(world, config, world.exits(0))
            container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            await exited(runtime, container_id)
            path = driver._store.directory(container_id)
            assert path is not None
            await eventually(lambda: not supervised(path), "the end of its supervisor")
            write_record(path / shimspec.STATE, ShimState(boot="another", pid=os.getpid(), started_at=7))
        (later := world.driver())._store.boot = "yet another"
        async with connected(later) as runtime:
            found = await status(runtime, container_id)
            assert (found.phase, found.exit_code, found.reason) == (ContainerPhase.EXITED, 137, "Error")
            assert found.message == "the machine was restarted"
            assert found.started_at == 7
            assert not (await runtime.list_pods())[0].sandboxes[0].ready

    run(main())


def test_secrets_in_the_environment_are_on_no_disk_once_it_runs(world: ProcessWorld) -> None:
    async def main() -> None:
        config = sandbox_of(world)
        async with connected(driver := world.driver()) as runtime:
            spec = container_of(world, config, world.sleeps(), env=(("TOKEN", "hunter2"),))
            container_id = await runtime.create_container(await runtime.run_pod_sandbox(config), spec)
            path = driver._store.directory(container_id)
            assert path is not None
            assert (path / shimspec.SPEC).stat().st_mode & 0o777 == 0o600
            await runtime.start_container(container_id)
            state = state_of(driver, container_id)
            assert "TOKEN=hunter2" in of_proc(state.pid, "environ").split("\0")
            assert "hunter2" not in of_proc(state.shim, "environ") + of_proc(state.shim, "cmdline")
            files = [file for file in world.state.rglob("*") if file.is_file()]
            assert files
            assert not [file for file in files if b"hunter2" in file.read_bytes()]
            (path.parent / "half_0").mkdir()  # as a crash in the middle of a creation leaves it
            await runtime.remove_pod_sandbox(config.uid + "_POD_0")
            assert not list((world.state / "process" / "ours").iterdir())

    run(main())


def test_fifty_containers_start_at_once(world: ProcessWorld) -> None:
    async def main() -> None:
        config = sandbox_of(world)
        async with connected(world.driver()) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            specs = [
                container_of(world, config, world.shell(f"echo {n}; exit {n}"), name=f"c{n}")
                for n in range(50)
            ]
            ids = await asyncio.gather(*(started(runtime, sandbox_id, spec) for spec in specs))
            found = [await exited(runtime, container_id) for container_id in ids]
            assert [each.exit_code for each in found] == list(range(50))
            assert [whole_lines(spec.log_path, "stdout") for spec in specs] == [[str(n)] for n in range(50)]

    run(main(), patience=100)


def test_two_starts_of_one_container_begin_it_once(world: ProcessWorld) -> None:
    """As when the agent is killed while it starts a container, and its successor starts it again."""

    async def main() -> None:
        config = sandbox_of(world)
        async with connected(world.driver()) as one, connected(world.driver()) as other:
            spec = container_of(
                world, config, world.shell(f"echo >>{world.directory}/begun; exec sleep 3600")
            )
            container_id = await one.create_container(await one.run_pod_sandbox(config), spec)
            await asyncio.gather(one.start_container(container_id), other.start_container(container_id))
            assert (await status(other, container_id)).phase is ContainerPhase.RUNNING
            await eventually((world.directory / "begun").exists, "the container to begin")
            assert (world.directory / "begun").read_text() == "\n"

    run(main())


def test_statistics_count_all_processes_of_a_container(world: ProcessWorld) -> None:
    async def main() -> None:
        config = sandbox_of(world)
        async with connected(world.driver()) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            spec = container_of(world, config, world.shell("sleep 3600 & sleep 3600 & wait"))
            container_id = await runtime.create_container(sandbox_id, spec)
            assert await runtime.container_stats(container_id) == {}
            await runtime.start_container(container_id)

            async def three() -> bool:
                return (await runtime.container_stats(container_id)).get("pids") == 3

            await eventually(three, "a shell and two sleeps")
            found = await runtime.container_stats(container_id)
            assert found["memory_bytes"] > 0
            assert found["cpu_usage_ns"] >= 0
            await runtime.stop_container(container_id, 0)
            assert await runtime.container_stats(container_id) == {}

    run(main())
