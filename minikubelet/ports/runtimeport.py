"""The runtime port, shaped like CRI's RuntimeService and ImageService.

Belongs here: what every driver promises, and the requests it is given. May not be here: anything of
one driver. `list_pods` folds CRI's ListPodSandbox, PodSandboxStatus, ListContainers and ContainerStatus into
one answer, since the agent never wants one without the others; a CRI driver makes the four calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Protocol

import msgspec

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ObservedContainer, ObservedPod

Pairs = tuple[tuple[str, str], ...]


class RuntimeFault(Exception):
    """A runtime call failed; `reason` is the field's word (`ErrImagePull`, `RunContainerError` …).

    `unreachable` tells that the engine did not answer at all; `container_id` names one that was created
    but could not be started, `exit_code` what it then shows (127, 128 …), `ended` how the runtime calls that.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        unreachable: bool = False,
        container_id: str = "",
        exit_code: int | None = None,
        ended: str = "StartError",
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.unreachable = unreachable
        self.container_id = container_id
        self.exit_code = exit_code
        self.ended = ended


class RuntimeInfo(msgspec.Struct, frozen=True):
    """Who answers: `name` (docker, process, simulated) as in `docker://…`, and the engine's version.

    `images_at` is the directory of the engine that holds its images, empty where there is none.
    `same_mounts`: the engine is seen to be in the agent's own mount namespace. `lacks_apparmor`: it says so.
    """

    name: str
    version: str
    simulated: bool = False
    images_at: str = ""
    same_mounts: bool = False
    lacks_apparmor: bool = False


class PortMapping(msgspec.Struct, frozen=True):
    """A `hostPort`: host_ip may be empty; protocol is TCP, UDP or SCTP."""

    container_port: int
    host_port: int
    protocol: str = "TCP"
    host_ip: str = ""


class DnsConfig(msgspec.Struct, frozen=True):
    """Content of the pod's resolv.conf; None as a whole means the host's own."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """CRI's PodSandboxConfig: identity, namespaces and what all containers of the pod share."""

    uid: PodUid
    namespace: str
    name: str
    attempt: int
    hostname: str
    log_directory: Path
    labels: Pairs = ()
    annotations: Pairs = ()
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_process_namespace: bool = False
    dns: DnsConfig | None = None
    hosts: Pairs = ()
    """(address, host name) lines beside the pod's own in /etc/hosts"""
    ports: tuple[PortMapping, ...] = ()
    sysctls: Pairs = ()


class MountPropagation(Enum):
    """`mountPropagation` of a volume mount."""

    PRIVATE = "None"
    HOST_TO_CONTAINER = "HostToContainer"
    BIDIRECTIONAL = "Bidirectional"


class Mount(msgspec.Struct, frozen=True):
    """A bind mount of an existing host path."""

    host_path: Path
    container_path: str
    read_only: bool = False
    propagation: MountPropagation = MountPropagation.PRIVATE


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in the engine's units: cpu in shares and µs per period, memory in bytes; 0 is unset."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    memory_limit: int = 0
    pids_limit: int = 0
    oom_score_adj: int = 0


class Security(msgspec.Struct, frozen=True, kw_only=True):
    """The merged pod and container security context; None is unset, the image's own holds."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool = False
    supplemental_groups: tuple[int, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    unmasked_proc: bool = False
    """`procMount: Unmasked`: nothing of /proc and /sys is hidden or read-only"""
    seccomp: str = ""
    """"" is the engine's default; `Unconfined`, `RuntimeDefault`, or the path of a profile"""
    apparmor: str = ""
    """likewise, but `localhost/` and the name of a profile"""
    selinux: Pairs = ()
    """what is set of SELinux's `user`, `role`, `type` and `level`"""


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """CRI's ContainerConfig with what it needs of its pod. `command` and `args` empty: the image's own."""

    uid: PodUid
    namespace: str
    pod_name: str
    name: str
    attempt: int
    image: str
    hash: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Pairs = ()
    working_dir: str = ""
    mounts: tuple[Mount, ...] = ()
    log_path: Path
    """`<log directory>/<container>/<attempt>.log`, in CRI format"""
    termination_log: Path | None = None
    termination_message_path: str = "/dev/termination-log"
    fallback_to_logs: bool = False
    stdin: bool = False
    stdin_once: bool = False
    """stdin ends when the first client that was attached leaves"""
    tty: bool = False
    stop_signal: str = ""
    host_network: bool = False
    host_pid: bool = False
    pid_of: str = ""
    """the container whose processes it sees, where containers of a pod do not see each other's"""
    resources: Resources = Resources()
    security: Security = Security()
    labels: Pairs = ()


