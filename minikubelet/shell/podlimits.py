"""Resources of a container in the engine's units, and how readily the kernel kills it.

Follows upstream's cm/helpers_linux.go and qos/policy.go. May not be here: whether the node has them.
"""

from __future__ import annotations

from typing import Final

from minikubelet.core.qos import BEST_EFFORT, GUARANTEED, qos_class
from minikubelet.model.pod import Container, Pod
from minikubelet.model.podquantity import milli, whole
from minikubelet.ports.runtimeport import Resources

PERIOD: Final = 100_000
MIN_SHARES: Final = 2
MAX_SHARES: Final = 262_144
MIN_QUOTA: Final = 1000
MAX_QUOTA: Final = 2**44 - 1
"""µs; the kernel refuses more (kernel/sched/core.c, MAX_BW)"""
NODE_CRITICAL: Final = "system-node-critical"
_ADJUST: Final = {GUARANTEED: -997, BEST_EFFORT: 1000}
_LOWEST: Final = 3
_HIGHEST: Final = 999


def container_resources(pod: Pod, container: Container, *, pids_limit: int, node_memory: int) -> Resources:
    """Shares, quota, memory and OOM score; `node_memory` in bytes."""
    limits, requests = container.resources.limits, container.resources.requests
    cpu_limit = milli(str(limits.get("cpu", "0")))
    cpu_request = milli(str(requests.get("cpu", limits.get("cpu", "0"))))
    return Resources(
        cpu_shares=min(MAX_SHARES, max(MIN_SHARES, cpu_request * 1024 // 1000)),
        cpu_quota=min(MAX_QUOTA, max(MIN_QUOTA, cpu_limit * PERIOD // 1000)) if cpu_limit else 0,
        cpu_period=PERIOD if cpu_limit else 0,
        memory_limit=whole(str(limits.get("memory", "0"))),
        pids_limit=pids_limit,
        oom_score_adj=oom_score(pod, container, node_memory),
    )


def oom_score(pod: Pod, container: Container, node_memory: int) -> int:
    """The more of the node's memory is requested, the later it is killed; critical pods last of all."""
    critical = pod.spec.priority_class_name == NODE_CRITICAL
    fixed = _ADJUST[GUARANTEED] if critical else _ADJUST.get(qos_class(pod))
    if fixed is not None:
        return fixed
    limits, requests = container.resources.limits, container.resources.requests
    requested = whole(str(requests.get("memory", limits.get("memory", "0"))))
    return max(_LOWEST, min(_HIGHEST, 1000 - 1000 * requested // max(1, node_memory)))
