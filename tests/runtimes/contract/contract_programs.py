"""The part of the contract that needs real programs in containers: logs, environment, mounts, exec.

A case here asks for `Ability.PROGRAMS`; importing this module adds its cases to `cases_for`.
"""

import asyncio
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from minikubelet.model.observed import ContainerPhase
from minikubelet.ports.runtimeport import ContainerConfig, Mount, Runtime, RuntimeFault, SandboxConfig
from tests.running import eventually
from tests.runtimes.contract.contract_cases import contract
from tests.runtimes.contract.contract_world import (
    Ability,
    DriverWorld,
    connected,
    container_of,
    exited,
    sandbox_of,
    started,
    status,
)

_CRI_LINE = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([PF]) (.*)"
)


def cri_lines(path: Path) -> list[tuple[str, str, str]]:
    """Stream, tag and text of each line of a log file; a line that is not CRI format is an error."""
    found = []
    for line in path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []:
        match = _CRI_LINE.fullmatch(line)
        assert match, f"not in CRI format: {line[:200]!r}"
        found.append((match[2], match[3], match[4]))
    return found


def whole_lines(path: Path, stream: str) -> list[str]:
    """The lines of one stream with partial ones put together."""
    lines, pending = [], ""
    for of, tag, text in cri_lines(path):
        if of == stream:
            pending += text
            if tag == "F":
                lines.append(pending)
                pending = ""
    return [*lines, pending] if pending else lines


async def _run(
    world: DriverWorld, runtime: Runtime, config: SandboxConfig, spec: ContainerConfig
) -> list[str]:
    """Runs a container to its end and gives what it wrote to stdout."""
    sandbox_id = await runtime.run_pod_sandbox(config)
    await exited(runtime, await started(runtime, sandbox_id, spec))
    return whole_lines(spec.log_path, "stdout")


@contract(Ability.PROGRAMS)
async def logs_are_complete_in_cri_format_once_the_exit_is_seen(world: DriverWorld) -> None:
    config = sandbox_of(world)
    script = "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; echo oops >&2; printf end"
    async with connected(world.driver()) as runtime:
        spec = container_of(world, config, world.shell(script))
        assert await _run(world, runtime, config, spec) == [f"line {n}" for n in range(500)] + ["end"]
        assert ("stderr", "F", "oops") in cri_lines(spec.log_path)


@contract(Ability.PROGRAMS)
async def a_long_line_is_written_in_parts(world: DriverWorld) -> None:
    config = sandbox_of(world)
    script = "i=0; while [ $i -lt 5000 ]; do printf 0123456789; i=$((i+1)); done; echo; echo after"
    async with connected(world.driver()) as runtime:
        spec = container_of(world, config, world.shell(script))
        assert await _run(world, runtime, config, spec) == ["0123456789" * 5000, "after"]
        assert [tag for _, tag, _ in cri_lines(spec.log_path)].count("P") >= 2


@contract(Ability.PROGRAMS)
async def logs_go_on_without_loss_or_double_lines_after_a_restart(world: DriverWorld) -> None:
    """Lines are written before, while and after the agent is away."""
    config = sandbox_of(world)
    shared = world.directory / "shared"
    shared.mkdir()
    script = (
        f"cd {shared}; for part in a b c; do i=0; while [ $i -lt 50 ]; do echo $part $i; i=$((i+1)); done;"
        " touch said-$part; while [ ! -e after-$part ]; do sleep 0.05; done; done"
    )
    spec = container_of(world, config, world.shell(script), mounts=(Mount(shared, str(shared)),))
    expected = [f"{part} {n}" for part in "abc" for n in range(50)]
    first = world.driver()
    await first.connect()
    container_id = await started(first, await first.run_pod_sandbox(config), spec)
    await eventually(lambda: len(cri_lines(spec.log_path)) == 50, "the first part in the log")
    await world.abandon(first)
    (shared / "after-a").touch()
    await eventually((shared / "said-b").exists, "the second part to be said")
    async with connected(world.driver()) as second:
        await second.list_pods()
        (shared / "after-b").touch()
        await eventually(lambda: len(cri_lines(spec.log_path)) >= 150, "the last part in the log")
        (shared / "after-c").touch()
        await exited(second, container_id)
        assert whole_lines(spec.log_path, "stdout") == expected


@contract(Ability.PROGRAMS)
async def what_was_said_while_the_agent_was_away_is_logged_after_the_exit(world: DriverWorld) -> None:
    config = sandbox_of(world)
    shared = world.directory / "shared"
    shared.mkdir()
    script = f"echo one; while [ ! -e {shared}/go ]; do sleep 0.05; done; echo two; touch {shared}/said"
    spec = container_of(world, config, world.shell(script), mounts=(Mount(shared, str(shared)),))
    first = world.driver()
    await first.connect()
    container_id = await started(first, await first.run_pod_sandbox(config), spec)
    await eventually(lambda: whole_lines(spec.log_path, "stdout") == ["one"], "the first line")
    await world.abandon(first)
    (shared / "go").touch()
    await eventually((shared / "said").exists, "the second line to be said")
    for _ in range(2):
        async with connected(world.driver()) as again:
            await exited(again, container_id)
            assert whole_lines(spec.log_path, "stdout") == ["one", "two"]