class RegistryAuth(msgspec.Struct, frozen=True):
    """Credentials of an imagePullSecret; never logged, never in the journal."""

    username: str = ""
    password: str = ""
    server: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "RegistryAuth(…)"


class ImageInfo(msgspec.Struct, frozen=True):
    """An image in the engine: id, names, size in bytes, and its configured user."""

    id: str
    tags: tuple[str, ...] = ()
    size: int = 0
    user: str = ""


class ExecResult(msgspec.Struct, frozen=True):
    """What a command run in a container left: exit code and (bounded) output."""

    exit_code: int
    output: bytes = b""


class RuntimeEvent(msgspec.Struct, frozen=True):
    """A hint that something of a pod changed: look at it again. An empty uid means: look at everything."""

    uid: PodUid


class Runtime(Protocol):
    """A container runtime driver. Every call raises RuntimeFault, and only that, when it cannot do its work.

    Calls are idempotent where CRI's are: stopping the stopped and removing the absent succeed; creating
    what exists under the same pod uid, name and attempt cleans up what a crashed attempt left, or adopts it.
    A driver touches nothing that it did not make for this node.
    """

    @property
    def info(self) -> RuntimeInfo:
        """Name and version, known after `connect`."""

    async def connect(self) -> None:
        """Reach the engine, check what it can; RuntimeFault(unreachable) when it does not answer."""

    async def aclose(self) -> None:
        """Let go of connections; containers go on."""

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        """Create and start a sandbox, return its id."""

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """End the sandbox and its network; its containers are killed."""

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Remove the sandbox and all containers in it."""

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Create a container in the sandbox, return its id."""

    async def start_container(self, container_id: str) -> None:
        """Start a created container."""

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """Send the stop signal, wait at most the grace period, then SIGKILL; returns once it is dead.

        A second call with a shorter grace while one waits shortens the wait.
        """

    async def remove_container(self, container_id: str) -> None:
        """Remove a container; a running one is killed first."""

    async def list_pods(self, uid: PodUid | None = None) -> Sequence[ObservedPod]:
        """All pods of this node, or the one of `uid`; what belongs to others is left out."""

    async def container_status(self, container_id: str) -> ObservedContainer | None:
        """One container, None if there is none."""

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Hints of changes as they happen. Ends or raises RuntimeFault when the connection is lost.

        The first is a hint at everything, once the subscription stands: a relist after it misses nothing.
        """

    async def exec_sync(
        self, container_id: str, command: Sequence[str], timeout_seconds: float
    ) -> ExecResult:
        """Run a command in a running container; RuntimeFault("DeadlineExceeded") after so many seconds."""

    async def reopen_container_log(self, container_id: str) -> None:
        """Begin a new log file at the container's log path after the old one was renamed."""

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        """Pull an image, return its id; RuntimeFault("ErrImagePull" …)."""

    async def image_status(self, image: str) -> ImageInfo | None:
        """The image of that name in the engine, None if there is none."""

    async def list_images(self) -> Sequence[ImageInfo]:
        """All images of the engine."""

    async def remove_image(self, image: str) -> None:
        """Remove an image that no container uses."""

    async def container_stats(self, container_id: str) -> Mapping[str, int]:
        """`cpu_usage_ns`, `memory_bytes`, `pids` of a running container; empty if it does not run."""

    async def container_disk(self, container_id: str) -> int:
        """Bytes that a container has written into its own file system; 0 where it has none of its own."""
