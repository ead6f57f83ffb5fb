"""What a process cannot keep of a container's promises: refused by name, or said once.

Belongs here: judging requests and turning them into the supervisor's spec. No processes, no state.

Refused, since a weaker likeness would be worse than none: another user without root, root where
runAsNonRoot is asked, capabilities to add without root, seccomp profiles, SELinux labels, sysctls, a
read-only root without an image directory, Bidirectional mounts, a stdin that ends with its first client.
Not kept, and documented: ports (a process listens where it listens), memory, cpu and pids limits, DNS
and host name of its own, host namespaces (they are always the host's), read-only volumes without a
mount namespace.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from minikubelet.ports.runtimeport import (
    ContainerConfig,
    Mount,
    MountPropagation,
    RuntimeFault,
    SandboxConfig,
    Security,
)
from minikubelet.runtimes.process import shimspec

CONFIG_ERROR = "CreateContainerConfigError"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]
"""In the kernel's order (linux/capability.h): the position is the number."""
_VARIABLE = re.compile(r"[^=\0]+")


def image_root(image: str) -> str:
    """The directory that an image names (`dir:///path` or an absolute path), empty if it is a mere name."""
    path = image.removeprefix("dir://")
    return path if path.startswith("/") else ""


def refuse_sandbox(config: SandboxConfig) -> None:
    """RuntimeFault when a pod asks for what would change the host instead of the pod."""
    if config.sysctls:
        names = ", ".join(name for name, _ in config.sysctls)
        raise RuntimeFault(
            "CreatePodSandboxError",
            f"sysctls ({names}) would be set for the whole machine by the process runtime",
        )


def sandbox_warnings(config: SandboxConfig) -> list[str]:
    """What of a pod the process runtime leaves out."""
    moved = [str(each.host_port) for each in config.ports if each.host_port != each.container_port]
    said = []
    if moved:
        said.append(
            f"hostPort {', '.join(moved)}: processes listen on the host's own ports, nothing is mapped"
        )
    if config.dns is not None or config.hosts:
        said.append("dnsPolicy, dnsConfig and hostAliases have no effect: processes use the host's own files")
    return said


def container_warnings(config: ContainerConfig) -> list[str]:
    """What of a container the process runtime leaves out."""
    bounds = {"cpu": config.resources.cpu_quota, "memory": config.resources.memory_limit}
    limits = " and ".join(name for name, bound in bounds.items() if bound)
    return [f"limits of {limits} of {config.name} are not enforced"] if limits else []


def refuse_container(config: ContainerConfig) -> None:
    """RuntimeFault for what the process runtime cannot keep or what makes no sense."""
    image = image_root(config.image)
    if not config.command and not (image and config.args):
        raise RuntimeFault(
            "CreateContainerError",
            f"container {config.name} has no command and its image {config.image} is not used by the process"
            " runtime: give it a command",
        )
    if image and not Path(image).is_dir():
        raise RuntimeFault("CreateContainerError", f"image {config.image}: {image} is not a directory")
    if config.stdin_once:
        raise RuntimeFault(
            CONFIG_ERROR, f"container {config.name}: stdinOnce is not supported by the process runtime"
        )
    _refuse_security(config.name, config.security, bool(image))
    for mount in config.mounts:
        _refuse_mount(config.name, mount)
    for name, value in config.env:
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            raise RuntimeFault(
                CONFIG_ERROR, f"container {config.name}: environment variable {name!r} cannot be set"
            )
    if any("\0" in part for part in (*config.command, *config.args, config.working_dir)):
        raise RuntimeFault(CONFIG_ERROR, f"container {config.name}: a NUL byte in its command or directory")


def _refuse_security(name: str, security: Security, image: bool) -> None:
    root, uid = os.geteuid() == 0, os.geteuid()
    user = uid if security.run_as_user is None else security.run_as_user
    other = user != uid or security.run_as_group not in (None, os.getegid())
    refusals = (
        (not root and other, "runAsUser and runAsGroup need an agent that runs as root"),
        (
            not root and bool(security.supplemental_groups),
            "supplementalGroups need an agent that runs as root",
        ),
        (
            security.run_as_non_root and user == 0,
            "runAsNonRoot is set, but it would run as root: set runAsUser",
        ),
        (not root and bool(security.add_capabilities), "capabilities.add needs an agent that runs as root"),
        (
            security.seccomp not in ("", "Unconfined"),
            "seccompProfile is not supported by the process runtime",
        ),
        (
            security.apparmor not in ("", "Unconfined"),
            "appArmorProfile is not supported by the process runtime",
        ),
        (bool(security.selinux), "seLinuxOptions are not supported by the process runtime"),
        (security.read_only_root and not image, "readOnlyRootFilesystem needs an image that is a directory"),
    )
    for refused, why in refusals:
        if refused:
            raise RuntimeFault(CONFIG_ERROR, f"container {name}: {why}")
    capability_numbers(security.drop_capabilities)