@contract(Ability.PROGRAMS)
async def a_renamed_log_is_reopened_and_no_line_is_lost(world: DriverWorld) -> None:
    config = sandbox_of(world)
    shared = world.directory / "shared"
    shared.mkdir()
    script = f"echo one; while [ ! -e {shared}/go ]; do sleep 0.05; done; echo two"
    spec = container_of(world, config, world.shell(script), mounts=(Mount(shared, str(shared)),))
    old = spec.log_path.with_name("0.log.20260101-000000")
    async with connected(world.driver()) as runtime:
        container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
        await eventually(lambda: whole_lines(spec.log_path, "stdout") == ["one"], "the first line")
        spec.log_path.rename(old)
        await runtime.reopen_container_log(container_id)
        assert spec.log_path.exists()
        (shared / "go").touch()
        await exited(runtime, container_id)
        assert whole_lines(old, "stdout") == ["one"]
        assert whole_lines(spec.log_path, "stdout") == ["two"]


@contract(Ability.PROGRAMS)
async def the_environment_and_working_directory_are_as_asked(world: DriverWorld) -> None:
    config = sandbox_of(world)
    env = (("PLAIN", "a b"), ("SIGNS", "$HOME='x'\"=y"), ("EMPTY", ""))
    async with connected(world.driver()) as runtime:
        spec = container_of(
            world,
            config,
            world.shell('echo "$PLAIN|$SIGNS|${EMPTY-unset}"; pwd'),
            env=env,
            working_dir="/tmp",
        )
        assert await _run(world, runtime, config, spec) == ["a b|$HOME='x'\"=y|", "/tmp"]


@contract(Ability.PROGRAMS)
async def command_and_args_are_joined(world: DriverWorld) -> None:
    config = sandbox_of(world)
    shell, flag, script = world.shell('echo "$0-$1"')
    spec = container_of(world, config, (shell, flag))
    fields = {field: getattr(spec, field) for field in spec.__struct_fields__}
    async with connected(world.driver()) as runtime:
        spec = ContainerConfig(**{**fields, "args": (script, "zero", "one two")})
        assert await _run(world, runtime, config, spec) == ["zero-one two"]


@contract(Ability.PROGRAMS, Ability.ROOTS)
async def mounts_are_shared_and_read_only_ones_refuse_writes(world: DriverWorld) -> None:
    config = sandbox_of(world)
    (rw := world.directory / "rw").mkdir()
    (ro := world.directory / "ro: with, signs").mkdir()
    (ro / "given").write_text("content\n", encoding="utf-8")
    script = "cat /ro/given; echo new >/rw/made; touch /ro/made 2>/dev/null || echo refused"
    mounts = (Mount(rw, "/rw"), Mount(ro, "/ro", read_only=True))
    async with connected(world.driver()) as runtime:
        spec = container_of(world, config, world.shell(script), mounts=mounts)
        assert await _run(world, runtime, config, spec) == ["content", "refused"]
        assert (rw / "made").read_text(encoding="utf-8") == "new\n"
        assert not (ro / "made").exists()


@contract(Ability.PROGRAMS)
async def exec_gives_exit_code_and_output(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
        result = await runtime.exec_sync(container_id, world.shell("echo out; echo err >&2; exit 4"), 60)
        assert result.exit_code == 4
        assert sorted(result.output.split()) == [b"err", b"out"]


@contract(Ability.PROGRAMS)
async def an_exec_that_hangs_is_given_up(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
        with pytest.raises(RuntimeFault) as caught:
            await runtime.exec_sync(container_id, world.shell("sleep 3600"), 0.5)
        assert caught.value.reason == "DeadlineExceeded"
        assert (await status(runtime, container_id)).phase is ContainerPhase.RUNNING


@contract(Ability.PROGRAMS)
async def an_exec_that_floods_is_bounded(world: DriverWorld) -> None:
    config = sandbox_of(world)
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
        flood = world.shell("i=0; while [ $i -lt 400 ]; do printf %01000d 0; i=$((i+1)); done; exit 2")
        result = await asyncio.wait_for(runtime.exec_sync(container_id, flood, 60), 100)
        assert result.exit_code == 2
        assert 0 < len(result.output) < 400_000


@contract(Ability.PROGRAMS, Ability.ROOTS)
async def what_a_container_leaves_as_its_last_words_is_shown(world: DriverWorld) -> None:
    """From its file; where that is empty, after a failure, from the end of its log if it is to be so."""
    config = sandbox_of(world)
    file = world.directory / "termination"
    file.touch()
    silent = world.shell("echo spoke; exit 3")
    cases = (
        (world.shell("echo gave up > /dev/termination-log; echo spoke; exit 3"), True, "gave up\n"),
        (silent, True, "spoke\n"),
        (silent, False, ""),
        (world.shell("echo spoke"), True, ""),
    )
    async with connected(world.driver()) as runtime:
        sandbox_id = await runtime.run_pod_sandbox(config)
        for attempt, (command, falls_back, said) in enumerate(cases):
            file.write_bytes(b"")
            made = container_of(world, config, command, attempt=attempt)
            spec = replace(made, termination_log=file, fallback_to_logs=falls_back)
            container_id = await started(runtime, sandbox_id, spec)
            assert (await exited(runtime, container_id)).message == said
