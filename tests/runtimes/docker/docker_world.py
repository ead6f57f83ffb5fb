"""The engine of the tests as a world for the contract's cases, and for the Docker driver's own tests."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from minikubelet.ports.runtimeport import Runtime
from minikubelet.runtimes.docker import DockerRuntime
from tests.engine import docker_probe
from tests.running import eventually, run
from tests.runtimes.contract.contract_world import Ability

ABILITIES = frozenset(Ability)
_SIGTERM = 1 << 14


class TrappedRuntime(DockerRuntime):
    """A driver whose `start_container` returns only once a shell script has set its trap for SIGTERM.

    Sent before, the signal is lost: the first process of a PID namespace does not have defaults.
    """

    async def start_container(self, container_id: str) -> None:
        await super().start_container(container_id)
        await eventually(lambda: _trapped(container_id), "the trap for SIGTERM")


def _trapped(container_id: str) -> bool:
    _, found = docker_probe.ask("GET", f"/containers/{container_id}/json")
    if found["State"]["Pid"] == 0 or not any("trap" in word for word in found["Config"]["Entrypoint"] or ()):
        return True
    process = Path(f"/proc/{found['State']['Pid']}")
    try:
        # Until it becomes the program, the process is the engine's own, which has handlers as well.
        if b"trap" not in (process / "cmdline").read_bytes():
            return False
        status = (process / "status").read_text(encoding="utf-8")
    except OSError:
        return False  # it has just ended, as the engine will say
    masks = [line.split()[1] for line in status.splitlines() if line.startswith(("SigIgn:", "SigCgt:"))]
    return any(int(mask, 16) & _SIGTERM for mask in masks)


class DockerWorld:
    """A pod namespace of its own on a real engine, with busybox for programs."""

    def __init__(self, host: str, image: str, namespace: str, directory: Path) -> None:
        self.abilities = ABILITIES
        self.host = host
        self.image = image
        self.namespace = namespace
        self.directory = directory

    def driver(self) -> DockerRuntime:
        return self._driver(f"node-{self.namespace}")

    def stranger(self) -> DockerRuntime:
        return self._driver(f"other-{self.namespace}")

    def _driver(self, node: str) -> DockerRuntime:
        return TrappedRuntime(self.host, node=node, state_dir=self.directory / "state")

    async def abandon(self, driver: Runtime) -> None:
        """The driver writes nothing when it closes, so closing is as sudden as dying."""
        await driver.aclose()

    def sleeps(self) -> tuple[str, ...]:
        return self.shell("trap 'exit 0' TERM; while :; do sleep 3600 & wait; done")

    def exits(self, code: int) -> tuple[str, ...]:
        return self.shell(f"exit {code}")

    def exits_when(self, path: Path, code: int) -> tuple[str, ...]:
        return self.shell(f"while [ ! -e '{path}' ]; do sleep 0.05; done; exit {code}")

    def ignores_term(self) -> tuple[str, ...]:
        return self.shell("trap '' TERM; while :; do sleep 1; done")

    def shell(self, script: str) -> tuple[str, ...]:
        return ("sh", "-c", script)

    def missing(self) -> tuple[str, ...]:
        return ("/no/such/program",)


def inspect(container_id: str) -> dict[str, Any]:
    """What the engine says of a container."""
    answer, found = docker_probe.ask("GET", f"/containers/{container_id}/json")
    assert answer == 200, found
    return dict(found)


def go(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a test that starts containers: patiently."""
    run(main(), patience=110)
