"""Effects: every command becomes the runtime's calls, and every outcome an event."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from minikubelet.core.commands import (
    CleanUpPod,
    Reason,
    RemoveContainer,
    RemoveSandbox,
    RuntimeCommand,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopSandbox,
)
from minikubelet.core.events import (
    CommandFailed,
    ContainerRemoved,
    ContainerStarted,
    ContainerStartFailed,
    ContainerStopped,
    PodCleanedUp,
    ResultEvent,
    SandboxRemoved,
    SandboxStarted,
    SandboxStartFailed,
    SandboxStopped,
)
from minikubelet.core.reducer import Reducer
from minikubelet.model.pod import Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod
from minikubelet.ports.runtimeport import ImageInfo, RuntimeFault
from minikubelet.shell.effects import Effects
from minikubelet.shell.images import Images
from minikubelet.shell.limiter import Limiter
from minikubelet.shell.podconfig import NodeSide, PodConfigMaker
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.pullwaits import PullWaits
from minikubelet.shell.vault import Vault
from minikubelet.shell.volumes import Volumes
from minikubelet.wire.containerhash import container_hash
from tests.running import run
from tests.shell.shell_world import SLOT, UID, FakeRuntime, Gate, exited, pod, running, shown

BASE = {"slot": SLOT, "reason": Reason.POD_ADDED, "uid": UID}
START_SANDBOX = StartSandbox(slot=SLOT, reason=Reason.POD_ADDED, uid=UID, attempt=0)
START = StartContainer(
    slot=SLOT, reason=Reason.NEXT_IN_ORDER, uid=UID, container="main", attempt=0, sandbox_id="s1"
)
STOP = StopContainer(
    slot=SLOT, reason=Reason.POD_REMOVED, uid=UID, container="main", container_id="c1", grace=7
)
REMOVE = RemoveContainer(
    slot=SLOT, reason=Reason.CONTAINER_SUPERFLUOUS, uid=UID, container="main", container_id="c1"
)
CLEAN_UP = CleanUpPod(slot=SLOT, reason=Reason.POD_REMOVED, uid=UID)


class World:
    """Effects over a fake runtime, with one pod in the vault."""

    def __init__(self, directory: Path) -> None:
        self.runtime = FakeRuntime()
        self.runtime.images["busybox:1.36"] = ImageInfo("sha256:1")
        self.paths = PodPaths(directory / "state", directory / "logs")
        self.vault = Vault(self.paths)

    def carry_out(
        self, command: RuntimeCommand, held: Pod | None = None, *, retracted: bool = False
    ) -> ResultEvent:
        async def main() -> ResultEvent:
            if held is not None:
                await self.vault.store(held)
            if retracted:
                self.vault.retract(UID)
            configs = PodConfigMaker(NodeSide(name="n", ips=("10.0.0.1",)), self.paths, Volumes(self.paths))
            effects = Effects(
                self.runtime, configs, Images(self.runtime, 1),
                vault=self.vault, paths=self.paths, limiter=Limiter(2, 2, lambda: 0.0),
                waits=PullWaits(Reducer()),
            )  # fmt: skip
            return await effects.carry_out(command)

        return run(main())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_sandbox_is_started_and_its_address_told(world: World) -> None:
    event = world.carry_out(START_SANDBOX, pod())
    assert event == SandboxStarted(slot=SLOT, uid=UID, attempt=0, sandbox_id="s1", ips=("172.17.0.2",))


def test_a_container_is_created_and_started_with_its_image(world: World) -> None:
    event = world.carry_out(START, pod())
    assert isinstance(event, ContainerStarted)
    assert (event.container_id, event.image_id, len(event.hash)) == ("c-main-0", "sha256:1", 16)
    assert "pull_image busybox:1.36" not in world.runtime.calls


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("create_container", "CreateContainerError"),
        ("start_container", "RunContainerError"),
        ("image_status", "ErrImagePull"),
    ],
)
def test_a_start_that_fails_says_why(world: World, call: str, reason: str) -> None:
    world.runtime.faults[call] = RuntimeFault(reason, "no luck")
    event = world.carry_out(START, pod())
    assert isinstance(event, ContainerStartFailed)
    assert (event.reason, event.message, event.container_id) == (reason, "no luck", "")


def test_an_instance_that_could_not_run_is_named(world: World) -> None:
    fault = RuntimeFault("RunContainerError", "not found", container_id="c9", exit_code=127)
    world.runtime.faults["start_container"] = fault
    event = world.carry_out(START, pod())
    assert isinstance(event, ContainerStartFailed)
    assert (event.container_id, event.exit_code) == ("c9", 127)
    assert event.hash == container_hash(pod().spec.containers[0])


def test_secret_values_do_not_come_back_in_messages(world: World) -> None:
    """An engine may quote the request; the journal must not hold the value."""
    held = pod(Container(name="main", image="busybox:1.36", env=(EnvVar(name="KEY", value="canary-4711"),)))
    world.runtime.faults["create_container"] = RuntimeFault("CreateContainerError", "bad env KEY=canary-4711")
    event = world.carry_out(START, held)
    assert isinstance(event, ContainerStartFailed)
    assert "canary-4711" not in event.message
    assert "bad env" in event.message


@pytest.mark.parametrize("command", [START_SANDBOX, START, STOP, REMOVE, CLEAN_UP])
def test_a_bug_costs_one_command_and_not_the_agent(world: World, command: RuntimeCommand) -> None:
    """A definition that nobody foresaw would end the agent again in each of its lives."""
    held = pod(Container(name="main", image="busybox:1.36", env=(EnvVar(name="KEY", value="canary-4711"),)))
    world.runtime.broken = ValueError("canary-4711 is no number")
    event = world.carry_out(command, held)
    assert isinstance(event, SandboxStartFailed | ContainerStartFailed | CommandFailed)
    assert (event.reason, event.message) == ("InternalError", "ValueError: [redacted] is no number")


def test_a_container_started_after_a_restart_of_the_agent_knows_the_addresses_of_its_sandbox(
    world: World,
) -> None:
    world.runtime.shown[UID] = shown()
    address = EnvVar(
        name="IP", value_from=EnvVarSource(field_ref=ObjectFieldSelector(field_path="status.podIP"))
    )
    world.carry_out(START, pod(Container(name="main", image="busybox:1.36", env=(address,))))
    assert world.runtime.configs[0].env == (("IP", "172.17.0.2"),)


def test_a_pod_that_is_not_known_any_more_fails_its_start(world: World) -> None:
    event = world.carry_out(START_SANDBOX)
    assert isinstance(event, SandboxStartFailed)
    assert event.reason == "CreateContainerConfigError"


def test_a_stopped_container_tells_how_it_ended(world: World) -> None:
    world.runtime.shown[UID] = shown(exited("c1", 143, message="bye"))
    event = world.carry_out(STOP)
    assert event == ContainerStopped(
        slot=SLOT, uid=UID, container="main", container_id="c1", exit_code=143,
        started_at=5, finished_at=9, reason="Error", message="bye",
    )  # fmt: skip
    assert "stop_container c1 7" in world.runtime.calls


def test_a_stopped_container_that_is_gone_counts_as_killed(world: World) -> None:
    event = world.carry_out(STOP)
    assert isinstance(event, ContainerStopped)
    assert (event.exit_code, event.reason) == (137, "ContainerStatusUnknown")


def test_a_removed_container(world: World) -> None:
    event = world.carry_out(REMOVE)
    assert event == ContainerRemoved(slot=SLOT, uid=UID, container="main", container_id="c1")


def test_a_start_waits_for_a_removal_decided_before_it(world: World) -> None:
    """A driver may give the id of what a crash left half made to the next attempt: it must not be removed."""

    async def main() -> None:
        await world.vault.store(pod())
        gate = world.runtime.gates["remove_container"] = Gate()
        configs = PodConfigMaker(NodeSide(name="n"), world.paths, Volumes(world.paths))
        effects = Effects(
            world.runtime, configs, Images(world.runtime, 1),
            vault=world.vault, paths=world.paths, limiter=Limiter(2, 2, lambda: 0.0),
                waits=PullWaits(Reducer()),
        )  # fmt: skip
        both = [asyncio.create_task(effects.carry_out(command)) for command in (REMOVE, START)]
        await gate.reached.wait()
        await asyncio.wait(both, timeout=0.2)
        assert "create_container main" not in world.runtime.calls
        gate.opened.set()
        await asyncio.gather(*both)
        assert "start_container c-main-0" in world.runtime.calls

    run(main())


def test_a_sandbox_is_stopped_or_removed(world: World) -> None:
    stop = StopSandbox(slot=SLOT, reason=Reason.POD_FINISHED, uid=UID, sandbox_id="s1")
    remove = RemoveSandbox(slot=SLOT, reason=Reason.POD_REMOVED, uid=UID, sandbox_id="s1")
    assert world.carry_out(stop) == SandboxStopped(slot=SLOT, uid=UID, sandbox_id="s1")
    assert world.carry_out(remove) == SandboxRemoved(slot=SLOT, uid=UID, sandbox_id="s1")
    assert world.runtime.calls[-2:] == ["stop_pod_sandbox s1", "remove_pod_sandbox s1"]


def test_the_volumes_of_a_pod_that_has_ended_go_and_all_else_stays(world: World) -> None:
    """As upstream's, which unmounts what a terminated pod had mounted; its logs can still be read."""
    volume = world.paths.volume(UID, "empty-dir", "data")
    log = world.paths.log(SLOT, UID, "main", 0)
    for directory in (volume, log.parent):
        directory.mkdir(parents=True)
    (volume / "file").write_text("x")
    log.write_text("x")
    stop = StopSandbox(slot=SLOT, reason=Reason.POD_FINISHED, uid=UID, sandbox_id="s1")
    world.carry_out(stop, pod())
    assert not world.paths.volumes(UID).exists()
    assert log.is_file()
    assert world.paths.definition(UID).is_file()


