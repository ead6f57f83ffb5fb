"""QoS class of a pod (kubernetes.io/docs/concepts/workloads/pods/pod-qos, upstream helper/qos).

Belongs here: the classification by requests and limits. May not be here: what an engine makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from minikubelet.model.pod import Pod
from minikubelet.model.podquantity import parse_quantity

GUARANTEED = "Guaranteed"
BURSTABLE = "Burstable"
BEST_EFFORT = "BestEffort"
_COUNTED = ("cpu", "memory")


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


def _counted(resources: Mapping[str, str]) -> dict[str, Fraction]:
    amounts = {name: _amount(resources[name]) for name in _COUNTED if name in resources}
    return {name: amount for name, amount in amounts.items() if amount}


def _amount(quantity: str) -> Fraction:
    """A quantity's amount; one that cannot be read asks for nothing, its refusal is not this function's."""
    try:
        return parse_quantity(quantity)
    except ValueError:
        return Fraction(0)
