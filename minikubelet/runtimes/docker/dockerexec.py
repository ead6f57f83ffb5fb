"""Commands run in a container, and what a container uses: short calls into what runs.

Output is bounded and time is limited; a process that is given up is killed where it can be found.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aiodocker.exceptions import DockerError

from minikubelet.ports.runtimeport import ExecResult, RuntimeFault
from minikubelet.runtimes.docker.dockerengine import Engine, is_conflict, is_gone, refused
from minikubelet.runtimes.docker.dockerframes import FrameParser

OUTPUT_BYTES: Final = 64 * 1024
"""What is kept of a command's output; the rest is read and dropped, so that the command is not held up."""

_POLL_SECONDS: Final = 0.01
_PID_POLLS: Final = 500


async def exec_sync(
    engine: Engine, container_id: str, command: Sequence[str], timeout_seconds: float
) -> ExecResult:
    """Run a command to its end; RuntimeFault("DeadlineExceeded") when that takes too long."""
    exec_id = ""
    try:
        async with asyncio.timeout(timeout_seconds):
            body = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
            exec_id = (await engine.ask("POST", f"containers/{container_id}/exec", body=body))["Id"]
            output = await _output(engine, exec_id)
            return ExecResult(await exit_code_of(engine, exec_id), output)
    except TimeoutError:
        if exec_id:
            await kill_exec(engine, container_id, exec_id)
        raise RuntimeFault(
            "DeadlineExceeded",
            f"the command did not end within {timeout_seconds:g} s",
            container_id=container_id,
        ) from None
    except DockerError as error:
        not_running = is_gone(error) or is_conflict(error)
        raise refused(
            "ContainerNotRunning" if not_running else "ExecFailed", error, container_id=container_id
        ) from None


async def _output(engine: Engine, exec_id: str) -> bytes:
    parser, output = FrameParser(), bytearray()
    body = {"Detach": False, "Tty": False}
    async with engine.stream("POST", f"exec/{exec_id}/start", body=body) as answer:
        async for data in answer.content.iter_any():
            for _, payload in parser.feed(data):
                output += payload[: OUTPUT_BYTES - len(output)]
    return bytes(output)


async def exit_code_of(engine: Engine, exec_id: str) -> int:
    """The stream ends a moment before the engine knows how the command did."""
    while True:
        found = await engine.ask("GET", f"exec/{exec_id}/json")
        if not found["Running"] and found["ExitCode"] is not None:
            return int(found["ExitCode"])
        await asyncio.sleep(_POLL_SECONDS)


async def kill_exec(engine: Engine, container_id: str, exec_id: str) -> None:
    """The engine cannot end a command: done by process id where the engine is on this host, else left."""
    try:
        pid = await _pid_of(engine, exec_id)
        if pid > 1 and engine.socket is not None and await asyncio.to_thread(_is_in, pid, container_id):
            os.kill(pid, signal.SIGKILL)
    except (DockerError, RuntimeFault, OSError):
        return  # it is gone, or not ours to kill: the caller is told of the deadline either way


async def _pid_of(engine: Engine, exec_id: str) -> int:
    """Its process, 0 when it has ended; output may come a moment before the engine knows the process."""
    for _ in range(_PID_POLLS):
        found = await engine.ask("GET", f"exec/{exec_id}/json")
        if found.get("Pid") or (not found["Running"] and found["ExitCode"] is not None):
            return int(found.get("Pid") or 0)
        await asyncio.sleep(_POLL_SECONDS)
    return 0


def _is_in(pid: int, container_id: str) -> bool:
    return container_id in Path(f"/proc/{pid}/cgroup").read_text()


async def container_stats(engine: Engine, container_id: str) -> dict[str, int]:
    """CPU time in ns, memory in bytes without what the kernel could drop at once, and processes."""
    try:
        params = {"stream": False, "one-shot": True}
        found = await engine.ask("GET", f"containers/{container_id}/stats", params=params)
    except DockerError as error:
        if is_gone(error) or is_conflict(error):
            return {}
        raise refused("ContainerStats", error, container_id=container_id) from None
    return usage_of(found)


def usage_of(found: dict[str, Any]) -> dict[str, int]:
    """The figures in the engine's answer; empty for a container that does not run."""
    memory = found.get("memory_stats") or {}
    if "usage" not in memory:
        return {}
    details = memory.get("stats") or {}
    inactive = details.get("total_inactive_file", details.get("inactive_file", 0))  # cgroup v1, v2
    return {
        "cpu_usage_ns": int(found["cpu_stats"]["cpu_usage"]["total_usage"]),
        "memory_bytes": max(0, int(memory["usage"]) - int(inactive)),
        "pids": int((found.get("pids_stats") or {}).get("current", 0)),
    }


async def writable_layer(engine: Engine, container_id: str) -> int:
    """Bytes that a container has written over its image; 0 for one that is gone."""
    try:
        found = await engine.ask("GET", f"containers/{container_id}/json", params={"size": True})
    except DockerError as error:
        if is_gone(error):
            return 0
        raise refused("ContainerStats", error, container_id=container_id) from None
    return max(0, int(found.get("SizeRw") or 0))
