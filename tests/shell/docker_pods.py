"""Pods on a real engine through the shell's own parts: no agent, no API server, manifests as written."""

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from minikubelet.core.commands import CleanUpPod, Reason, StartContainer, StartSandbox, StopContainer
from minikubelet.core.events import (
    ContainerStarted,
    ContainerStartFailed,
    PodCleanedUp,
    SandboxStarted,
)
from minikubelet.core.reducer import Reducer
from minikubelet.model.ids import PodUid, SlotKey, slot_key
from minikubelet.model.pod import Pod
from minikubelet.runtimes.docker import DockerRuntime
from minikubelet.shell import volkernel
from minikubelet.shell.effects import Effects
from minikubelet.shell.images import Images
from minikubelet.shell.limiter import Limiter
from minikubelet.shell.podconfig import NodeSide, PodConfigMaker
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.pullwaits import PullWaits
from minikubelet.shell.vault import Vault
from minikubelet.shell.volrefresh import Refresher
from minikubelet.shell.volumes import Volumes
from minikubelet.wire.defaults import with_defaults
from tests.running import run
from tests.shell.volumes_world import FakeObjects

STAYS = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"
NOW = Reason.POD_ADDED


class Node:
    """One node whose pods live in a namespace of the test's own."""

    def __init__(self, host: str, namespace: str, directory: Path) -> None:
        self.namespace = namespace
        self.paths = PodPaths(directory / "s", directory / "l")
        self.objects = FakeObjects()
        self.runtime = DockerRuntime(host, node=f"node-{namespace}", state_dir=directory)
        self.vault = Vault(self.paths)
        self.volumes = Volumes(self.paths, self.objects)
        side = NodeSide(name="node-1", ips=("10.0.0.1",), cluster_domain="cluster.local", writes_hosts=True)
        images = Images(self.runtime, 2, objects=self.objects, hide=self.vault.hide)
        self.configs = PodConfigMaker(
            side, self.paths, self.volumes,
            objects=self.objects, image_user=images.user, hide=self.vault.hide,
        )  # fmt: skip
        self.effects = Effects(
            self.runtime, self.configs, images,
            vault=self.vault, paths=self.paths, limiter=Limiter(2, 2, lambda: 0.0),
                waits=PullWaits(Reducer()),
        )  # fmt: skip
        self.refresher = Refresher(self.vault, self.volumes, self.objects, self.configs.facts, every=3600.0)

    async def start(self, manifest: dict[str, Any]) -> "Running":
        """Start a pod of one container `main`; AssertionError with the fault's text where it fails."""
        outcome = await self.attempt(manifest)
        assert isinstance(outcome[1], ContainerStarted), outcome[1]
        return Running(self, outcome[0], outcome[1].container_id)

    async def attempt(self, manifest: dict[str, Any]) -> tuple[Pod, ContainerStarted | ContainerStartFailed]:
        """Start a pod as far as it goes."""
        pod = self.pod(manifest)
        await self.vault.store(pod)
        uid, slot = PodUid(pod.metadata.uid), slot_of(pod)
        box = await self.effects.carry_out(StartSandbox(slot=slot, reason=NOW, uid=uid, attempt=0))
        assert isinstance(box, SandboxStarted), box
        started = await self.effects.carry_out(
            StartContainer(
                slot=slot, reason=NOW, uid=uid, container="main", attempt=0, sandbox_id=box.sandbox_id
            )
        )
        assert isinstance(started, ContainerStarted | ContainerStartFailed), started
        return pod, started

    def pod(self, manifest: dict[str, Any]) -> Pod:
        """The manifest with defaults, in the test's namespace."""
        container = {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", STAYS], **manifest}
        spec = container.pop("spec", {})
        meta = {"name": "web", "namespace": self.namespace, "uid": f"uid-{self.namespace}"}
        body = {"metadata": meta, "spec": {"containers": [container], **spec}}
        return with_defaults(msgspec.convert(json.loads(json.dumps(body)), Pod))


def slot_of(pod: Pod) -> SlotKey:
    return slot_key(pod.metadata.namespace, pod.metadata.name)


class Running:
    """A pod whose container runs."""

    def __init__(self, node: Node, pod: Pod, container_id: str) -> None:
        self.node = node
        self.pod = pod
        self.container_id = container_id

    async def says(self, script: str) -> str:
        """What a shell in the container says, whatever its exit code."""
        done = await self.node.runtime.exec_sync(self.container_id, ["sh", "-c", script], 60.0)
        return done.output.decode().strip()

    async def restart(self, attempt: int) -> ContainerStarted | ContainerStartFailed:
        """Stop the container and start the next attempt in the same sandbox."""
        uid, slot = PodUid(self.pod.metadata.uid), slot_of(self.pod)
        await self.node.effects.carry_out(
            StopContainer(
                slot=slot, reason=NOW, uid=uid, container="main", container_id=self.container_id, grace=0
            )
        )
        (shown,) = await self.node.runtime.list_pods(uid)
        outcome = await self.node.effects.carry_out(
            StartContainer(
                slot=slot,
                reason=NOW,
                uid=uid,
                container="main",
                attempt=attempt,
                sandbox_id=shown.sandboxes[0].id,
            )
        )
        assert isinstance(outcome, ContainerStarted | ContainerStartFailed), outcome
        self.container_id = outcome.container_id
        return outcome

    async def clean_up(self) -> None:
        """Remove all of the pod; nothing is mounted or left afterwards."""
        uid = PodUid(self.pod.metadata.uid)
        self.node.vault.retract(uid)
        done = await self.node.effects.carry_out(CleanUpPod(slot=slot_of(self.pod), reason=NOW, uid=uid))
        assert isinstance(done, PodCleanedUp), done
        assert volkernel.mounts_below(self.node.paths.root) == []
        assert not self.node.paths.pod(uid).exists()


@asynccontextmanager
async def node_in(host: str, namespace: str, directory: Path) -> AsyncIterator[Node]:
    node = Node(host, namespace, directory)
    await node.runtime.connect()
    try:
        yield node
    finally:
        await node.runtime.aclose()


def on_node(place: tuple[str, str, Path], test: Callable[[Node], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a node of its own, patiently."""

    async def main() -> None:
        async with node_in(*place) as node:
            await test(node)

    run(main(), patience=110)


def relabelled(pod: Pod, **labels: str) -> Pod:
    """The same pod with other labels."""
    return replace(pod, metadata=replace(pod.metadata, labels=labels))
