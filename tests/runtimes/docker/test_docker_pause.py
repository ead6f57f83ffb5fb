"""The pause program: an executable that its processor and loader take, ends on SIGTERM, and reaps orphans."""

import platform
import signal
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from minikubelet.runtimes.docker.dockerpause import PROGRAM, pause_elf, pause_tar
from tests.engine.required import EMULATOR
from tests.running import eventually, run
from tests.runtimes.contract.contract_world import connected, container_of, sandbox_of, started
from tests.runtimes.docker.docker_world import DockerWorld

_HERE, _OTHER = ("arm64", "amd64") if platform.machine() == "aarch64" else ("amd64", "arm64")


@pytest.mark.parametrize("architecture", [_HERE, pytest.param(_OTHER, marks=pytest.mark.emulator)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_waits_and_ends_on_a_signal(architecture: str, number: signal.Signals, tmp_path: Path) -> None:
    elf = pause_elf(architecture)
    assert elf is not None
    program = tmp_path / "pause"
    program.write_bytes(elf)
    program.chmod(0o755)
    emulated = [EMULATOR] if architecture == _OTHER else []
    process = subprocess.Popen([*emulated, str(program)], restore_signals=True)

    def waits_in_the_kernel() -> bool:
        assert process.poll() is None, "it ended by itself"
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        ignored = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
        return bool(int(ignored, 16) & 1 << 16) and "State:\tS" in status

    async def main() -> None:
        await eventually(waits_in_the_kernel, "the program to wait")

    try:
        run(main())
        process.send_signal(number)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(60)


def test_an_unknown_processor_has_none() -> None:
    assert pause_elf("mips64le") is None


def test_the_image_holds_the_program_alone() -> None:
    with tarfile.open(fileobj=BytesIO(pause_tar(b"\x7fELF")), mode="r") as tar:
        assert [(member.name, member.mode) for member in tar] == [(PROGRAM.removeprefix("/"), 0o755)]


@pytest.mark.docker
def test_orphans_in_a_shared_process_namespace_leave_no_zombies(
    docker_host: str, busybox: str, docker_namespace: str, state_dir: Path
) -> None:
    """Five orphans are made and die; as soon as none runs any more, none may be left as a zombie."""
    world = DockerWorld(docker_host, busybox, docker_namespace, state_dir)
    config = msgspec.structs.replace(sandbox_of(world), share_process_namespace=True)
    orphans = "for n in 1 2 3 4 5; do (sh -c 'sleep 0.2 & echo started' ); done"
    count = "grep -l '^PPid:[^0-9]*1$' /proc/[0-9]*/status | wc -l"

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
            first = await runtime.exec_sync(container_id, world.shell("cat /proc/1/cmdline"), 60)
            assert first.output.rstrip(b"\0") == PROGRAM.encode()
            made = await runtime.exec_sync(container_id, world.shell(orphans), 60)
            assert made.output.count(b"started") == 5

            async def none_left() -> bool:
                found = await runtime.exec_sync(container_id, world.shell(count), 60)
                return found.output.strip() == b"0"

            await eventually(none_left, "the orphans to be reaped")

    run(main(), patience=110)
