"""The Docker driver on a real engine: what containers get, say and leave behind."""

import asyncio
import json

import msgspec
import pytest

from minikubelet.ports.runtimeport import (
    Mount,
    Resources,
    RuntimeFault,
    Security,
)
from tests.engine import docker_probe
from tests.running import eventually
from tests.runtimes.contract import contract_programs
from tests.runtimes.contract.contract_cases import Case
from tests.runtimes.contract.contract_programs import whole_lines
from tests.runtimes.contract.contract_world import (
    connected,
    container_of,
    exited,
    pod_of,
    sandbox_of,
    started,
)
from tests.runtimes.docker.docker_world import DockerWorld, go, inspect

pytestmark = pytest.mark.docker


@pytest.mark.parametrize(
    ("written", "fallback", "code", "expected"),
    [
        ("said", True, 1, "said"),
        ("", True, 1, "one\ntwo\n"),
        ("", True, 0, ""),
        ("", False, 1, ""),
    ],
)
def test_the_termination_message(
    world: DockerWorld, written: str, fallback: bool, code: int, expected: str
) -> None:
    config = sandbox_of(world)
    script = f"echo one; echo two; printf '{written}' >/dev/termination-log; exit {code}"
    spec = msgspec.structs.replace(
        container_of(world, config, world.shell(script)),
        termination_log=world.directory / "t" / "message",
        fallback_to_logs=fallback,
    )

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            assert (await exited(runtime, container_id)).message == expected
        async with connected(world.driver()) as another:
            pod = await pod_of(another, config.uid)
            assert pod is not None
            assert pod.containers[0].message == expected

    go(main)


def test_users_capabilities_and_a_read_only_root(world: DockerWorld) -> None:
    config = sandbox_of(world)
    script = (
        "id -u; id -g; id -G; touch /x 2>&1 | grep -o Read-only; grep -E 'NoNew|CapEff' /proc/self/status"
    )
    security = Security(
        run_as_user=1234,
        run_as_group=2345,
        supplemental_groups=(3456,),
        read_only_root=True,
        no_new_privileges=True,
        drop_capabilities=("ALL",),
        seccomp="Unconfined",
    )
    spec = msgspec.structs.replace(container_of(world, config, world.shell(script)), security=security)

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            await exited(runtime, await started(runtime, await runtime.run_pod_sandbox(config), spec))
        found = [line.split(":")[-1].strip() for line in whole_lines(spec.log_path, "stdout")]
        assert found == ["1234", "2345", "2345 3456", "Read-only", "0" * 16, "1"]

    go(main)


def test_a_container_over_its_memory_is_oom_killed(world: DockerWorld) -> None:
    """It grows only after its start has returned: an engine on cgroup v1 watches for OOM from then on."""
    config = sandbox_of(world)
    script = f"until [ -e {world.directory}/go ]; do sleep 0.05; done; exec tail -c 80000000 /dev/zero"
    mounts = (Mount(world.directory, str(world.directory)),)
    spec = container_of(world, config, world.shell(script), mounts=mounts)
    spec = msgspec.structs.replace(spec, resources=Resources(memory_limit=8 << 20))

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            (world.directory / "go").touch()
            found = await exited(runtime, container_id)
            assert (found.reason, found.exit_code) == ("OOMKilled", 137)

    go(main)


def test_stats_of_what_runs_and_of_what_does_not(world: DockerWorld) -> None:
    config = sandbox_of(world)

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
            stats = await runtime.container_stats(container_id)
            assert stats["pids"] >= 1
            assert min(stats["cpu_usage_ns"], stats["memory_bytes"]) > 0
            await runtime.stop_container(container_id, 0)
            assert await runtime.container_stats(container_id) == {}
            assert await runtime.container_stats("0" * 64) == {}
            assert await runtime.container_disk("0" * 64) == 0

    go(main)


def test_exec_of_what_is_not_there_fails_and_where_nothing_runs_is_a_fault(world: DockerWorld) -> None:
    config = sandbox_of(world)

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
            absent = await runtime.exec_sync(container_id, ["/no/such"], 60)
            assert absent.exit_code in {126, 127}
            assert b"no such file or directory" in absent.output
            await runtime.stop_container(container_id, 0)
            with pytest.raises(RuntimeFault, match="ContainerNotRunning"):
                await runtime.exec_sync(container_id, ["true"], 60)
            with pytest.raises(RuntimeFault, match="ContainerNotRunning"):
                await runtime.exec_sync("0" * 64, ["true"], 60)

    go(main)


def test_a_command_given_up_is_killed(world: DockerWorld) -> None:
    config = sandbox_of(world)

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
            with pytest.raises(RuntimeFault, match="DeadlineExceeded"):
                await runtime.exec_sync(container_id, ["sleep", "7777"], 0.5)
            listed = await runtime.exec_sync(container_id, ["ps"], 60)
            assert b"sleep 7777" not in listed.output

    go(main)


_LOG_CASES = [
    contract_programs.logs_are_complete_in_cri_format_once_the_exit_is_seen,
    contract_programs.a_long_line_is_written_in_parts,
    contract_programs.logs_go_on_without_loss_or_double_lines_after_a_restart,
    contract_programs.what_was_said_while_the_agent_was_away_is_logged_after_the_exit,
    contract_programs.a_renamed_log_is_reopened_and_no_line_is_lost,
]


@pytest.mark.parametrize("case", _LOG_CASES, ids=lambda case: str(case.__name__))
def test_logs_come_through_the_api_where_files_cannot_be_read(
    world: DockerWorld, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for an agent that may use the engine's socket but is not root."""
    monkeypatch.setattr("minikubelet.runtimes.docker.dockerlogs.os.access", lambda *_: False)
    go(lambda: case(world))


@pytest.mark.parametrize("readable", [True, False])
def test_a_terminals_log(world: DockerWorld, monkeypatch: pytest.MonkeyPatch, readable: bool) -> None:
    if not readable:
        monkeypatch.setattr("minikubelet.runtimes.docker.dockerlogs.os.access", lambda *_: False)
    config = sandbox_of(world)
    spec = container_of(world, config, world.shell("tty; echo error >&2"))
    spec = msgspec.structs.replace(spec, tty=True, stdin=True)

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            await exited(runtime, await started(runtime, await runtime.run_pod_sandbox(config), spec))
        assert [line.rstrip("\r") for line in whole_lines(spec.log_path, "stdout")] == ["/dev/pts/0", "error"]

    go(main)


def test_the_log_goes_on_when_someone_starts_the_container_again(world: DockerWorld) -> None:
    config = sandbox_of(world)
    spec = container_of(world, config, world.shell("echo once"))

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            before = await exited(runtime, container_id)
            url = f"/containers/{container_id}/start"
            assert (await asyncio.to_thread(docker_probe.ask, "POST", url))[0] == 204

            async def ended_again() -> bool:
                return (await exited(runtime, container_id)).started_at > before.started_at

            await eventually(ended_again, "the second end")
            assert whole_lines(spec.log_path, "stdout") == ["once", "once"]

    go(main)


def test_an_images_own_command_runs_where_none_is_given(world: DockerWorld) -> None:
    """busybox's is `sh`, which ends at once without a terminal."""
    config = sandbox_of(world)

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            container_id = await started(runtime, sandbox_id, container_of(world, config, ()))
            assert (await exited(runtime, container_id)).exit_code == 0
            assert json.dumps(inspect(container_id)["Config"]["Cmd"]) == '["sh"]'

    go(main)
