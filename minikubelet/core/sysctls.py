"""Sysctls of a pod: which a node lets it set, and in which namespace of the kernel each of them lives.

After upstream's sysctl/allowlist.go and node/util/sysctl. May not be here: which are safe on this kernel, or
setting any. Names have dots between their parts; a pattern ends in `*`.
"""

from __future__ import annotations

from typing import Final

from minikubelet.model.pod import Pod

_IPC: Final = "ipc"
_NET: Final = "net"
_NAMESPACES: Final = (
    ("kernel.sem", _IPC),
    ("kernel.shm", _IPC),
    ("kernel.msg", _IPC),
    ("fs.mqueue.", _IPC),
    ("net.", _NET),
)


def dotted(name: str) -> str:
    """The name with dots between its parts: `net/ipv4/conf/eth0.1/x` is `net.ipv4.conf.eth0/1.x`."""
    first = next((mark for mark in name if mark in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def namespace_of(name: str) -> str:
    """The kernel's namespace that a sysctl or the beginning of several belongs to; empty if to none."""
    for known, namespace in _NAMESPACES:
        if name == known or (known != "kernel.sem" and name.startswith(known)):
            return namespace
    return ""


def forbidden_sysctl(pod: Pod, allowed: tuple[str, ...]) -> str | None:
    """What is wrong with the first sysctl that the pod may not set, None if it may set all."""
    context = pod.spec.security_context
    for sysctl in context.sysctls if context else ():
        wrong = _wrong(dotted(sysctl.name), pod, allowed)
        if wrong is not None:
            return f"forbidden sysctl: {wrong}"
    return None


def _wrong(name: str, pod: Pod, allowed: tuple[str, ...]) -> str | None:
    if name not in allowed and not any(one[-1:] == "*" and name.startswith(one[:-1]) for one in allowed):
        return f'"{name}" not allowlisted'
    namespace = namespace_of(name)
    of_host = {_IPC: pod.spec.host_ipc, _NET: pod.spec.host_network}.get(namespace, False)
    return f'"{name}" not allowed with host {namespace} enabled' if of_host else None
