"""QoS class of a pod (kubernetes.io/docs/concepts/workloads/pods/pod-qos, upstream helper/qos).

Belongs here: the classification by requests and limits. May not be here: what an engine makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from minikubelet.model.pod import Pod

GUARANTEED = "Guaranteed"
BURSTABLE = "Burstable"
BEST_EFFORT = "BestEffort"
_COUNTED = ("cpu", "memory")
_ZERO = ("", "0", "0m", "0Mi", "0Gi", "0Ki", "0M", "0G", "0k", "0.0")


def qos_class(pod: Pod) -> str:
    """Guaranteed: every container limits cpu and memory and requests just that. BestEffort: none asks."""
    asked = False
    exact = True
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        limits = _counted(container.resources.limits)
        requests = {**limits, **_counted(container.resources.requests)}
        asked = asked or bool(requests)
        exact = exact and len(limits) == len(_COUNTED) and limits == requests
    if not asked:
        return BEST_EFFORT
    return GUARANTEED if exact else BURSTABLE


def _counted(resources: Mapping[str, object]) -> dict[str, str]:
    return {name: str(resources[name]) for name in _COUNTED if str(resources.get(name, "")) not in _ZERO}
