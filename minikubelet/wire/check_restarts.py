"""Rules for a container's own restart policy and the rules that go before it.

Belongs here: what upstream's validateContainerRestartPolicy refuses. May not be here: what follows from a
policy (`core.restarts`).
"""

from __future__ import annotations

from minikubelet.model.pod import Container, ContainerRestartRule
from minikubelet.wire.fieldpaths import Findings, Path

_POLICIES = ("Always", "Never", "OnFailure")
_ACTIONS = ("Restart", "RestartAllContainers")
_OPERATORS = ("In", "NotIn")
_MAX_RULES = 20
_MAX_CODES = 255


def check_restarts(container: Container, at: Path, findings: Findings) -> None:
    """Check the restart policy and rules of a main or init container."""
    path, rules = (*at, "restartPolicyRules"), container.restart_policy_rules
    if container.restart_policy not in ("", *_POLICIES):
        findings.unsupported((*at, "restartPolicy"), container.restart_policy, _POLICIES)
    elif rules and not container.restart_policy:
        findings.required((*at, "restartPolicy"), "must specify restartPolicy when restart rules are used")
    if len(rules) > _MAX_RULES:
        findings.add(path, f"Too many: {len(rules)}: must have at most {_MAX_RULES} items")
    for number, rule in enumerate(rules):
        _check_rule(rule, (*path, number), findings)


def _check_rule(rule: ContainerRestartRule, at: Path, findings: Findings) -> None:
    if rule.action not in _ACTIONS:
        findings.unsupported((*at, "action"), rule.action, _ACTIONS)
    codes = rule.exit_codes
    if codes is None:
        findings.required((*at, "exitCodes"), "must be specified")
        return
    if codes.operator not in _OPERATORS:
        findings.unsupported((*at, "exitCodes", "operator"), codes.operator, _OPERATORS)
    if len(codes.values) > _MAX_CODES:
        path = (*at, "exitCodes", "values")
        findings.add(path, f"Too many: {len(codes.values)}: must have at most {_MAX_CODES} items")
