"""Exec, attach and dial keep one contract on every driver that has them."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.ports.streamport import (
    OutputStream,
    StreamOptions,
    StreamProcess,
    StreamRuntime,
    TerminalSize,
)
from minikubelet.runtimes.docker.dockerstreams import DockerStreams
from minikubelet.runtimes.process.processstreams import ProcessStreams
from tests.running import eventually, run
from tests.runtimes.contract.contract_world import (
    DriverWorld,
    connected,
    container_of,
    pod_of,
    sandbox_of,
    started,
)
from tests.runtimes.docker.docker_world import DockerWorld
from tests.runtimes.process.process_world import ProcessWorld

Streams = tuple[DriverWorld, Callable[[], StreamRuntime]]
BOTH = StreamOptions(stdin=True)
TTY = StreamOptions(stdin=True, tty=True)


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def streams(request: pytest.FixtureRequest, state_dir: Path) -> Iterator[Streams]:
    """A world and a maker of its streams."""
    if request.param == "docker":
        host, image, namespace = (
            request.getfixturevalue(name) for name in ("docker_host", "busybox", "docker_namespace")
        )
        yield DockerWorld(host, image, namespace, state_dir), functools.partial(DockerStreams, host)
        return
    world = ProcessWorld(state_dir)
    yield world, lambda: ProcessStreams(world.state, node="ours")
    world.clean()


@asynccontextmanager
async def container(
    streams: Streams, script: str, **more: Any
) -> AsyncIterator[tuple[StreamRuntime, str, str]]:
    """A running container with its streams; its sandbox's and its own id."""
    world, make = streams
    joined = make()
    async with connected(world.driver()) as runtime:
        config = sandbox_of(world)
        sandbox = await runtime.run_pod_sandbox(config)
        made = replace(container_of(world, config, world.shell(script)), **more)
        main = await started(runtime, sandbox, made)
        try:
            yield joined, sandbox, main
        finally:
            await joined.aclose()
            await runtime.remove_pod_sandbox(sandbox)
            assert await pod_of(runtime, config.uid) is None


SLEEPS = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"


async def rest(process: StreamProcess) -> dict[OutputStream, bytes]:
    """All that is still to come, by stream."""
    found = dict.fromkeys(OutputStream, b"")
    while (output := await process.read()) is not None:
        found[output.stream] += output.data
    return found


async def until(process: StreamProcess, wanted: bytes) -> bytes:
    """Output until that text is in it."""
    seen = b""
    while wanted not in seen:
        output = await process.read()
        assert output is not None, f"the output ended with {seen!r}"
        seen += output.data
    return seen


def test_a_command_has_three_streams_and_an_exit_code(streams: Streams) -> None:
    async def main() -> None:
        async with container(streams, SLEEPS) as (joined, _, main_id):
            script = streams[0].shell("cat; echo err >&2; exit 7")
            async with joined.exec_stream(main_id, script, BOTH) as process:
                await process.write(b"one ")
                await process.write(b"two\n")
                await process.close_stdin()
                assert await rest(process) == {
                    OutputStream.STDOUT: b"one two\n",
                    OutputStream.STDERR: b"err\n",
                }
                assert await process.exit_code() == 7
            async with joined.exec_stream(main_id, streams[0].missing(), StreamOptions()) as process:
                assert b"".join((await rest(process)).values())
                assert await process.exit_code() in {126, 127}

    run(main(), patience=110)


def test_much_goes_through_unharmed(streams: Streams) -> None:
    async def main() -> None:
        data = os.urandom(3_000_000)
        async with (
            container(streams, SLEEPS) as (joined, _, main_id),
            joined.exec_stream(main_id, ("cat",), BOTH) as process,
        ):

            async def give() -> None:
                for start in range(0, len(data), 50_000):
                    await process.write(data[start : start + 50_000])
                await process.close_stdin()

            async with asyncio.TaskGroup() as group:
                group.create_task(give())
                got = group.create_task(rest(process))
            assert got.result()[OutputStream.STDOUT] == data
            assert await process.exit_code() == 0

    run(main(), patience=110)


