"""How a container begins: volumes, root, identity, signals, streams."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from minikubelet.ports.runtimeport import ContainerConfig, Mount, Runtime, RuntimeFault, Security
from tests.running import run
from tests.runtimes.contract.contract_programs import whole_lines
from tests.runtimes.contract.contract_world import connected, container_of, exited, sandbox_of, started
from tests.runtimes.process.process_world import PatientRuntime, ProcessWorld, mounts_work

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
needs_mounts = pytest.mark.skipif(not mounts_work(), reason="needs mount namespaces")


@pytest.fixture
def world(state_dir: Path) -> Iterator[ProcessWorld]:
    made = ProcessWorld(state_dir)
    yield made
    made.clean()


def said(
    world: ProcessWorld,
    script: str,
    *,
    driver: PatientRuntime | None = None,
    mounts: tuple[Mount, ...] = (),
    **fields: Any,
) -> list[str]:
    """What a shell script says as a container."""
    config = sandbox_of(world)
    spec = container_of(world, config, world.shell(script), mounts=mounts)
    spec = replace(spec, **fields)

    async def main() -> list[str]:
        async with connected(driver or world.driver()) as runtime:
            await _ended(runtime, spec, await runtime.run_pod_sandbox(config))
        return whole_lines(spec.log_path, "stdout")

    return run(main())


async def _ended(runtime: Runtime, spec: ContainerConfig, sandbox_id: str) -> None:
    await exited(runtime, await started(runtime, sandbox_id, spec))


def test_without_namespaces_two_containers_share_a_volume_by_relative_path(world: ProcessWorld) -> None:
    """A machine with nothing: no root, no user namespaces. `data/…` from where a container starts works."""
    (volume := world.directory / "volume").mkdir()
    mounts = (Mount(volume, "/data"), Mount(volume, "/srv/deep/er"))
    for script, expected in (
        ("echo hello >data/greeting", []),
        ('cat srv/deep/er/greeting "$MINIKUBELET_ROOT/data/greeting"', ["hello", "hello"]),
    ):
        driver = PatientRuntime(world.state, node="ours", namespaces=False)
        assert said(world, script, driver=driver, mounts=mounts) == expected
    assert not Path("/data").exists()


@needs_mounts
def test_volumes_appear_where_the_host_has_no_such_path(world: ProcessWorld) -> None:
    (volume := world.directory / "volume").mkdir()
    (other := world.directory / "a file").write_text("content\n")
    mounts = (
        Mount(volume, "/data"),
        Mount(volume, "/no-such/deep/path"),
        Mount(volume, "/data/nested/again"),
        Mount(other, "/etc/minikubelet-test.conf", read_only=True),
    )
    script = (
        "echo x >/data/made; cat /no-such/deep/path/made data/made /data/nested/again/made;"
        " cat /etc/minikubelet-test.conf; echo y >/etc/minikubelet-test.conf || echo refused; ls /etc/passwd"
    )
    expected = ["x", "x", "x", "content", "refused", "/etc/passwd"]
    assert said(world, script, mounts=mounts) == expected
    assert not Path("/data").exists()
    assert not Path("/no-such").exists()
    assert not Path("/etc/minikubelet-test.conf").exists()


@needs_mounts
def test_the_termination_message_reaches_the_file_of_the_agent(world: ProcessWorld) -> None:
    (file := world.directory / "message").touch()
    said(world, "echo the end >/dev/termination-log", termination_log=file)
    assert file.read_text() == "the end\n"
    assert not Path("/dev/termination-log").exists()


@needs_root
@needs_mounts
def test_an_image_that_is_a_directory_becomes_the_root(world: ProcessWorld) -> None:
    """It is not written to: each container has a layer of its own above it."""
    image = _image(world.directory / "image")
    (volume := world.directory / "volume").mkdir()
    script = "echo made >/etc/own; cat /etc/release /etc/own; echo kept >/data/kept; test -e /dev/null"
    (message := world.directory / "message").touch()
    script += "; echo the end >/dev/termination-log"
    mounts = (Mount(volume, "/data"),)
    found = said(world, script, image=f"dir://{image}", mounts=mounts, termination_log=message)
    assert found == ["test image", "made"]
    assert message.read_text() == "the end\n"
    assert not Path("/dev/termination-log").exists()
    assert (volume / "kept").read_text() == "kept\n"
    assert not (image / "etc/own").exists()
    assert not (image / "data").exists()
    refused = "touch /etc/own 2>/dev/null || echo refused"
    security = Security(read_only_root=True)
    assert said(world, refused, image=str(image), security=security) == ["refused"]


@needs_root
@needs_mounts
def test_without_an_overlay_an_image_is_entered_and_still_gets_no_mount_points(world: ProcessWorld) -> None:
    """Without the directories for a layer the overlay cannot be mounted, as on some file systems."""
    image = _image(world.directory / "image")
    for name in ("volume", "root", "stage", "volume/sub"):
        (world.directory / name).mkdir()
    spec = {
        "image": [str(image)],
        "root": [str(world.directory / "root")],
        "mount_from": [str(world.directory / "volume")] * 2,
        "mount_to": ["/data", "/etc/new"],
        "mount_mode": ["rw", "ro"],
    }
    code = (
        "import sys, os; from minikubelet.runtimes.process import shimmounts\n"
        f"shimmounts.arrange({str(world.directory)!r}, {spec!r})\n"
        "os.execv('/bin/sh', ['sh', '-c', 'cat /etc/release; echo x >/data/made; cat /etc/new/made'])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines()[:2] == ["test image", "x"], ran.stderr
    assert not (image / "data").exists()
    assert not (image / "etc/new").exists()


def _image(path: Path) -> Path:
    """A root with a shell, cat and touch, and the libraries that they need."""
    for program in ("sh", "cat", "touch"):
        real = Path(shutil.which(program) or f"/bin/{program}").resolve()
        needed = subprocess.run(["ldd", str(real)], capture_output=True, text=True, check=False).stdout
        libraries = [word for word in needed.split() if word.startswith("/")]
        for source, target in ((real, f"bin/{program}"), *((Path(each), each[1:]) for each in libraries)):
            (path / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, path / target)
    (path / "etc").mkdir()
    (path / "etc/release").write_text("test image\n")
    return path


@needs_root
def test_user_groups_capabilities_and_privileges_are_those_asked_for(world: ProcessWorld) -> None:
    security = Security(
        run_as_user=1234,
        run_as_group=2345,
        supplemental_groups=(7, 8),
        drop_capabilities=("ALL",),
        no_new_privileges=True,
    )
    wanted = "^(Uid|Gid|Groups|NoNewPrivs|CapBnd|CapEff):"
    script = f"grep -E '{wanted}' /proc/self/status; touch mine && echo wrote; umask"
    found = [line.split() for line in said(world, script, security=security)]
    assert ["Uid:", *["1234"] * 4] in found
    assert ["Gid:", *["2345"] * 4] in found
    assert ["Groups:", "7", "8", "2345"] in found
    assert ["NoNewPrivs:", "1"] in found
    assert ["CapBnd:", "0" * 16] in found
    assert ["CapEff:", "0" * 16] in found
    assert found[-2:] == [["wrote"], ["0022"]]


@needs_root
@needs_mounts
def test_another_user_reaches_volumes_at_new_paths(world: ProcessWorld) -> None:
    """The agent's own directories are closed to that user: only the mounts lead there."""
    (volume := world.directory / "volume").mkdir()
    volume.chmod(0o777)
    script = "echo x >/no-such/deep/path/made; cat no-such/deep/path/made; cat /no-such/deep/path/made; pwd"
    found = said(
        world, script, mounts=(Mount(volume, "/no-such/deep/path"),), security=Security(run_as_user=1234)
    )
    assert found[:2] == ["x", "x"]


