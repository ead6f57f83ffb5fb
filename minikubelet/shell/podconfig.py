"""Pod configurations: the runtime's requests made from a full pod.

Belongs here: what of a definition becomes which field of the runtime port. May not be here: names and DNS
(`podnames`), resources and security (`podlimits`, `securitymerge`), or calls of a runtime.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from minikubelet.model.ids import PodUid, slot_key
from minikubelet.model.pod import Container, Pod, PodSecurityContext
from minikubelet.ports.objectport import ObjectReader
from minikubelet.ports.runtimeport import (
    ContainerConfig,
    Mount,
    PortMapping,
    RuntimeFault,
    SandboxConfig,
)
from minikubelet.shell.envfiles import read_env_files
from minikubelet.shell.environment import Facts, Looked, environment, expand
from minikubelet.shell.envobjects import look_up
from minikubelet.shell.objects import NoObjects
from minikubelet.shell.podlimits import container_resources
from minikubelet.shell.podnames import dns_config, hosts_file, sandbox_host_name
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.securitymerge import merged_security, verify_non_root
from minikubelet.shell.volumes import Roots, Volumes
from minikubelet.wire.containerhash import container_hash

HOSTS: Final = "/etc/hosts"

Hide = Callable[[PodUid, Iterable[str]], None]
"""Takes further secret values of a pod, which may not show in any message of an engine."""
ImageUser = Callable[[str], Awaitable[str]]
"""The user that an image of the engine is configured with."""


class NodeSide(msgspec.Struct, frozen=True, kw_only=True):
    """What of the node and its settings goes into requests; `memory` in bytes.

    `allocatable` are whole quantities by resource, which stand for limits that are not set.
    `writes_hosts`: containers get an /etc/hosts of the agent's making, as upstream's do.
    """

    name: str
    ips: tuple[str, ...] = ()
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = ""
    resolv_conf: str = "/etc/resolv.conf"
    pids_limit: int = 0
    memory: int = 0
    allocatable: Mapping[str, str] = {}
    writes_hosts: bool = False


class PodConfigMaker:
    """Makes SandboxConfig and ContainerConfig.

    Without `image_user` it is left to the runtime to keep `runAsNonRoot`.
    """

    def __init__(
        self,
        node: NodeSide,
        paths: PodPaths,
        volumes: Volumes,
        *,
        objects: ObjectReader | None = None,
        image_user: ImageUser | None = None,
        hide: Hide | None = None,
    ) -> None:
        self._node = node
        self._paths = paths
        self._volumes = volumes
        self._objects = objects or NoObjects()
        self._image_user = image_user
        self._hide = hide
        self._ips: dict[PodUid, tuple[str, ...]] = {}

    def sandbox(self, pod: Pod, attempt: int) -> SandboxConfig:
        """The request for a pod's sandbox; raises RuntimeFault."""
        meta, spec, node = pod.metadata, pod.spec, self._node
        uid, slot = PodUid(meta.uid), slot_key(meta.namespace, meta.name)
        if spec.host_users is False:
            raise RuntimeFault(
                "CreatePodSandboxConfigError",
                "hostUsers: false: user namespaces of pods are not supported by the runtime",
            )
        return SandboxConfig(
            uid=uid,
            namespace=meta.namespace,
            name=meta.name,
            attempt=attempt,
            hostname=node.name if spec.host_network else sandbox_host_name(pod, node.cluster_domain),
            log_directory=self._paths.log_directory(slot, uid),
            labels=tuple(sorted(meta.labels.items())),
            host_network=spec.host_network,
            host_pid=spec.host_pid,
            host_ipc=spec.host_ipc,
            share_process_namespace=bool(spec.share_process_namespace),
            dns=dns_config(
                pod,
                cluster_dns=node.cluster_dns,
                cluster_domain=node.cluster_domain,
                resolv_conf=node.resolv_conf,
            ),
            hosts=tuple((alias.ip, name) for alias in spec.host_aliases for name in alias.hostnames),
            ports=_ports(pod),
            sysctls=_sysctls(spec.security_context),
        )

    async def container(self, pod: Pod, name: str, attempt: int, ips: tuple[str, ...]) -> ContainerConfig:
        """The request for one container; its volumes are there when this returns."""
        meta, spec = pod.metadata, pod.spec
        container = next(c for c in spec.every_container if c.name == name)
        uid, slot = PodUid(meta.uid), slot_key(meta.namespace, meta.name)
        if ips:
            self._ips[uid] = ips
        facts = self.facts(pod)
        roots = await self._volumes.set_up(pod, facts)
        values = await self._variables(pod, container, facts, roots)
        mounts = await self._volumes.mounts(pod, container, roots, values)
        security = merged_security(pod, container, self._paths)
        if self._image_user is not None and security.run_as_non_root:
            verify_non_root(pod, container, security, await self._image_user(container.image))
        termination_log = self._paths.termination_log(uid, name, attempt)
        await asyncio.to_thread(_make_file, termination_log, "", 0o666)
        return ContainerConfig(
            uid=uid,
            namespace=meta.namespace,
            pod_name=meta.name,
            name=name,
            attempt=attempt,
            image=container.image,
            hash=container_hash(container),
            command=tuple(expand(word, values) for word in container.command),
            args=tuple(expand(word, values) for word in container.args),
            env=tuple(values.items()),
            working_dir=container.working_dir,
            mounts=(*mounts, *await self._hosts(pod, container)),
            log_path=self._paths.log(slot, uid, name, attempt),
            termination_log=termination_log,
            termination_message_path=container.termination_message_path or "/dev/termination-log",
            fallback_to_logs=container.termination_message_policy == "FallbackToLogsOnError",
            stdin=container.stdin,
            stdin_once=container.stdin and container.stdin_once,
            tty=container.tty,
            stop_signal=(container.lifecycle.stop_signal if container.lifecycle else "") or "",
            host_network=spec.host_network,
            host_pid=spec.host_pid,
            resources=container_resources(
                pod, container, pids_limit=self._node.pids_limit, node_memory=self._node.memory
            ),
            security=security,
        )

    async def release(self, pod: Pod) -> None:
        """Undo what the pod's volumes made."""
        await self._volumes.release(pod)
        self._ips.pop(PodUid(pod.metadata.uid), None)

    def facts(self, pod: Pod) -> Facts:
        """What a reference to a field may ask for beyond the pod's definition."""
        node = self._node
        pod_ips = node.ips if pod.spec.host_network else self._ips.get(PodUid(pod.metadata.uid), ())
        return Facts(node_name=node.name, host_ips=node.ips, pod_ips=pod_ips, allocatable=node.allocatable)

    async def _variables(
        self, pod: Pod, container: Container, facts: Facts, roots: Roots
    ) -> Mapping[str, str]:
        looked: Looked = await look_up(pod, container, self._objects)
        files = await asyncio.to_thread(read_env_files, container, roots)
        looked = msgspec.structs.replace(looked, files=files)
        if self._hide is not None:
            every = (*looked.secrets.values(), *looked.files.values())
            self._hide(PodUid(pod.metadata.uid), (text for held in every for text in held.values()))
        return environment(pod, container, facts, looked)

    async def _hosts(self, pod: Pod, container: Container) -> tuple[Mount, ...]:
        """The mount of /etc/hosts, unless the container has one of its own; as upstream's makeHostsMount."""
        if not self._node.writes_hosts or any(m.mount_path == HOSTS for m in container.volume_mounts):
            return ()
        path = self._paths.hosts_file(PodUid(pod.metadata.uid))
        ips = self.facts(pod).pod_ips
        if ips or pod.spec.host_network:
            await asyncio.to_thread(self._write_hosts, pod, path, ips)
        elif not path.exists():
            return ()
        return (Mount(path, HOSTS),)

    def _write_hosts(self, pod: Pod, path: Path, ips: tuple[str, ...]) -> None:
        try:
            of_node = Path(HOSTS).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            if pod.spec.host_network:
                raise RuntimeFault("CreateContainerConfigError", f"{HOSTS}: {error.strerror}") from error
            of_node = ""
        _make_file(path, hosts_file(pod, ips, self._node.cluster_domain, of_node=of_node), 0o644)


def _make_file(path: Path, text: str, mode: int) -> None:
    """Write a file in place, since containers have just this one mounted; empty text keeps what it has."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_TRUNC if text else 0)
    with os.fdopen(os.open(path, flags, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)


def _ports(pod: Pod) -> tuple[PortMapping, ...]:
    if pod.spec.host_network:
        return ()
    every = (p for c in (*pod.spec.init_containers, *pod.spec.containers) for p in c.ports)
    return tuple(
        PortMapping(p.container_port, p.host_port, p.protocol or "TCP", p.host_ip)
        for p in every
        if p.host_port
    )


def _sysctls(context: PodSecurityContext | None) -> tuple[tuple[str, str], ...]:
    """With dots, as engines spell them; the API takes slashes too."""
    return tuple((s.name.replace("/", "."), s.value) for s in context.sysctls) if context else ()
