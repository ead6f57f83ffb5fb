"""Processes that work for a command end with it, however it ends."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.running import eventually, run

SIMULATE = (sys.executable, "-m", "minikubelet", "simulate", "--jobs", "2", "--seeds", "100000")


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text(encoding="ascii").split()] if listed.exists() else []


def _works(pid: int) -> bool:
    """Whether a process is there that is more than an entry which nobody has waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_command(number: signal.Signals) -> None:
    async def watch() -> None:
        command = await asyncio.create_subprocess_exec(*SIMULATE, stdout=asyncio.subprocess.DEVNULL)
        try:
            await eventually(lambda: len(_children(command.pid)) >= 2, "workers")
            workers = _children(command.pid)
        finally:
            command.send_signal(number)
            await command.wait()
        await eventually(lambda: not any(_works(worker) for worker in workers), "the end of all workers")

    run(watch())
