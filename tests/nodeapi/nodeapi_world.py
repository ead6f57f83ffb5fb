"""A node API over a real runtime behind a stub API server, and kubectl as its client."""

from __future__ import annotations

import asyncio
import os
import pty
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec

from minikubelet.model.settings import KubeletSettings
from minikubelet.nodeapi.nodeinsight import NoAnswerError, ProbeAnswers
from minikubelet.nodeapi.noderoutes import NodeApiSetup
from minikubelet.nodeapi.nodeserver import ServedNode, serve_node_api
from minikubelet.ports.journalport import JournalError, Record, RecordKind
from minikubelet.ports.runtimeport import Runtime
from minikubelet.ports.streamport import StreamRuntime
from minikubelet.stubapi.stubnodelinks import NodeLink
from tests.running import PATIENCE, eventually, run
from tests.runtimes.contract.contract_world import DriverWorld, connected, container_of, sandbox_of, started
from tests.stubapi.stubapi_world import World, running

NODE = "node1"
SLEEPS = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"


class FakeView:
    """Pods as the agent would show them."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    def pods(self) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": self.items}

    def named(self, namespace: str, name: str) -> Sequence[dict[str, Any]]:
        wanted = {"namespace": namespace, "name": name}
        return [pod for pod in self.items if wanted.items() <= pod["metadata"].items()][::-1]

    def status(self) -> dict[str, Any]:
        return {"ok": True, "seq": 7}


class FakeInsight:
    """A journal of `records`, which grows when `more` is set."""

    def __init__(self) -> None:
        self.records = [Record(n, RecordKind.EVENT, n, msgspec.Raw(b'{"kind":"X"}')) for n in range(3, 6)]
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.more = asyncio.Event()
        self.damaged = ""

    def manifests(self) -> list[dict[str, Any]]:
        return [{"file": "web.yaml", "accepted": True}]

    def probes(self) -> list[ProbeAnswers]:
        return [ProbeAnswers("default", "web", "u1", "main", "Readiness", "failed", 7)]

    def oldest(self) -> int:
        if self.damaged:
            raise JournalError(self.damaged)
        return self.records[0].seq

    async def follow(self, from_seq: int) -> AsyncIterator[Record]:
        while True:
            self.more.clear()
            for record in [each for each in self.records if each.seq >= from_seq]:
                yield record
                from_seq = record.seq + 1
            await self.more.wait()

    def why(self, pod: str, question: Mapping[str, str]) -> list[Any]:
        self.asked.append((pod, dict(question)))
        if pod != "default/web":
            raise NoAnswerError(f"no pod {pod!r} occurs here")
        return [{"pod": pod}]


def pod_object(
    namespace: str, name: str, *, uid: str = "", container_id: str = "", **spec: Any
) -> dict[str, Any]:
    """A pod with one container `main` that runs if it has an id."""
    container = {"name": "main", "image": "busybox:1.36", **spec}
    status = {
        "name": "main",
        "ready": True,
        "restartCount": 0,
        "image": "",
        "imageID": "",
        "containerID": f"test://{container_id}",
        "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}} if container_id else {},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "uid": uid or f"uid-{secrets.token_hex(4)}"},
        "spec": {"nodeName": NODE, "containers": [container]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


class NodeWorld:
    """Everything, running."""

    def __init__(
        self, driver: DriverWorld, runtime: Runtime, view: FakeView, stub: World, node: ServedNode
    ) -> None:
        self.driver = driver
        self.runtime = runtime
        self.view = view
        self.stub = stub
        self.node = node
        self.namespace = driver.namespace
        self.kubeconfig = driver.directory / "kubeconfig"
        stub.server.write_kubeconfig(self.kubeconfig)

    async def pod(self, name: str, script: str = SLEEPS, **spec: Any) -> str:
        """Run a pod, known to node and API server; the id of its container."""
        sandbox = sandbox_of(self.driver, name)
        sandbox_id = await self.runtime.run_pod_sandbox(sandbox)
        config = container_of(self.driver, sandbox, self.driver.shell(script))
        config = msgspec.structs.replace(config, **spec)
        shown = {key: value for key, value in spec.items() if key in {"stdin", "tty"}}
        container_id = await started(self.runtime, sandbox_id, config)
        found = pod_object(self.namespace, name, uid=sandbox.uid, container_id=container_id, **shown)
        self.view.items.append(found)
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        body = {"metadata": {"name": name}, "spec": found["spec"]}
        await self.stub.good("POST", pods, body)
        merge = "application/merge-patch+json"
        await self.stub.good("PATCH", f"{pods}/{name}/status", {"status": found["status"]}, content=merge)
        return container_id

    async def start(
        self, *words: str, stdin: int = asyncio.subprocess.DEVNULL, env: Mapping[str, str] | None = None
    ) -> Any:
        """Start kubectl and leave it running."""
        return await asyncio.create_subprocess_exec(
            "kubectl",
            "-n",
            self.namespace,
            *words,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment(env or {}),
        )

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        home = str(self.driver.directory)
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": home,
            "KUBECACHEDIR": f"{home}/cache",
            **more,
        }

    async def kubectl(
        self, *words: str, given: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, bytes]:
        """Exit code, output and errors of kubectl."""
        stdin = asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE
        process = await self.start(*words, stdin=stdin, env=env)
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate(given)
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
            raise AssertionError(f"kubectl {words} did not end: {out[-500:]!r} {err[-500:]!r}") from None
        return process.returncode, out, err

    async def says(
        self, *words: str, given: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> bytes:
        """The output of kubectl, which must succeed."""
        code, out, err = await self.kubectl(*words, given=given, env=env)
        assert code == 0, f"kubectl {' '.join(words)}: {err!r}"
        return out


class Terminal:
    """kubectl with a terminal of its own."""

    def __init__(self, world: NodeWorld, words: Sequence[str], env: dict[str, str]) -> None:
        self._world = world
        self._words = words
        self._env = env
        self.shown = b""

    async def __aenter__(self) -> Self:
        self.master, slave = pty.openpty()
        self.process = await asyncio.create_subprocess_exec(
            "kubectl",
            "-n",
            self._world.namespace,
            *self._words,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self._world.environment(self._env),
            start_new_session=True,
        )
        os.close(slave)
        os.set_blocking(self.master, False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        os.close(self.master)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def look(self) -> bytes:
        try:
            self.shown += os.read(self.master, 65536)
        except OSError:
            return self.shown
        return self.shown

    async def until(self, text: bytes) -> None:
        await eventually(lambda: text in self.look(), f"{text!r} on the terminal; shown: {self.shown!r}")


@asynccontextmanager
async def node_world(
    driver: DriverWorld, streams: StreamRuntime | None, kubelet: KubeletSettings | None = None
) -> AsyncIterator[NodeWorld]:
    """A stub API server, a node API and a runtime; all pods are removed at the end."""
    view = FakeView()
    directory = driver.directory
    async with connected(driver.driver()) as runtime, running(directory / "stub") as stub:
        setup = NodeApiSetup(
            node_name=NODE,
            node_ips=("127.0.0.1",),
            directory=directory / "pki",
            logs=directory / "logs",
            kubelet=kubelet or KubeletSettings(),
            port=0,
        )
        async with serve_node_api(setup, view, runtime, streams, api=None, insight=FakeInsight()) as node:
            link = NodeLink(node.address, node.port, node.token, node.client_context)
            stub.server.nodes.add(NODE, link)
            if driver.namespace != "default":
                await stub.good("POST", "/api/v1/namespaces", {"metadata": {"name": driver.namespace}})
            world = NodeWorld(driver, runtime, view, stub, node)
            try:
                yield world
            finally:
                for pod in await runtime.list_pods():
                    for sandbox in pod.sandboxes:
                        await runtime.remove_pod_sandbox(sandbox.id)
        if streams is not None:
            await streams.aclose()


def play(
    driver: DriverWorld, streams: StreamRuntime | None, test: Callable[[NodeWorld], Awaitable[None]]
) -> None:
    """Run a test in a world of its own."""

    async def main() -> None:
        async with node_world(driver, streams) as world:
            await test(world)

    run(main(), patience=110)
