"""A runtime, an outbox and pods for tests of the shell: they remember what they were asked."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from minikubelet.core.commands import UpstreamCommand
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod, ObservedSandbox
from minikubelet.model.pod import Container, ObjectMeta, Pod, PodSpec
from minikubelet.ports.apiport import JsonObject
from minikubelet.ports.outboxport import OutboxStats
from minikubelet.ports.runtimeport import (
    ContainerConfig,
    ExecResult,
    ImageInfo,
    RegistryAuth,
    RuntimeEvent,
    RuntimeFault,
    RuntimeInfo,
    SandboxConfig,
)

SLOT = SlotKey("kube-system/web")
UID = PodUid("uid-1")


def pod(*containers: Container, uid: str = UID, name: str = "web") -> Pod:
    """A pod with these containers, or with one."""
    made = containers or (Container(name="main", image="busybox:1.36"),)
    return Pod(
        metadata=ObjectMeta(name=name, namespace="kube-system", uid=uid), spec=PodSpec(containers=made)
    )


class Gate:
    """Holds a call until it is opened; make it inside a running loop."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()


class FakeRuntime:
    """Does what it is told at once, or raises the fault that a test put under a call's name."""

    def __init__(self) -> None:
        self.info = RuntimeInfo("fake", "1")
        self.calls: list[str] = []
        self.faults: dict[str, RuntimeFault] = {}
        self.broken: Exception | None = None
        self.shown: dict[PodUid, ObservedPod] = {}
        self.images: dict[str, ImageInfo] = {}
        self.written: dict[str, int] = {}
        self.stats: dict[str, Mapping[str, int]] = {}
        self.hints: asyncio.Queue[RuntimeEvent | RuntimeFault] = asyncio.Queue()
        self.connects = 0
        self.gates: dict[str, Gate] = {}
        self.configs: list[ContainerConfig] = []

    def _called(self, call: str, what: str = "") -> None:
        self.calls.append(f"{call} {what}".strip())
        if self.broken is not None and call != "connect":
            raise self.broken
        if call in self.faults:
            raise self.faults[call]

    async def connect(self) -> None:
        self.connects += 1
        self._called("connect")

    async def aclose(self) -> None:
        self._called("aclose")

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        self._called("run_pod_sandbox", config.name)
        sandbox = ObservedSandbox("s1", config.attempt, ready=True, ips=("172.17.0.2",))
        self.shown[config.uid] = ObservedPod(config.uid, config.namespace, config.name, (sandbox,))
        return "s1"

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        self._called("stop_pod_sandbox", sandbox_id)

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        self._called("remove_pod_sandbox", sandbox_id)

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        self._called("create_container", config.name)
        self.configs.append(config)
        return f"c-{config.name}-{config.attempt}"

    async def start_container(self, container_id: str) -> None:
        self._called("start_container", container_id)

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        self._called("stop_container", f"{container_id} {grace_seconds:g}")

    async def remove_container(self, container_id: str) -> None:
        self._called("remove_container", container_id)
        gate = self.gates.get("remove_container")
        if gate is not None:
            gate.reached.set()
            await gate.opened.wait()

    async def list_pods(self, uid: PodUid | None = None) -> Sequence[ObservedPod]:
        self._called("list_pods", uid or "")
        gate = self.gates.get("list_pods")
        if gate is not None:
            gate.reached.set()
            await gate.opened.wait()
        return [p for p in self.shown.values() if uid in (None, p.uid)]

    async def container_status(self, container_id: str) -> ObservedContainer | None:
        self._called("container_status", container_id)
        every = (c for p in self.shown.values() for c in p.containers)
        return next((c for c in every if c.id == container_id), None)

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        yield RuntimeEvent(PodUid(""))
        while True:
            hint = await self.hints.get()
            if isinstance(hint, RuntimeFault):
                raise hint
            yield hint

    async def exec_sync(self, container_id: str, command: Sequence[str], seconds: float) -> ExecResult:
        raise NotImplementedError

    async def reopen_container_log(self, container_id: str) -> None:
        raise NotImplementedError

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        self._called("pull_image", image)
        await asyncio.sleep(0)
        return f"id-of-{image}"

    async def image_status(self, image: str) -> ImageInfo | None:
        self._called("image_status", image)
        return self.images.get(image)

    async def list_images(self) -> Sequence[ImageInfo]:
        return list(self.images.values())

    async def remove_image(self, image: str) -> None:
        raise NotImplementedError

    async def container_stats(self, container_id: str) -> Mapping[str, int]:
        return self.stats.get(container_id, {})

    async def container_disk(self, container_id: str) -> int:
        return self.written.get(container_id, 0)


class FakeOutbox:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.commands: list[UpstreamCommand] = []
        self.mirrors: list[str] = []

    def put(self, command: UpstreamCommand) -> None:
        self.commands.append(command)

    def mirror_seen(self, slot: SlotKey, uid: PodUid, mirror_hash: str, *, deleting: bool = False) -> None:
        self.mirrors.append(f"seen {slot} {uid} {mirror_hash} {deleting}")

    def mirror_gone(self, slot: SlotKey, uid: PodUid) -> None:
        self.mirrors.append(f"gone {slot} {uid}")

    def status_seen(self, slot: SlotKey, uid: PodUid, seen: JsonObject, *, listed: bool = False) -> None:
        raise NotImplementedError

    def upstream_reachable(self) -> None:
        raise NotImplementedError

    def stats(self) -> OutboxStats:
        return OutboxStats(0, 0, 0)

    async def drain(self, timeout: float) -> bool:  # noqa: ASYNC109 - the port's own parameter
        return True


def running(container_id: str, name: str = "main", attempt: int = 0) -> ObservedContainer:
    """A running container as a runtime shows it."""
    return ObservedContainer(
        container_id, name, attempt, ContainerPhase.RUNNING, sandbox_id="s1", started_at=5
    )


def exited(container_id: str, code: int, name: str = "main", message: str = "") -> ObservedContainer:
    """An ended container as a runtime shows it."""
    return ObservedContainer(
        container_id, name, 0, ContainerPhase.EXITED, sandbox_id="s1", started_at=5, finished_at=9,
        exit_code=code, reason="Error" if code else "Completed", message=message,
    )  # fmt: skip


def shown(*containers: ObservedContainer, uid: PodUid = UID, ready: bool = True) -> ObservedPod:
    """A pod as a runtime shows it, in one sandbox."""
    sandbox = ObservedSandbox("s1", 0, ready=ready, ips=("172.17.0.2",))
    return ObservedPod(uid, "kube-system", "web", (sandbox,), containers)


def places(directory: Path) -> tuple[Path, Path]:
    """Root and logs beneath a test's directory."""
    return directory / "state", directory / "logs"