@needs_root
def test_an_exec_has_the_containers_identity_and_mounts(world: ProcessWorld) -> None:
    (volume := world.directory / "volume").mkdir(mode=0o755)
    (volume / "seen").write_text("seen\n")
    config = sandbox_of(world)
    spec = container_of(world, config, world.sleeps(), mounts=(Mount(volume, "/data"),), env=(("WHO", "me"),))
    spec = replace(spec, security=Security(run_as_user=1234, drop_capabilities=("ALL",)))

    async def main() -> bytes:
        async with connected(world.driver()) as runtime:
            container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            script = "id -u; echo $WHO; cat data/seen; grep CapBnd /proc/self/status"
            return (await runtime.exec_sync(container_id, ("sh", "-c", script), 60)).output

    lines = run(main()).decode().split()
    assert lines == ["1234", "me", *(["seen"] if mounts_work() else lines[2:-2]), "CapBnd:", "0" * 16]


def test_no_signal_is_ignored_or_blocked_whatever_the_agent_was_started_with(world: ProcessWorld) -> None:
    """Signals 32 and 33 are those that `make` leaves ignored."""
    code = (
        "from minikubelet.runtimes.process import shimenter, shimlibc; import os, signal\n"
        "number = shimlibc._RT_SIGACTION[os.uname().machine]\n"
        "for hidden in (32, 33):\n"
        "    shimlibc.call('syscall', number, hidden, (1).to_bytes(8, 'little') + bytes(56), None, 8)\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "masks = lambda: [l.split()[1] for l in open('/proc/self/status') if l[:6] in ('SigIgn', 'SigBlk')]\n"
        "print(*masks()); shimenter.default_signals(); print(*masks())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = ran.stdout.splitlines()
    assert int(before.split()[1], 16) >> 31 & 3 == 3
    assert after.split() == ["0" * 16, "0" * 16]
    script = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
    assert {line.split()[1] for line in said(world, f"exec {script}")} == {"0" * 16}


def test_a_terminal_and_an_open_stdin_are_given_where_asked_for(world: ProcessWorld) -> None:
    assert said(world, "test -t 0 && test -t 1 && echo terminal", tty=True) == ["terminal"]
    assert said(world, "cat; echo end") == ["end"], "without stdin there is nothing to read"
    config = sandbox_of(world)
    spec = replace(container_of(world, config, ("cat",)), stdin=True)

    async def main() -> int | None:
        async with connected(world.driver()) as runtime:
            container_id = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            await runtime.stop_container(container_id, 3600)
            return (await exited(runtime, container_id)).exit_code

    assert run(main()) == 128 + signal.SIGTERM, "cat waited for input until it was stopped"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("no-such-program",), 127, "command not found: no-such-program on PATH"),
        (("/no/such/program",), 127, "command not found: /no/such/program"),
        (("/etc/passwd",), 126, "cannot execute /etc/passwd"),
        (("{}/script",), 126, "its interpreter is not there"),
    ],
)
def test_what_cannot_be_executed_is_named(
    world: ProcessWorld, command: tuple[str, ...], code: int, words: str
) -> None:
    (world.directory / "script").write_text("#!/no/such/interpreter\n")
    (world.directory / "script").chmod(0o755)
    config = sandbox_of(world)
    spec = container_of(world, config, tuple(part.format(world.directory) for part in command))

    async def main() -> RuntimeFault:
        async with connected(world.driver()) as runtime:
            container_id = await runtime.create_container(await runtime.run_pod_sandbox(config), spec)
            with pytest.raises(RuntimeFault) as caught:
                await runtime.start_container(container_id)
            found = await exited(runtime, container_id)
            assert (found.exit_code, found.reason) == (code, "ContainerCannotRun")
            assert words.split(":", maxsplit=1)[0] in found.message
            return caught.value

    fault = run(main())
    assert (fault.reason, fault.exit_code) == ("RunContainerError", code)
    assert words in fault.message


def test_the_supervisor_stays_small() -> None:
    """It is there once per container: none of the large modules may creep into it."""
    code = (
        "import sys; sys.path.append(sys.argv[1]); import minikubelet.runtimes.process.shim\n"
        "print(*sorted(sys.modules))"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(root)], capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.split())
    assert "minikubelet.runtimes.process.shim" in loaded
    large = {
        "typing",
        "re",
        "enum",
        "json",
        "pathlib",
        "dataclasses",
        "ctypes",
        "signal",
        "subprocess",
        "asyncio",
    }
    assert not loaded & (large | {msgspec.__name__})
