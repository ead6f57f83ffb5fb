"""Restarts: whether a container that has ended is started again.

After upstream's pkg/api/v1/pod/util.go, ContainerShouldRestart: the rules of a container in their order, then
its own policy, then its pod's. May not be here: when it is started (`backoff`), or whether anything else
stands in its way (`plan_sync`).
"""

from __future__ import annotations

from typing import Final

from minikubelet.core.behaviours import Behaviour, Behaviours
from minikubelet.core.state import ContainerRecord, Generation, init_containers, main_containers
from minikubelet.model.pod import Container, ContainerRestartRule

_ALWAYS: Final = "Always"
_NEVER: Final = "Never"
_RESTART: Final = "Restart"


def restart_policy(gen: Generation) -> str:
    """The pod's: Always, OnFailure or Never."""
    return (gen.pod.spec.restart_policy if gen.pod else "") or _ALWAYS


def policy_of(gen: Generation, name: str, behaviours: Behaviours) -> str:
    """The policy that holds for a container: its own, or its pod's."""
    container = _named(gen, name) if Behaviour.CONTAINER_RESTARTS in behaviours else None
    return (container.restart_policy if container else "") or restart_policy(gen)


def will_restart(gen: Generation, record: ContainerRecord, behaviours: Behaviours) -> bool:
    """Whether a container that has ended is started again, by its rules or the policy that holds for it."""
    if record.again:
        return True
    container = _named(gen, record.name) if Behaviour.CONTAINER_RESTARTS in behaviours else None
    if container is not None and container.restart_policy:
        matching = (rule for rule in container.restart_policy_rules if _matches(rule, record.exit_code))
        rule = next(matching, None)
        if rule is not None and rule.action == _RESTART:
            return True
    policy = policy_of(gen, record.name, behaviours)
    failed = record.exit_code != 0 or record.unhealthy is not None
    return policy == _ALWAYS or (policy != _NEVER and failed)


def restarts_whatever_ends(gen: Generation, behaviours: Behaviours) -> bool:
    """Whether all containers of a pod are started again however they end, so that it never finishes."""
    every = (*init_containers(gen), *main_containers(gen))
    return restart_policy(gen) == _ALWAYS and all(
        policy_of(gen, c.name, behaviours) == _ALWAYS for c in every
    )


def sandbox_comes_again(gen: Generation, behaviours: Behaviours) -> bool:
    """Whether any main container may run again, so that a pod whose sandbox died is made anew."""
    if Behaviour.CONTAINER_RESTARTS not in behaviours:
        return restart_policy(gen) != _NEVER
    return any(_may_restart(gen, c) for c in main_containers(gen))


def _may_restart(gen: Generation, container: Container) -> bool:
    policy = container.restart_policy
    ruled = any(rule.action == _RESTART for rule in container.restart_policy_rules)
    return (policy or restart_policy(gen)) != _NEVER or bool(policy and ruled)


def _named(gen: Generation, name: str) -> Container | None:
    every = (*init_containers(gen), *main_containers(gen))
    return next((c for c in every if c.name == name), None)


def _matches(rule: ContainerRestartRule, code: int) -> bool:
    if rule.exit_codes is None:
        return False
    found = code in rule.exit_codes.values
    return found if rule.exit_codes.operator == "In" else not found
