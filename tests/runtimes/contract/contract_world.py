"""What a driver has to bring so that the contract's cases can be run on it, and shorthands for the cases.

A world is one engine (or its likeness) with an address that outlives driver objects: `driver()` called
twice gives two drivers that see the same containers, as before and after a restart of the agent.
Nothing here knows a particular driver.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Protocol

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod
from minikubelet.ports.runtimeport import ContainerConfig, Mount, Runtime, SandboxConfig
from tests.running import eventually


class Ability(Enum):
    """What not every driver can do; a case that needs it is left out where it is missing."""

    PROGRAMS = "commands are real programs: `shell` and `says` work"
    ROOTS = "containers have a root of their own: mounts appear at their container path"
    IMAGES = "images are needed to run a container"


class DriverWorld(Protocol):
    """One engine, the drivers made for it, and commands in its terms.

    Commands are what goes into `ContainerConfig.command`. Each world has a pod namespace of its own, and
    cleans up whatever is left in it when its test has ended.
    """

    abilities: frozenset[Ability]
    image: str
    namespace: str
    directory: Path
    """A directory of the host for logs and mounts, empty at first, which containers may be given."""

    def driver(self) -> Runtime:
        """A new, unconnected driver of this world's node."""

    def stranger(self) -> Runtime:
        """A new, unconnected driver of another node on the same engine."""

    async def abandon(self, driver: Runtime) -> None:
        """Make the driver end without a farewell, as kill -9 of the agent would."""

    def sleeps(self) -> tuple[str, ...]:
        """Runs until it is told to stop; ends at once on SIGTERM (with any exit code)."""

    def exits(self, code: int) -> tuple[str, ...]:
        """Ends with that exit code at once."""

    def exits_when(self, path: Path, code: int) -> tuple[str, ...]:
        """Ends with that exit code once the host path exists (it is below `directory`, mounted at itself)."""

    def ignores_term(self) -> tuple[str, ...]:
        """Runs until SIGKILL."""

    def shell(self, script: str) -> tuple[str, ...]:
        """Runs a POSIX shell script, as three words (shell, flag, script); only with Ability.PROGRAMS."""

    def missing(self) -> tuple[str, ...]:
        """A command that cannot be started since there is no such program."""


def sandbox_of(world: DriverWorld, name: str = "web", attempt: int = 0) -> SandboxConfig:
    """A sandbox of a new pod."""
    uid = PodUid(f"uid-{secrets.token_hex(6)}")
    return SandboxConfig(
        uid=uid,
        namespace=world.namespace,
        name=name,
        attempt=attempt,
        hostname=name,
        log_directory=world.directory / "logs" / f"{world.namespace}_{name}_{uid}",
        labels=(("app", name),),
    )


def container_of(
    world: DriverWorld,
    sandbox: SandboxConfig,
    command: Sequence[str],
    *,
    name: str = "main",
    attempt: int = 0,
    mounts: tuple[Mount, ...] = (),
    env: tuple[tuple[str, str], ...] = (),
    working_dir: str = "",
) -> ContainerConfig:
    """A container of that pod which runs the command."""
    return ContainerConfig(
        uid=sandbox.uid,
        namespace=sandbox.namespace,
        pod_name=sandbox.name,
        name=name,
        attempt=attempt,
        image=world.image,
        hash="cafe",
        command=tuple(command),
        log_path=sandbox.log_directory / name / f"{attempt}.log",
        mounts=mounts,
        env=env,
        working_dir=working_dir,
    )


@asynccontextmanager
async def connected(driver: Runtime) -> AsyncIterator[Runtime]:
    """The driver, connected until the block ends."""
    await driver.connect()
    try:
        yield driver
    finally:
        await driver.aclose()


async def started(runtime: Runtime, sandbox_id: str, config: ContainerConfig) -> str:
    """Creates and starts a container; its id."""
    container_id = await runtime.create_container(sandbox_id, config)
    await runtime.start_container(container_id)
    return container_id


async def pod_of(runtime: Runtime, uid: PodUid) -> ObservedPod | None:
    """What the driver shows of one pod; None when it shows nothing."""
    pods = [pod for pod in await runtime.list_pods(uid) if pod.uid == uid]
    assert len(pods) < 2, f"{uid} is listed twice"
    return pods[0] if pods else None


async def exited(runtime: Runtime, container_id: str) -> ObservedContainer:
    """Waits until a container has exited, and gives how."""

    async def look() -> ObservedContainer | None:
        found = await runtime.container_status(container_id)
        return found if found is not None and found.phase is ContainerPhase.EXITED else None

    found = await eventually(look, f"the exit of {container_id[:12]}")
    assert found is not None
    return found


async def status(runtime: Runtime, container_id: str) -> ObservedContainer:
    """The container as it is now; it must be there."""
    found = await runtime.container_status(container_id)
    assert found is not None, f"{container_id[:12]} is gone"
    return found
