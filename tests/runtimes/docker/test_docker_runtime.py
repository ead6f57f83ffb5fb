"""The Docker driver on a real engine, in what only it promises: sandboxes, names, images, cheap relists."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from minikubelet.model.observed import ContainerPhase
from minikubelet.ports.runtimeport import (
    DnsConfig,
    Mount,
    PortMapping,
    Resources,
    RuntimeFault,
)
from minikubelet.runtimes.docker.dockerhost import OomFloor
from minikubelet.runtimes.docker.dockernames import container_name
from minikubelet.runtimes.docker.dockerpause import PAUSE_IMAGE
from tests.engine import docker_probe
from tests.runtimes.contract.contract_programs import whole_lines
from tests.runtimes.contract.contract_world import (
    connected,
    container_of,
    exited,
    pod_of,
    sandbox_of,
    started,
    status,
)
from tests.runtimes.docker.docker_world import DockerWorld, go, inspect

pytestmark = pytest.mark.docker


async def output_of(world: DockerWorld, script: str, **sandbox_changes: Any) -> list[str]:
    """What a script writes in a pod whose sandbox has those settings."""
    config = msgspec.structs.replace(sandbox_of(world), **sandbox_changes)
    async with connected(world.driver()) as runtime:
        spec = container_of(world, config, world.shell(script))
        await exited(runtime, await started(runtime, await runtime.run_pod_sandbox(config), spec))
    return whole_lines(spec.log_path, "stdout")


def test_a_sandbox_gives_name_hosts_dns_and_sysctls(world: DockerWorld) -> None:
    async def main() -> None:
        found = await output_of(
            world,
            "hostname; grep -c '10.9.8.7.*db' /etc/hosts; cat /etc/resolv.conf /proc/sys/net/core/somaxconn",
            hostname="web-0",
            hosts=(("10.9.8.7", "db"),),
            dns=DnsConfig(("192.0.2.53",), ("svc.example",), ("ndots:5",)),
            sysctls=(("net.core.somaxconn", "1234"),),
        )
        assert (found[0], found[1], found[-1]) == ("web-0", "1", "1234")
        assert {"nameserver 192.0.2.53", "search svc.example", "options ndots:5"} <= set(found)

    go(main)


def test_the_hosts_network_is_the_hosts(world: DockerWorld) -> None:
    hosts = str(Path("/proc/self/ns/net").readlink())

    async def main() -> None:
        found = await output_of(world, "readlink /proc/self/ns/net", host_network=True)
        assert found == [hosts]

    go(main)


def test_containers_of_a_pod_share_network_and_ipc(world: DockerWorld) -> None:
    config = sandbox_of(world)
    see = "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; "
    scripts = {"one": see + "echo shared >/dev/shm/file", "two": see + "cat /dev/shm/file"}

    async def main() -> None:
        seen = {}
        async with connected(world.driver()) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            for name, script in scripts.items():
                spec = container_of(world, config, world.shell(script), name=name)
                await exited(runtime, await started(runtime, sandbox_id, spec))
                seen[name] = whole_lines(spec.log_path, "stdout")
            pod = await pod_of(runtime, config.uid)
        assert seen["two"] == [*seen["one"], "shared"]
        assert len(seen["one"]) == 2
        assert pod is not None
        assert len(pod.sandboxes[0].ips) == 1

    go(main)


def test_ports_are_mapped_on_the_host(world: DockerWorld) -> None:
    config = msgspec.structs.replace(sandbox_of(world), ports=(PortMapping(80, 0, host_ip="127.0.0.1"),))

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            mapped = inspect(sandbox_id)["NetworkSettings"]["Ports"]["80/tcp"]
            assert [binding["HostIp"] for binding in mapped] == ["127.0.0.1"]

    go(main)


def test_a_name_held_by_someone_else_is_named_and_left(world: DockerWorld) -> None:
    config = sandbox_of(world)
    spec = container_of(world, config, world.sleeps())

    async def main() -> None:
        async with connected(world.driver()) as ours, connected(world.stranger()) as theirs:
            await theirs.create_container(await theirs.run_pod_sandbox(config), spec)
            with pytest.raises(RuntimeFault, match=f"NotOwned: .* was made by node other-{world.namespace}"):
                await ours.run_pod_sandbox(config)
            mine = await ours.run_pod_sandbox(msgspec.structs.replace(config, attempt=1))
            with pytest.raises(RuntimeFault, match="NotOwned"):
                await ours.create_container(mine, spec)
            assert inspect(container_name(spec))["State"]["Status"] == "created"

    go(main)


def test_a_container_of_an_older_sandbox_makes_way(world: DockerWorld) -> None:
    """The same attempt in a new sandbox: what the old one has left under that name cannot be adopted."""
    config = sandbox_of(world)
    spec = container_of(world, config, world.sleeps())

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            old = await started(runtime, await runtime.run_pod_sandbox(config), spec)
            newer = await runtime.run_pod_sandbox(msgspec.structs.replace(config, attempt=1))
            new = await started(runtime, newer, spec)
            assert new != old
            assert await runtime.container_status(old) is None
            pod = await pod_of(runtime, config.uid)
            assert pod is not None
            assert [box.attempt for box in pod.sandboxes] == [1, 0]
            assert [found.sandbox_id for found in pod.containers] == [newer]

    go(main)


def test_a_relist_of_what_is_known_costs_one_call(
    world: DockerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = sandbox_of(world)
    asked: list[str] = []

    async def main() -> None:
        driver = world.driver()
        async with connected(driver) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            for number in range(3):
                spec = container_of(world, config, world.exits(number), name=f"c{number}")
                await exited(runtime, await started(runtime, sandbox_id, spec))
            await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
            before = await runtime.list_pods()
            fetch = driver._engine._fetch

            async def counted(method: str, path: str, *rest: Any) -> bytes:
                asked.append(path)
                return await fetch(method, path, *rest)

            monkeypatch.setattr(driver._engine, "_fetch", counted)
            assert await runtime.list_pods() == before
            assert asked == ["containers/json"]

    go(main)


def test_a_restart_by_hand_is_seen_through_the_events(world: DockerWorld) -> None:
    """Someone restarts our container with the engine's own client: a new start, the same id."""
    config = sandbox_of(world)

    async def main() -> None:
        driver = world.driver()
        async with connected(driver) as runtime, aclosing(driver.events()) as events:
            sandbox_id = await runtime.run_pod_sandbox(config)
            container_id = await started(runtime, sandbox_id, container_of(world, config, world.sleeps()))
            before = await status(runtime, container_id)
            await anext(events)
            url = f"/containers/{container_id}/restart?t=0"
            assert (await asyncio.to_thread(docker_probe.ask, "POST", url))[0] == 204
            async for event in events:
                assert event.uid in {"", config.uid}
                pod = await pod_of(runtime, config.uid)
                assert pod is not None
                now = pod.containers[0]
                if now.phase is ContainerPhase.RUNNING and now.started_at > before.started_at:
                    break

    go(main)


