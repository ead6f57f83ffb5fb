"""Whether a pod wants this node: node selector, required node affinity, taints and tolerations.

Belongs here: matching of labels, fields and taints as Kubernetes documents it
(kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node and …/taint-and-toleration). May not be
here: what the node can take (`admission`). What cannot be read as a number matches no comparison.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from minikubelet.core.nodefacts import Taint
from minikubelet.model.pod import NodeSelectorRequirement, NodeSelectorTerm, Pod, Toleration
from minikubelet.model.podbase import TaintEffect

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_LONGEST = 640
"""digits: what has more is not read as a number; no interpreter refuses as many"""


def wants_labels(pod: Pod) -> bool:
    """Whether it matters to the pod which labels the node has."""
    return bool(pod.spec.node_selector) or _required(pod) is not None


def fits_labels(pod: Pod, name: str, labels: Mapping[str, str]) -> bool:
    """Whether the node selector holds, and one of the terms of the required node affinity."""
    if any(labels.get(key) != value for key, value in pod.spec.node_selector.items()):
        return False
    terms = _required(pod)
    return terms is None or any(_term(term, name, labels) for term in terms)


def _required(pod: Pod) -> tuple[NodeSelectorTerm, ...] | None:
    affinity = pod.spec.affinity.node_affinity if pod.spec.affinity else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity else None
    return required.node_selector_terms if required else None


def _term(term: NodeSelectorTerm, name: str, labels: Mapping[str, str]) -> bool:
    """An empty term matches nothing."""
    fields = {"metadata.name": name}
    held = [_holds(one, labels) for one in term.match_expressions]
    held += [_holds(one, fields) for one in term.match_fields]
    return bool(held) and all(held)


def _holds(wanted: NodeSelectorRequirement, found: Mapping[str, str]) -> bool:
    value = found.get(wanted.key)
    match wanted.operator:
        case "In":
            return value in wanted.values
        case "NotIn":
            return value not in wanted.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            numbers = [_number(text) for text in (value or "", *wanted.values)]
            match numbers:
                case [int(one), int(other)]:
                    return one > other if wanted.operator == "Gt" else one < other
                case _:
                    return False
        case _:
            return False


def _number(text: str) -> int | None:
    return int(text) if len(text) <= _LONGEST and _INTEGER.fullmatch(text) else None


def untolerated(pod: Pod, taints: tuple[Taint, ...]) -> Taint | None:
    """The first NoExecute taint that the pod does not tolerate; a kubelet leaves others to the scheduler."""
    serious = (taint for taint in taints if taint.effect == TaintEffect.NO_EXECUTE)
    return next((t for t in serious if not any(tolerates(o, t) for o in pod.spec.tolerations)), None)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether a toleration bears a taint."""
    if toleration.effect not in ("", taint.effect) or toleration.key not in ("", taint.key):
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and toleration.value == taint.value
