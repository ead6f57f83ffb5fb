"""What the engine is asked to create: the port's configurations as the body of `containers/create`.

Pure translation, one function per subject. What needs the engine or the host to be looked at (the floor of
OOM scores, the content of a seccomp profile, an image's user) comes in ready.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from minikubelet.ports.runtimeport import (
    ContainerConfig,
    Mount,
    MountPropagation,
    Resources,
    RuntimeFault,
    SandboxConfig,
    Security,
)
from minikubelet.runtimes.docker import dockernames as names

SANDBOX_OOM_SCORE: Final = -998
"""As the kubelet gives its pause containers: the last to go but for the engine."""

_LOGGING: Final = {"Type": "json-file", "Config": {"max-size": "64m", "max-file": "2"}}
"""The engine's own copy of the logs is bounded: it only has to outlast the agent's absence."""

_PROPAGATION: Final = {
    MountPropagation.PRIVATE: "rprivate",
    MountPropagation.HOST_TO_CONTAINER: "rslave",
    MountPropagation.BIDIRECTIONAL: "rshared",
}

Clamp = Callable[[int], int]


def sandbox_body(config: SandboxConfig, *, node: str, image: str, clamp: Clamp) -> dict[str, Any]:
    """The pause container of a pod."""
    host: dict[str, Any] = {
        "NetworkMode": "host" if config.host_network else "bridge",
        "IpcMode": "host" if config.host_ipc else "shareable",
        "ExtraHosts": [f"{host}:{address}" for address, host in config.hosts],
        "Sysctls": dict(config.sysctls),
        "OomScoreAdj": clamp(SANDBOX_OOM_SCORE),
        "CpuShares": 2,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "LogConfig": {"Type": "none"},
    }
    if config.dns is not None:
        host["Dns"] = list(config.dns.servers)
        host["DnsSearch"] = list(config.dns.searches)
        host["DnsOptions"] = list(config.dns.options)
    body = {"Image": image, "Labels": names.sandbox_labels(config, node), "HostConfig": host}
    if not config.host_network:  # on the host's network it is the host's name, and ports need no mapping
        body["Hostname"] = config.hostname
        body["ExposedPorts"], host["PortBindings"] = _ports(config)
    return body


def _ports(config: SandboxConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in config.ports:
        key = f"{port.container_port}/{port.protocol.lower()}"
        bindings.setdefault(key, []).append({"HostPort": str(port.host_port), "HostIp": port.host_ip})
    return {key: {} for key in bindings}, bindings


def container_body(
    sandbox_id: str,
    config: ContainerConfig,
    *,
    node: str,
    sandbox_labels: Mapping[str, str],
    image_user: str,
    clamp: Clamp,
) -> dict[str, Any]:
    """One of a pod's containers, in its sandbox's namespaces."""
    shared = f"container:{sandbox_id}"
    host: dict[str, Any] = {
        "NetworkMode": shared,
        "IpcMode": "host" if names.flag(sandbox_labels, names.HOST_IPC) else shared,
        "Mounts": [mount_body(mount) for mount in mounts_of(config)],
        "LogConfig": _LOGGING,
        **_resources(config.resources, clamp),
        **_security(config.security),
    }
    if config.host_pid:
        host["PidMode"] = "host"
    elif names.flag(sandbox_labels, names.SHARE_PID):
        host["PidMode"] = shared
    elif config.pid_of:
        host["PidMode"] = f"container:{config.pid_of}"
    body: dict[str, Any] = {
        "Image": config.image,
        "Labels": names.container_labels(config, sandbox_id, node),
        "Env": [f"{name}={value}" for name, value in config.env],
        "WorkingDir": config.working_dir,
        "OpenStdin": config.stdin,
        "StdinOnce": config.stdin_once,
        "Tty": config.tty,
        "User": user_of(config.security, image_user),
        "Healthcheck": {"Test": ["NONE"]},  # an image's own says nothing in Kubernetes, which has probes
        "HostConfig": host,
    }
    if config.stop_signal:
        body["StopSignal"] = config.stop_signal
    if config.command:
        body["Entrypoint"] = list(config.command)
    if config.command or config.args:  # a command without args clears the image's own args
        body["Cmd"] = list(config.args)
    return body


def mounts_of(config: ContainerConfig) -> Sequence[Mount]:
    """The mounts asked for and the file for the termination message, unless that place is taken."""
    path = config.termination_message_path
    if config.termination_log is None or any(mount.container_path == path for mount in config.mounts):
        return config.mounts
    return (*config.mounts, Mount(config.termination_log, path))


def mount_body(mount: Mount) -> dict[str, Any]:
    """A bind mount; unlike a `Binds` entry it takes any path, and never makes a missing one."""
    return {
        "Type": "bind",
        "Source": str(mount.host_path),
        "Target": mount.container_path,
        "ReadOnly": mount.read_only,
        "BindOptions": {"Propagation": _PROPAGATION[mount.propagation]},
    }


def user_of(security: Security, image_user: str) -> str:
    """`uid`, `uid:gid` or empty for the image's own; a group alone keeps the image's user."""
    user = "" if security.run_as_user is None else str(security.run_as_user)
    if security.run_as_group is None:
        return user
    return f"{user or image_user.partition(':')[0] or '0'}:{security.run_as_group}"


def _resources(resources: Resources, clamp: Clamp) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "CpuShares": resources.cpu_shares,
        "CpuQuota": resources.cpu_quota,
        "CpuPeriod": resources.cpu_period,
        "Memory": resources.memory_limit,
        "MemorySwap": resources.memory_limit,  # as much as memory: no swap on top
        "PidsLimit": resources.pids_limit,
    }
    return {
        **{key: value for key, value in wanted.items() if value},
        "OomScoreAdj": clamp(resources.oom_score_adj),
    }


_APPARMOR = {"Unconfined": "unconfined", "RuntimeDefault": "docker-default"}
"""Names of the engine's; it reads them only where the host has AppArmor."""


def _security(security: Security) -> dict[str, Any]:
    options = ["no-new-privileges"] if security.no_new_privileges else []
    if security.seccomp == "Unconfined":
        options.append("seccomp=unconfined")
    elif security.seccomp not in {"", "RuntimeDefault"}:
        options.append(f"seccomp={_profile(Path(security.seccomp))}")
    if security.apparmor:
        name = _APPARMOR.get(security.apparmor) or security.apparmor.removeprefix("localhost/")
        options.append(f"apparmor={name}")
    options += [f"label={name}:{value}" for name, value in security.selinux]
    unmasked: dict[str, Any] = {"MaskedPaths": [], "ReadonlyPaths": []} if security.unmasked_proc else {}
    return {
        **unmasked,
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.read_only_root,
        "CapAdd": list(security.add_capabilities),
        "CapDrop": list(security.drop_capabilities),
        "GroupAdd": [str(group) for group in security.supplemental_groups],
        "SecurityOpt": options,
    }


def _profile(path: Path) -> str:
    """A seccomp profile's content; a file of a kilobyte or so, read in place."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuntimeFault(
            "CreateContainerError", f"cannot read the seccomp profile {path}: {error}"
        ) from None
