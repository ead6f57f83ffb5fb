"""Starting this package's own small Python programs: supervisors, and commands that join a container.

Belongs here: command lines, and what comes back. Each program is an interpreter without site packages.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import minikubelet
from minikubelet.ports.runtimeport import ExecResult, RuntimeFault
from minikubelet.runtimes.process import proctable, shimspec

MOST_OUTPUT = 16 * 1024
"""Bytes of a command's output that are kept, as the kubelet does for probes."""
_PATIENCE = 60.0
_AFTER = 1.0
"""Seconds that output may still come once a command has ended, from what it left in the background."""
_ROOT = str(Path(minikubelet.__file__).parent.parent)
_CODE = "import sys;sys.path.append(sys.argv[1]);from minikubelet.runtimes.process.{0} import main;main()"


def command_line(program: str, argument: str) -> list[str]:
    """Runs `main` of a module of this package with as little of Python as there can be."""
    return [sys.executable, "-I", "-S", "-E", "-c", _CODE.format(program), _ROOT, argument]


def start_supervisor(directory: Path) -> list[str]:
    """Start a container's supervisor and wait until the container has begun or not; what it reports.

    An empty report means that it began. RuntimeFault when there is no supervisor at all.
    """
    try:
        ended = subprocess.run(  # noqa: S603 - our own interpreter and our own module
            command_line("shim", str(directory)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={},
            cwd="/",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeFault("RunContainerError", f"its supervisor cannot be started: {error}") from error
    if ended.returncode != 0 or ended.stderr:
        why = ended.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise RuntimeFault("RunContainerError", f"its supervisor failed: {why or ended.returncode}")
    return ended.stdout.decode(errors="replace").splitlines()


async def run_inside(pid: int, command: Sequence[str], ends: asyncio.Event, seconds: float) -> ExecResult:
    """Run a command beside a container's process until it, the container or the time has ended."""
    process = await asyncio.create_subprocess_exec(
        *command_line("shimjoin", str(pid)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={},
        cwd="/",
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            killer = group.create_task(_kill_at(ends, process.pid))
            output = group.create_task(_interact(process, command))
            code = await process.wait()
            await _let_finish(output, process.pid)
            killer.cancel()
    except TimeoutError:
        raise RuntimeFault("DeadlineExceeded", f"{command[0]} did not end within {seconds} s") from None
    finally:
        proctable.kill_group(process.pid, 9)
        await process.wait()
    return ExecResult(code if code >= 0 else 128 - code, output.result())


async def _kill_at(ends: asyncio.Event, pid: int) -> None:
    """A command does not outlive its container."""
    await ends.wait()
    proctable.kill_group(pid, 9)


async def _let_finish(output: asyncio.Task[bytes], pid: int) -> None:
    done, _ = await asyncio.wait([output], timeout=_AFTER)
    if not done:
        proctable.kill_group(pid, 9)


async def _interact(process: asyncio.subprocess.Process, command: Sequence[str]) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise TypeError("the process was started without pipes")
    process.stdin.write(shimspec.encode_spec({"argv": list(command)}))
    process.stdin.close()
    kept = bytearray()
    while part := await process.stdout.read(65536):
        kept += part[: MOST_OUTPUT - len(kept)]
    return bytes(kept)


def usage(supervisor: int) -> dict[str, int]:
    """`cpu_usage_ns`, `memory_bytes`, `pids` of all processes below a supervisor; empty if there are none."""
    tick, page = 1_000_000_000 // os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    found = {"cpu_usage_ns": 0, "memory_bytes": 0, "pids": 0}
    pending = proctable.children(supervisor)
    while pending:
        pid = pending.pop()
        fields = proctable.stat_fields(pid)
        if fields:
            found["cpu_usage_ns"] += sum(int(ticks) for ticks in fields[11:15]) * tick
            found["memory_bytes"] += int(fields[21]) * page
            found["pids"] += 1
            pending += proctable.children(pid)
    return found if found["pids"] else {}
