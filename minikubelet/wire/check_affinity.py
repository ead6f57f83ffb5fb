"""Rules for the node affinity that a pod requires: terms, operators and how many values each takes.

Belongs here: what a kubelet goes by. May not be here: preferences and other pods, which are the
scheduler's, or whether a node matches (`core.nodematch`). Follows upstream's `pkg/apis/core/validation`.
"""

from __future__ import annotations

from minikubelet.model.pod import Affinity, NodeSelectorRequirement
from minikubelet.wire import check_names as names
from minikubelet.wire.fieldpaths import Findings, Path

_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_OF_FIELDS = ("In", "NotIn")
_FIELD = "metadata.name"


def check_affinity(affinity: Affinity, path: Path, findings: Findings) -> None:
    """Check the required node affinity, if there is one."""
    node = affinity.node_affinity
    required = node.required_during_scheduling_ignored_during_execution if node else None
    if required is None:
        return
    at = (
        *path, "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"
    )  # fmt: skip
    if not required.node_selector_terms:
        findings.required(at, "must have at least one node selector term")
    for number, term in enumerate(required.node_selector_terms):
        for place, one in enumerate(term.match_expressions):
            _check_expression(one, (*at, number, "matchExpressions", place), findings)
        for place, one in enumerate(term.match_fields):
            _check_field(one, (*at, number, "matchFields", place), findings)


def _check_expression(one: NodeSelectorRequirement, at: Path, findings: Findings) -> None:
    wrong = names.qualified_name(one.key)
    if wrong:
        findings.invalid((*at, "key"), one.key, wrong)
    values = (*at, "values")
    match one.operator:
        case "In" | "NotIn":
            if not one.values:
                findings.required(values, "must be specified when `operator` is In or NotIn")
        case "Exists" | "DoesNotExist":
            if one.values:
                findings.forbidden(values, "may not be specified when `operator` is Exists or DoesNotExist")
        case "Gt" | "Lt":
            if len(one.values) != 1:
                findings.required(values, "must be a single value when `operator` is Gt or Lt")
        case _:
            findings.unsupported((*at, "operator"), one.operator, _OPERATORS)


def _check_field(one: NodeSelectorRequirement, at: Path, findings: Findings) -> None:
    if one.key != _FIELD:
        findings.unsupported((*at, "key"), one.key, (_FIELD,))
    if one.operator not in _OF_FIELDS:
        findings.unsupported((*at, "operator"), one.operator, _OF_FIELDS)
    elif len(one.values) != 1:
        findings.required((*at, "values"), "must be a single value for a field")