def test_what_cannot_be_created_says_why(world: DockerWorld) -> None:
    config = sandbox_of(world)

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            sandbox_id = await runtime.run_pod_sandbox(config)
            spec = container_of(world, config, world.sleeps())
            absent = msgspec.structs.replace(spec, image="nowhere.invalid/none:1")
            with pytest.raises(RuntimeFault, match="CreateContainerError: No such image"):
                await runtime.create_container(sandbox_id, absent)
            no_source = msgspec.structs.replace(spec, mounts=(Mount(Path("/no/such/source"), "/x"),))
            with pytest.raises(RuntimeFault, match="bind source path does not exist"):
                await runtime.create_container(sandbox_id, no_source)
            with pytest.raises(RuntimeFault, match="there is no sandbox"):
                await runtime.create_container("0" * 64, spec)
            with pytest.raises(RuntimeFault, match="there is no container"):
                await runtime.start_container("0" * 64)

    go(main)


def test_a_pull_from_no_registry_is_an_image_pull_error(world: DockerWorld) -> None:
    async def main() -> None:
        async with connected(world.driver()) as runtime:
            with pytest.raises(RuntimeFault, match=r"ErrImagePull: .*127\.0\.0\.1:1"):
                await runtime.pull_image("127.0.0.1:1/none:1")

    go(main)


def test_images_are_removed_but_never_the_pause_image(world: DockerWorld) -> None:
    name = f"{world.namespace}.invalid/copy:1"

    async def main() -> None:
        async with connected(world.driver()) as runtime:
            await runtime.run_pod_sandbox(sandbox_of(world))
            repository, tag = name.rsplit(":", 1)
            url = f"/images/{world.image}/tag?repo={repository}&tag={tag}"
            assert (await asyncio.to_thread(docker_probe.ask, "POST", url))[0] == 201
            assert await runtime.image_status(name) is not None
            await runtime.remove_image(name)
            await runtime.remove_image(name)
            assert await runtime.image_status(name) is None
            assert PAUSE_IMAGE not in [tag for image in await runtime.list_images() for tag in image.tags]
            with pytest.raises(RuntimeFault, match="it is kept"):
                await runtime.remove_image(PAUSE_IMAGE)

    go(main)


def test_an_agent_that_begins_on_living_sandboxes_finds_out_which_oom_scores_there_are(
    world: DockerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container, from where the engine's process is out of sight; no sandbox is started to tell."""

    async def main() -> None:
        config = sandbox_of(world)
        async with connected(world.driver()) as before:
            sandbox_id = await before.run_pod_sandbox(config)
        monkeypatch.setattr(OomFloor, "look", lambda _floor, _socket: None)
        async with connected(world.driver()) as runtime:
            for attempt in range(2):
                spec = container_of(world, config, world.sleeps(), attempt=attempt)
                spec = msgspec.structs.replace(spec, resources=Resources(oom_score_adj=-997))
                container_id = await runtime.create_container(sandbox_id, spec)
                try:
                    await runtime.start_container(container_id)
                except RuntimeFault:
                    assert attempt == 0, "the first failure has told"
                else:
                    break
            assert (await status(runtime, container_id)).phase is ContainerPhase.RUNNING

    go(main)