def _refuse_mount(name: str, mount: Mount) -> None:
    path = mount.container_path
    if not path.startswith("/") or not path.strip("/") or ".." in path.split("/") or "\0" in path:
        raise RuntimeFault(CONFIG_ERROR, f"container {name}: mountPath {path!r} must be absolute, without ..")
    if mount.propagation is MountPropagation.BIDIRECTIONAL:
        raise RuntimeFault(CONFIG_ERROR, f"container {name}: mountPropagation Bidirectional is not supported")
    if not mount.host_path.exists():
        raise RuntimeFault(CONFIG_ERROR, f"container {name}: {mount.host_path} for {path} does not exist")


def capability_numbers(names: tuple[str, ...]) -> list[int]:
    """Numbers of capabilities by name, with or without CAP_; ALL is all. RuntimeFault for an unknown one."""
    bare = [name.upper().removeprefix("CAP_") for name in names]
    if "ALL" in bare:
        return list(range(len(_CAPABILITIES)))
    for name in bare:
        if name not in _CAPABILITIES:
            raise RuntimeFault(CONFIG_ERROR, f"capabilities.drop: there is no capability {name}")
    return [_CAPABILITIES.index(name) for name in bare]


def stop_signal(name: str) -> int:
    """Number of a stop signal as in `SIGQUIT`, `QUIT` or `3`; TERM if there is none."""
    if name.isdigit() and 0 < int(name) < signal.NSIG:
        return int(name)
    known = getattr(signal, "SIG" + name.upper().removeprefix("SIG"), signal.SIGTERM if not name else None)
    if not isinstance(known, signal.Signals):
        raise RuntimeFault(CONFIG_ERROR, f"stop signal {name!r} is not known on this machine")
    return int(known)


def container_spec(config: ContainerConfig, directory: Path, hostname: str) -> shimspec.Spec:
    """What the supervisor has to know; call `refuse_container` first."""
    security, root = config.security, directory / shimspec.ROOT
    base = {"PATH": DEFAULT_PATH, "HOME": "/root" if os.geteuid() == 0 else str(root), "HOSTNAME": hostname}
    own = {
        "MINIKUBELET_ROOT": "/" if image_root(config.image) else str(root),
        shimspec.MARKER: str(directory),
    }
    mounts = list(config.mounts)
    if config.termination_log is not None:
        mounts.append(Mount(config.termination_log, config.termination_message_path))
    dropping = [*security.drop_capabilities]
    flags = {
        "stdin": config.stdin,
        "tty": config.tty,
        "read_only_root": security.read_only_root,
        # Without root nothing can be dropped for good, so what could bring it back is barred instead.
        "no_new_privileges": security.no_new_privileges or (bool(dropping) and os.geteuid() != 0),
    }
    return {
        "argv": [*config.command, *config.args],
        "env": [f"{name}={value}" for name, value in {**base, **dict(config.env), **own}.items()],
        "mount_from": [str(mount.host_path) for mount in mounts],
        "mount_to": [os.path.normpath(mount.container_path) for mount in mounts],
        "mount_mode": ["ro" if mount.read_only else "rw" for mount in mounts],
        "image": [image_root(config.image)],
        "cwd": [config.working_dir],
        "root": [str(root)],
        "log": [str(config.log_path)],
        "uid": [] if security.run_as_user is None else [str(security.run_as_user)],
        "gid": [] if security.run_as_group is None else [str(security.run_as_group)],
        "groups": [str(group) for group in security.supplemental_groups],
        "drop": [str(number) for number in capability_numbers(security.drop_capabilities)],
        "flags": [flag for flag, wanted in flags.items() if wanted],
        "oom": [str(config.resources.oom_score_adj)],
    }
