"""A state directory as an engine: what the contract and the process driver's own tests run on."""

import functools
import subprocess
import sys
from pathlib import Path

from minikubelet.ports.runtimeport import Runtime
from minikubelet.runtimes.process import processlaunch, proctable
from minikubelet.runtimes.process.processrecords import ShimState, read_record
from minikubelet.runtimes.process.processruntime import ProcessRuntime
from tests.running import eventually
from tests.runtimes.contract.contract_world import Ability

TRAP = "trap '' TERM; exec sleep 3600"


@functools.cache
def mounts_work() -> bool:
    """Whether containers get mount namespaces here: as root nearly always, else where user namespaces do."""
    attempt = "from minikubelet.runtimes.process.shimmounts import own_namespace; own_namespace()"
    return subprocess.run([sys.executable, "-c", attempt], capture_output=True, check=False).returncode == 0


class PatientRuntime(ProcessRuntime):
    """Waits after the start of what ignores SIGTERM until it does: before, a signal would still end it."""

    async def start_container(self, container_id: str) -> None:
        await super().start_container(container_id)
        pid = state_of(self, container_id).pid
        if TRAP in of_proc(pid, "cmdline"):
            await eventually(lambda: ignores_term(pid), "the trap for SIGTERM")


class ProcessWorld:
    """Drivers of two nodes over one state directory."""

    image = "busybox:1.36"
    namespace = "default"

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "world"
        self.directory.mkdir()
        self.state = directory / "state"
        self.abilities = frozenset({Ability.PROGRAMS} | ({Ability.ROOTS} if mounts_work() else set()))

    def driver(self) -> PatientRuntime:
        return PatientRuntime(self.state, node="ours")

    def stranger(self) -> PatientRuntime:
        return PatientRuntime(self.state, node="theirs")

    async def abandon(self, driver: Runtime) -> None:
        """The kernel closes what a killed agent had open, and does nothing else."""
        assert isinstance(driver, ProcessRuntime)
        driver._watches.close()

    def sleeps(self) -> tuple[str, ...]:
        return ("sleep", "3600")

    def exits(self, code: int) -> tuple[str, ...]:
        return self.shell(f"exit {code}")

    def exits_when(self, path: Path, code: int) -> tuple[str, ...]:
        return self.shell(f"while [ ! -e '{path}' ]; do sleep 0.05; done; exit {code}")

    def ignores_term(self) -> tuple[str, ...]:
        return self.shell(TRAP)

    def shell(self, script: str) -> tuple[str, ...]:
        return ("/bin/sh", "-c", script)

    def missing(self) -> tuple[str, ...]:
        return ("no-such-program", "at", "all")

    def clean(self) -> None:
        """Kill whatever a test left running below the state directory."""
        for mark in self.state.glob("process/*/*/*/container.json"):
            for pid in proctable.marked(f"MINIKUBELET_CONTAINER={mark.parent}".encode()):
                proctable.kill(pid, 9)


def state_of(runtime: ProcessRuntime, container_id: str) -> ShimState:
    """What the supervisor has written of a container."""
    path = runtime._store.directory(container_id)
    assert path is not None
    state = read_record(path / "state.json", ShimState)
    assert state is not None
    return state


def ignores_term(pid: int) -> bool:
    """Whether SIGTERM is ignored by a process."""
    masks = dict(line.split(":", 1) for line in of_proc(pid, "status").splitlines())
    return bool(int(masks.get("SigIgn", "0"), 16) >> 14 & 1)


def of_proc(pid: int, name: str) -> str:
    """A file of a process in /proc; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def runs(pid: int) -> bool:
    """Whether a process lives; one that waits to be reaped does not."""
    return bool(of_proc(pid, "cmdline"))


def usage_of(runtime: ProcessRuntime, container_id: str) -> dict[str, int]:
    """As container_stats, without the loop."""
    return processlaunch.usage(state_of(runtime, container_id).shim)
