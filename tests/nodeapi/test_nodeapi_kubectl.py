"""A stock kubectl through the stub API server and the node API into containers, on every runtime."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from minikubelet.ports.runtimeport import Mount
from minikubelet.ports.streamport import StreamRuntime
from tests.nodeapi.nodeapi_world import NodeWorld, Terminal, play
from tests.running import PATIENCE, eventually
from tests.runtimes.contract.contract_world import DriverWorld, exited
from tests.runtimes.docker.docker_world import DockerWorld

Driver = tuple[DriverWorld, StreamRuntime]

pytestmark = pytest.mark.kubectl
PROTOCOLS = pytest.mark.parametrize(
    "env",
    [
        {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "true", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "true"},
        {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"},
    ],
    ids=["websocket", "spdy"],
)


async def requests(world: NodeWorld, method: str, path: str) -> int:
    """How many such requests the node has answered, as its metrics say."""
    headers = {"Authorization": f"Bearer {world.node.token}"}
    connector = aiohttp.TCPConnector(ssl=world.node.client_context())
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as session,
        session.get(f"https://127.0.0.1:{world.node.port}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    wanted = f'kubelet_http_requests_total{{method="{method}",path="{path}"'
    return sum(int(line.split()[-1]) for line in lines if line.startswith(wanted))


@PROTOCOLS
def test_exec_has_streams_and_exit_codes(driver: Driver, env: dict[str, str]) -> None:
    async def check(world: NodeWorld) -> None:
        await world.pod("web")
        script = "cat; echo err >&2; exit 7"
        code, out, err = await world.kubectl(
            "exec", "-i", "web", "--", "sh", "-c", script, given=b"in\n", env=env
        )
        assert (code, out) == (7, b"in\n")
        assert err.splitlines() == [b"err", b"command terminated with exit code 7"]
        assert await world.says("exec", "web", "--", "true", env=env) == b""
        code, _, err = await world.kubectl("exec", "web", "--", "no-such-program", env=env)
        assert code in {126, 127}
        code, _, err = await world.kubectl("exec", "web", "-c", "other", "--", "true", env=env)
        assert code == 1
        assert b"container other is not valid for pod web" in err
        newest = await requests(world, "GET", "exec")
        assert newest in (0, 3), "either all by WebSocket or all by SPDY"
        if env["KUBECTL_REMOTE_COMMAND_WEBSOCKETS"] == "false":
            assert newest == 0

    play(*driver, check)


@PROTOCOLS
def test_much_goes_both_ways_at_once(driver: Driver, env: dict[str, str]) -> None:
    async def check(world: NodeWorld) -> None:
        await world.pod("web")
        data = os.urandom(2_000_000)
        assert await world.says("exec", "-i", "web", "--", "cat", given=data, env=env) == data

    play(*driver, check)


@PROTOCOLS
def test_exec_in_a_terminal(driver: Driver, env: dict[str, str]) -> None:
    async def check(world: NodeWorld) -> None:
        await world.pod("web")
        async with Terminal(world, ("exec", "-it", "web", "--", "sh"), env) as terminal:
            fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
            terminal.type("test -t 0 && echo on-$((40+2))\n")
            await terminal.until(b"on-42")

            def sized() -> bool:
                terminal.type("stty size\n")
                return b"33 111" in terminal.look()

            await eventually(sized, "the terminal's size in the container", every=0.3)
            terminal.type("exit 5\n")
            async with asyncio.timeout(PATIENCE):
                assert await terminal.process.wait() == 5

    play(*driver, check)


@PROTOCOLS
def test_cp_there_and_back(driver: Driver, env: dict[str, str]) -> None:
    async def check(world: NodeWorld) -> None:
        await world.pod("web")
        here = world.driver.directory / "here"
        here.mkdir()
        data = os.urandom(300_000)
        (here / "file").write_bytes(data)
        place = (
            world.driver.directory / "inside" if not isinstance(world.driver, DockerWorld) else Path("/tmp")
        )
        place.mkdir(exist_ok=True)
        await world.says("cp", str(here / "file"), f"{world.namespace}/web:{place}/copied", env=env)
        await world.says("cp", f"{world.namespace}/web:{place}/copied", str(here / "back"), env=env)
        assert (here / "back").read_bytes() == data

    play(*driver, check)


@PROTOCOLS
def test_attach(driver: Driver, env: dict[str, str]) -> None:
    async def check(world: NodeWorld) -> None:
        await world.pod("web", "while read line; do echo got $line; done", stdin=True)
        process = await world.start("attach", "-i", "web", stdin=asyncio.subprocess.PIPE, env=env)
        try:
            async with asyncio.timeout(PATIENCE):
                # Sent again until it is seen: what is said before the attaching is nobody's.
                seen = b""
                while b"got hello" not in seen:
                    process.stdin.write(b"hello\n")
                    await process.stdin.drain()
                    try:
                        async with asyncio.timeout(1):
                            seen += await process.stdout.readline()
                    except TimeoutError:
                        continue
        finally:
            process.kill()
            await process.communicate()

    play(*driver, check)


@PROTOCOLS
def test_attach_to_a_terminal(driver: Driver, env: dict[str, str]) -> None:
    """Where the runtime can: otherwise what cannot be done is said, with what can."""

    async def check(world: NodeWorld) -> None:
        await world.pod("web", "exec sh", stdin=True, tty=True)
        async with Terminal(world, ("attach", "-it", "web"), env) as terminal:
            if not isinstance(world.driver, DockerWorld):
                await terminal.until(b"use exec, or attach without stdin")
                return

            def answered() -> bool:
                terminal.type("echo on-$((40+2))\n")
                return b"on-42" in terminal.look()

            await eventually(answered, "the shell's answer", every=0.3)

    play(*driver, check)


@PROTOCOLS
def test_port_forward(driver: Driver, env: dict[str, str]) -> None:
    async def check(world: NodeWorld) -> None:
        async with _listener(world) as port:
            process = await world.start("port-forward", "pod/web", f":{port}", ":9", env=env)
            try:
                async with asyncio.timeout(PATIENCE):
                    local = int((await process.stdout.readline()).split(b" -> ")[0].rsplit(b":", 1)[1])
                    async with aiohttp.ClientSession(trust_env=False) as session:
                        gets = [_get(session, f"http://127.0.0.1:{local}/hostname") for _ in range(20)]
                        bodies = await asyncio.gather(*gets)
                assert len(set(bodies)) == 1
                assert bodies[0]
            finally:
                process.terminate()
                _, err = await process.communicate()
            assert b"error" not in err.lower().replace(b"errors", b"")

    play(*driver, check)


async def _get(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as answer:
        return await answer.read()


@asynccontextmanager
async def _listener(world: NodeWorld) -> AsyncIterator[int]:
    """A pod `web` with a web server; its port."""
    if isinstance(world.driver, DockerWorld):
        await world.pod("web", "exec httpd -f -p 127.0.0.1:8080 -h /etc")
        yield 8080
        return
    await world.pod("web")
    (world.driver.directory / "hostname").write_text("here")
    app = web.Application()
    app.router.add_static("/", world.driver.directory)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield int(runner.addresses[0][1])
    await runner.cleanup()


def test_logs_are_followed_to_the_container_s_end(driver: Driver) -> None:
    async def check(world: NodeWorld) -> None:
        go = world.driver.directory / "go"
        mounts = (Mount(world.driver.directory, str(world.driver.directory)),)
        script = f"echo one; echo two; while [ ! -e {go} ]; do sleep 0.05; done; echo three"
        container = await world.pod("web", script, mounts=mounts)
        await eventually(lambda: world.says("logs", "web"), "the first lines")
        process = await world.start("logs", "-f", "web", "--timestamps")
        async with asyncio.timeout(PATIENCE):
            assert (await process.stdout.readline()).split()[1:] == [b"one"]
            assert (await process.stdout.readline()).split()[1:] == [b"two"]
            go.touch()
            assert (await process.stdout.readline()).split()[1:] == [b"three"]
            await exited(world.runtime, container)
            world.view.items[0]["status"]["containerStatuses"][0]["state"] = {"terminated": {"exitCode": 0}}
            assert await process.stdout.read() == b""
            assert await process.wait() == 0
        assert await world.says("logs", "web", "--tail=1") == b"three\n"
        assert await world.says("logs", "web", "--limit-bytes=5") == b"one\nt"
        assert await world.says("logs", "web", "--since=1h") == b"one\ntwo\nthree\n"
        code, _, err = await world.kubectl("logs", "-p", "web")
        assert code == 1
        assert b'previous terminated container "main" in pod "web" not found' in err

    play(*driver, check)


def test_a_pod_without_a_node_says_so(process_driver: Driver) -> None:
    async def check(world: NodeWorld) -> None:
        await world.pod("web")
        world.stub.server.nodes.remove("node1")
        code, _, err = await world.kubectl("logs", "web")
        assert code == 1
        assert b'node "node1" has no agent that this API server could ask' in err

    play(*process_driver, check)
