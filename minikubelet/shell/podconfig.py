"""Pod configurations: the runtime's requests made from a full pod.

Belongs here: what of a definition becomes which field of the runtime port. May not be here: calls.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from minikubelet.core.qos import BEST_EFFORT, GUARANTEED, qos_class
from minikubelet.model.ids import PodUid, slot_key
from minikubelet.model.pod import Container, Pod, PodSecurityContext, SecurityContext
from minikubelet.model.podquantity import milli, whole
from minikubelet.ports.runtimeport import (
    ContainerConfig,
    DnsConfig,
    PortMapping,
    Resources,
    SandboxConfig,
    Security,
)
from minikubelet.shell.environment import Facts, environment, expand
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.volumes import Volumes
from minikubelet.wire.containerhash import container_hash

PERIOD: Final = 100_000
MIN_SHARES: Final = 2
MIN_QUOTA: Final = 1000
_ADJUST: Final = {GUARANTEED: -997, BEST_EFFORT: 1000}
_HOSTNAME_MAX: Final = 63


class NodeSide(msgspec.Struct, frozen=True, kw_only=True):
    """What of the node and its settings goes into requests; `memory` in bytes."""

    name: str
    ips: tuple[str, ...] = ()
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = ""
    pids_limit: int = 0
    memory: int = 0
    cpus: int = 1


class PodConfigMaker:
    """Makes SandboxConfig and ContainerConfig."""

    def __init__(self, node: NodeSide, paths: PodPaths, volumes: Volumes) -> None:
        self._node = node
        self._paths = paths
        self._volumes = volumes

    def sandbox(self, pod: Pod, attempt: int) -> SandboxConfig:
        """The request for a pod's sandbox."""
        meta, spec = pod.metadata, pod.spec
        uid, slot = PodUid(meta.uid), slot_key(meta.namespace, meta.name)
        return SandboxConfig(
            uid=uid,
            namespace=meta.namespace,
            name=meta.name,
            attempt=attempt,
            hostname=self._hostname(pod),
            log_directory=self._paths.log_directory(slot, uid),
            labels=tuple(sorted(meta.labels.items())),
            host_network=spec.host_network,
            host_pid=spec.host_pid,
            host_ipc=spec.host_ipc,
            share_process_namespace=bool(spec.share_process_namespace),
            dns=self._dns(pod),
            hosts=tuple((alias.ip, name) for alias in spec.host_aliases for name in alias.hostnames),
            ports=_ports(pod),
            sysctls=_sysctls(spec.security_context),
        )

    async def container(self, pod: Pod, name: str, attempt: int, ips: tuple[str, ...]) -> ContainerConfig:
        """The request for one container; its volumes are there when this returns."""
        meta, spec = pod.metadata, pod.spec
        container = next(c for c in (*spec.init_containers, *spec.containers) if c.name == name)
        uid, slot = PodUid(meta.uid), slot_key(meta.namespace, meta.name)
        values = environment(pod, container, self._facts(pod, ips))
        termination_log = self._paths.termination_log(uid, name, attempt)
        await asyncio.to_thread(_make_file, termination_log)
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
            mounts=await self._volumes.mounts(pod, container),
            log_path=self._paths.log(slot, uid, name, attempt),
            termination_log=termination_log,
            termination_message_path=container.termination_message_path or "/dev/termination-log",
            fallback_to_logs=container.termination_message_policy == "FallbackToLogsOnError",
            stdin=container.stdin,
            tty=container.tty,
            stop_signal=(container.lifecycle.stop_signal if container.lifecycle else "") or "",
            host_network=spec.host_network,
            host_pid=spec.host_pid,
            resources=self._resources(pod, container),
            security=_security(spec.security_context, container.security_context),
        )

    async def release(self, pod: Pod) -> None:
        """Undo what the pod's volumes made."""
        await self._volumes.release(pod)

    def _hostname(self, pod: Pod) -> str:
        if pod.spec.host_network:
            return self._node.name
        return (pod.spec.hostname or pod.metadata.name)[:_HOSTNAME_MAX].rstrip("-.")

    def _dns(self, pod: Pod) -> DnsConfig | None:
        """None is the host's own resolv.conf (policy Default, or no cluster DNS is configured)."""
        spec, extra = pod.spec, pod.spec.dns_config
        options = tuple(f"{o.name}:{o.value}" if o.value else o.name for o in extra.options) if extra else ()
        servers = extra.nameservers if extra else ()
        searches = extra.searches if extra else ()
        if spec.dns_policy == "None":
            return DnsConfig(servers, searches, options)
        with_cluster = spec.dns_policy == "ClusterFirstWithHostNet" or not spec.host_network
        if spec.dns_policy == "Default" or not with_cluster or not self._node.cluster_dns:
            return DnsConfig(servers, searches, options) if extra else None
        domain = self._node.cluster_domain
        own = (f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain) if domain else ()
        return DnsConfig((*self._node.cluster_dns, *servers), (*own, *searches), ("ndots:5", *options))

    def _facts(self, pod: Pod, ips: tuple[str, ...]) -> Facts:
        pod_ips = self._node.ips if pod.spec.host_network else ips
        capacity = {"cpu": str(self._node.cpus), "memory": str(self._node.memory)}
        return Facts(node_name=self._node.name, host_ips=self._node.ips, pod_ips=pod_ips, capacity=capacity)

    def _resources(self, pod: Pod, container: Container) -> Resources:
        limits, requests = container.resources.limits, container.resources.requests
        cpu_limit = milli(str(limits.get("cpu", "0")))
        cpu_request = milli(str(requests.get("cpu", limits.get("cpu", "0"))))
        memory = whole(str(limits.get("memory", "0")))
        return Resources(
            cpu_shares=max(MIN_SHARES, cpu_request * 1024 // 1000),
            cpu_quota=max(MIN_QUOTA, cpu_limit * PERIOD // 1000) if cpu_limit else 0,
            cpu_period=PERIOD if cpu_limit else 0,
            memory_limit=memory,
            pids_limit=self._node.pids_limit,
            oom_score_adj=self._oom_score(pod, container),
        )

    def _oom_score(self, pod: Pod, container: Container) -> int:
        """Upstream's qos/policy.go: the more of the node's memory is requested, the later it is killed."""
        critical = (pod.spec.priority or 0) >= CRITICAL_PRIORITY
        fixed = _ADJUST[GUARANTEED] if critical else _ADJUST.get(qos_class(pod))
        if fixed is not None:
            return fixed
        requested = whole(str(container.resources.requests.get("memory", "0")))
        share = 1000 - 1000 * requested // max(1, self._node.memory)
        return max(3, min(999, share))


CRITICAL_PRIORITY: Final = 2_000_000_000


def _make_file(path: Path) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    path.touch(mode=0o666, exist_ok=True)
    path.chmod(0o666)


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
    return tuple((s.name, s.value) for s in context.sysctls) if context else ()


def _security(pod: PodSecurityContext | None, own: SecurityContext | None) -> Security:
    """The container's own settings before the pod's."""
    pod, own = pod or PodSecurityContext(), own or SecurityContext()
    profile = own.seccomp_profile or pod.seccomp_profile
    groups = (*pod.supplemental_groups, *(() if pod.fs_group is None else (pod.fs_group,)))
    return Security(
        run_as_user=pod.run_as_user if own.run_as_user is None else own.run_as_user,
        run_as_group=pod.run_as_group if own.run_as_group is None else own.run_as_group,
        run_as_non_root=bool(pod.run_as_non_root if own.run_as_non_root is None else own.run_as_non_root),
        supplemental_groups=groups,
        privileged=bool(own.privileged),
        read_only_root=bool(own.read_only_root_filesystem),
        no_new_privileges=own.allow_privilege_escalation is False,
        add_capabilities=own.capabilities.add if own.capabilities else (),
        drop_capabilities=own.capabilities.drop if own.capabilities else (),
        seccomp=(profile.localhost_profile or profile.type) if profile else "",
    )