def test_a_terminal_is_one_and_has_the_client_s_size(streams: Streams) -> None:
    async def main() -> None:
        async with (
            container(streams, SLEEPS) as (joined, _, main_id),
            joined.exec_stream(main_id, ("sh",), TTY) as process,
        ):
            await process.write(b"test -t 0 && test -t 1 && echo yes-$((1+1))\n")
            await until(process, b"yes-2")

            async def resized() -> bool:
                await process.resize(TerminalSize(132, 43))
                await process.write(b"stty size; echo done-$((2+3))\n")
                return b"43 132" in await until(process, b"done-5")

            await eventually(resized, "the size of the terminal")
            await process.write(b"exit 3\n")
            await rest(process)
            assert await process.exit_code() == 3

    run(main(), patience=110)


def test_a_command_whose_client_leaves_is_ended(streams: Streams) -> None:
    async def main() -> None:
        async with container(streams, SLEEPS) as (joined, _, main_id):
            options = StreamOptions(stdin=True)
            shell = streams[0].shell("echo ready; exec sleep 987654")
            async with joined.exec_stream(main_id, shell, options) as process:
                await until(process, b"ready")
            look = streams[0].shell("ps | grep '[9]87654' || ps ax | grep '[9]87654' || true")

            async def gone() -> bool:
                async with joined.exec_stream(main_id, look, StreamOptions()) as found:
                    return b"987654" not in (await rest(found))[OutputStream.STDOUT]

            await eventually(gone, "the end of the command")

    run(main(), patience=110)


def test_attach_joins_a_container_s_own_streams(streams: Streams) -> None:
    async def main() -> None:
        async with container(streams, "while read line; do echo got $line; done", stdin=True) as (
            joined,
            _,
            main_id,
        ):
            async with joined.attach_stream(main_id, BOTH) as process:
                await process.write(b"hello\n")
                await until(process, b"got hello\n")
            async with joined.attach_stream(main_id, BOTH) as process:
                await process.write(b"again\n")
                await until(process, b"got again\n")

    run(main(), patience=110)


def test_a_port_of_the_pod_is_dialled_and_one_without_listener_is_a_fault(streams: Streams) -> None:
    """The listener has the pod's loopback only, as many debugging ports do."""

    async def main() -> None:
        port = 42421
        async with container(streams, SLEEPS) as (joined, sandbox, main_id):
            with pytest.raises(RuntimeFault, match="cannot be reached"):
                await joined.dial(sandbox, port)
            # Without root the pod's network cannot be entered, and its own address must do.
            address = "127.0.0.1" if os.geteuid() == 0 else "0.0.0.0"
            program = ("httpd", "-f", "-p", f"{address}:{port}", "-h", "/etc")
            if not isinstance(streams[0], DockerWorld):
                server = await asyncio.start_server(_greet, "127.0.0.1", 0)
                port = server.sockets[0].getsockname()[1]
                async with server:
                    dialled = await joined.dial(sandbox, port)
                    assert await dialled.reader.read() == b"hello\n"
                    dialled.writer.close()
                return
            async with joined.exec_stream(main_id, program, StreamOptions()):

                async def there() -> bytes:
                    try:
                        dialled = await joined.dial(sandbox, port)
                    except RuntimeFault:
                        return b""
                    try:
                        dialled.writer.write(b"GET /hostname HTTP/1.0\r\n\r\n")
                        return await dialled.reader.read()
                    finally:
                        dialled.writer.close()

                assert (await eventually(there, "the listener")).startswith(b"HTTP/1")

    run(main(), patience=110)


async def _greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello\n")
    await writer.drain()
    writer.close()


def test_what_does_not_run_is_a_fault(streams: Streams) -> None:
    async def main() -> None:
        joined = streams[1]()
        for call in (
            joined.exec_stream("nobody_main_0", ("true",), BOTH),
            joined.attach_stream("nobody_main_0", BOTH),
        ):
            with pytest.raises(RuntimeFault):
                async with call:
                    pytest.fail("it was joined")
        with pytest.raises(RuntimeFault):
            await joined.dial("nobody_POD_0", 80)
        await joined.aclose()

    run(main(), patience=110)