def test_a_failed_stop_names_its_lane(world: World) -> None:
    world.runtime.faults["stop_container"] = RuntimeFault("Unavailable", "gone", unreachable=True)
    event = world.carry_out(STOP)
    assert event == CommandFailed(
        slot=SLOT, uid=UID, lane="main", command="StopContainer", reason="Unavailable", message="gone"
    )


def test_a_clean_up_leaves_nothing_on_runtime_or_disk(world: World) -> None:
    world.runtime.shown[UID] = shown(running("c1"))
    log = world.paths.log(SLOT, UID, "main", 0)
    log.parent.mkdir(parents=True)
    log.write_text("x")
    assert world.carry_out(CLEAN_UP, pod(), retracted=True) == PodCleanedUp(slot=SLOT, uid=UID)
    assert not world.paths.pod(UID).exists()
    assert not world.paths.log_directory(SLOT, UID).exists()
    assert world.vault.get(UID) is None
    assert {"remove_pod_sandbox s1", "remove_container c1"} <= set(world.runtime.calls)


def test_a_clean_up_of_a_pod_that_is_wanted_again_keeps_its_definition(world: World) -> None:
    keep = CleanUpPod(slot=SLOT, reason=Reason.POD_REMOVED, uid=UID, keep_definition=True)
    world.carry_out(keep, pod())
    assert world.vault.get(UID) == pod()
    assert world.paths.definition(UID).is_file()


