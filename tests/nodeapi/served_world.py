"""A node API over a simulated runtime, with streams and an API server that do as a test says."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp

from minikubelet.model.settings import KubeletSettings
from minikubelet.nodeapi.nodeguard import Guard
from minikubelet.nodeapi.nodeidentity import Identities
from minikubelet.nodeapi.nodemetrics import CertificateFigures, RequestCount
from minikubelet.nodeapi.nodepermission import Permissions
from minikubelet.nodeapi.noderoutes import NodeApiSetup, node_routes
from minikubelet.nodeapi.nodeserver import ServedNode, serve_node_api
from minikubelet.ports.apiport import Api, JsonObject, PatchKind
from minikubelet.ports.runtimeport import Runtime, RuntimeFault
from minikubelet.ports.streamport import (
    Dialled,
    Output,
    OutputStream,
    StreamOptions,
    StreamProcess,
    TerminalSize,
)
from tests.nodeapi.nodeapi_world import NODE, FakeInsight, FakeView, pod_object
from tests.runtimes.contract.contract_world import connected, container_of, sandbox_of, started
from tests.runtimes.simulated.simulated_world import SimulatedWorld


class FakeApi:
    """Answers reviews; counts what it was asked."""

    def __init__(self, review: Callable[[str, JsonObject], JsonObject]) -> None:
        self._review = review
        self.asked: list[tuple[str, JsonObject]] = []

    async def create_object(self, collection: str, body: JsonObject) -> JsonObject:
        self.asked.append((collection.rpartition("/")[2], body["spec"]))
        return {**body, "status": self._review(*self.asked[-1])}

    async def get_object(self, path: str) -> JsonObject:
        raise NotImplementedError(path)

    async def replace_object(self, path: str, body: JsonObject) -> JsonObject:
        raise NotImplementedError(path)

    async def patch_object(
        self, path: str, patch: JsonObject | list[JsonObject], kind: PatchKind = PatchKind.STRATEGIC
    ) -> JsonObject:
        raise NotImplementedError(path)

    async def delete_object(
        self,
        path: str,
        *,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> JsonObject:
        raise NotImplementedError(path)

    def list_watch(self, path: str, *, params: Any = None) -> Any:
        raise NotImplementedError(path)


class FakeProcess:
    """Gives chunks, takes input, and remembers what happened."""

    def __init__(self, chunks: Sequence[tuple[OutputStream, bytes]] = (), code: int = 0) -> None:
        self.chunks = list(chunks)
        self.code = code
        self.produced = 0
        self.taken = b""
        self.sizes: list[TerminalSize] = []
        self.stdin_closed = asyncio.Event()
        self.left = asyncio.Event()
        self.waits_for_input = False
        self.takes_input = True
        self.turns_per_write = 0
        self.taken_bytes = 0
        self.stuck = asyncio.Event()

    async def read(self) -> Output | None:
        await asyncio.sleep(0)
        if self.chunks:
            stream, data = self.chunks.pop(0)
            self.produced += len(data)
            return Output(stream, data)
        if self.waits_for_input:
            await self.stdin_closed.wait()
        return None

    async def write(self, data: bytes) -> None:
        if not self.takes_input:
            self.stuck.set()
            await asyncio.Event().wait()
        for _ in range(self.turns_per_write):
            await asyncio.sleep(0)
        self.taken_bytes += len(data)
        self.taken = (self.taken + data)[-1000:]

    async def close_stdin(self) -> None:
        self.stdin_closed.set()

    async def resize(self, size: TerminalSize) -> None:
        self.sizes.append(size)

    async def exit_code(self) -> int:
        return self.code


class FakeStreams:
    """Every exec and attach joins `process`; ports below 1000 are echoed, others have no listener."""

    def __init__(self, process: FakeProcess | RuntimeFault) -> None:
        self.process = process
        self.calls: list[tuple[str, tuple[str, ...], StreamOptions]] = []

    @asynccontextmanager
    async def exec_stream(
        self, container_id: str, command: Sequence[str], options: StreamOptions
    ) -> AsyncIterator[StreamProcess]:
        self.calls.append((container_id, tuple(command), options))
        if isinstance(self.process, RuntimeFault):
            raise self.process
        try:
            yield self.process
        finally:
            self.process.left.set()

    @asynccontextmanager
    async def attach_stream(self, container_id: str, options: StreamOptions) -> AsyncIterator[StreamProcess]:
        async with self.exec_stream(container_id, (), options) as process:
            yield process

    async def dial(self, sandbox_id: str, port: int) -> Dialled:
        if port >= 1000:
            raise RuntimeFault("PortForward", f"port {port} has no listener")
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        server.close()
        return Dialled(reader, writer)

    async def aclose(self) -> None:
        return


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


class Served:
    """A running node API with a pod `default/web` whose container `main` runs."""

    def __init__(
        self,
        node: ServedNode,
        view: FakeView,
        streams: FakeStreams,
        container: str,
        runtime: Runtime,
        *,
        insight: FakeInsight,
    ) -> None:
        self.insight = insight
        self.runtime = runtime
        self.node = node
        self.view = view
        self.streams = streams
        self.container = container

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.node.port}"

    def session(self, token: str | None = None, **options: Any) -> aiohttp.ClientSession:
        """A client, with the local token unless another (or an empty one) is given."""
        given = self.node.token if token is None else token
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        context = options.pop("context", None) or self.node.client_context()
        connector = aiohttp.TCPConnector(ssl=context, force_close=True)
        return aiohttp.ClientSession(connector=connector, headers=headers, **options)

    async def ask(self, method: str, path: str, *, token: str | None = None, **more: Any) -> tuple[int, str]:
        """Code and body of one request."""
        context = more.pop("context", None)
        async with (
            self.session(token, context=context) as session,
            session.request(method, f"{self.url}{path}", **more) as answer,
        ):
            return answer.status, await answer.text()


def every_route() -> list[tuple[str, str]]:
    """Method and path of every route there is, with names filled in: whatever is added is in it."""
    view, runtime = FakeView(), cast("Runtime", None)
    settings = KubeletSettings()
    guard = Guard(
        Identities(settings.authentication, None, "x"),
        Permissions(settings.authorization, None, NODE),
        RequestCount(),
    )
    setup = NodeApiSetup(
        node_name=NODE, node_ips=(), directory=Path("x"), logs=Path("x"), kubelet=settings, port=0
    )
    routes = node_routes(setup, view, runtime, None, guard=guard, insight=FakeInsight()).router.routes()
    names = {"namespace": "default", "pod": "web", "container": "main", "uid": "uid"}
    found = {
        (route.method, route.resource.canonical.format(**names))
        for route in routes
        if route.resource is not None
    }
    return sorted(found)


@asynccontextmanager
async def served(
    directory: Path,
    process: FakeProcess | RuntimeFault | None = None,
    *,
    kubelet: KubeletSettings | None = None,
    api: Api | None = None,
) -> AsyncIterator[Served]:
    """Everything, running."""
    world, view, insight = SimulatedWorld(directory), FakeView(), FakeInsight()
    streams = FakeStreams(process or FakeProcess())
    setup = NodeApiSetup(
        node_name=NODE,
        node_ips=("127.0.0.1",),
        directory=directory / "pki",
        logs=directory / "logs",
        kubelet=kubelet or KubeletSettings(),
        port=0,
        certificates=lambda: [
            CertificateFigures("client", -5.5, 2),
            CertificateFigures("server", math.inf, 0),
        ],
    )
    async with connected(world.driver()) as runtime:
        sandbox = sandbox_of(world)
        sandbox_id = await runtime.run_pod_sandbox(sandbox)
        container = await started(runtime, sandbox_id, container_of(world, sandbox, world.sleeps()))
        view.items.append(pod_object("default", "web", uid=sandbox.uid, container_id=container))
        async with serve_node_api(setup, view, runtime, streams, api=api, insight=insight) as node:
            yield Served(node, view, streams, container, runtime, insight=insight)