def test_a_pod_that_came_back_before_its_clean_up_began_is_kept(world: World) -> None:
    """Its definition was stored already when the loop, which had not yet heard of that, decided."""
    assert world.carry_out(CLEAN_UP, pod()) == PodCleanedUp(slot=SLOT, uid=UID)
    assert world.vault.get(UID) == pod()
    assert world.paths.definition(UID).is_file()


def test_a_pod_stored_while_it_is_cleaned_up_is_kept(world: World) -> None:
    """The file came back between the decision and its end."""

    async def main() -> None:
        await world.vault.store(pod())
        world.vault.retract(UID)
        gate = world.runtime.gates["list_pods"] = Gate()
        configs = PodConfigMaker(NodeSide(name="n"), world.paths, Volumes(world.paths))
        effects = Effects(
            world.runtime, configs, Images(world.runtime, 1),
            vault=world.vault, paths=world.paths, limiter=Limiter(2, 2, lambda: 0.0),
                waits=PullWaits(Reducer()),
        )  # fmt: skip
        cleaning = asyncio.create_task(effects.carry_out(CLEAN_UP))
        await gate.reached.wait()
        await world.vault.store(pod())
        gate.opened.set()
        await cleaning

    run(main())
    assert world.vault.get(UID) == pod()
    assert world.paths.definition(UID).is_file()


def test_a_disk_that_refuses_is_a_failure_of_the_command(world: World) -> None:
    world.paths.logs.mkdir(parents=True)
    directory = world.paths.log_directory(SLOT, UID)
    directory.mkdir()
    world.runtime.faults["list_pods"] = RuntimeFault("Unavailable", "gone")
    event = world.carry_out(CLEAN_UP, pod())
    assert isinstance(event, CommandFailed)
    assert event.lane == "cleanup"
    assert directory.exists()


def test_a_container_that_an_earlier_try_left_running_keeps_its_own_hash(world: World) -> None:
    """The definition was edited in between: only the engine knows what it was made from."""
    world.runtime.shown[UID] = shown(replace(running("c-main-0"), hash="older"))
    event = world.carry_out(START, pod())
    assert isinstance(event, ContainerStarted)
    assert event.hash == "older"
