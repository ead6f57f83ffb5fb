"""Fields of a pod that are understood and checked but have no effect yet, so that nobody has to find out.

Belongs here: the list, and finding its members in a pod. Take a line out when the field begins to work.
Fields that concern schedulers only are not listed: on a node they have no effect upstream either.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from minikubelet.model.pod import Pod

_OF_CONTAINERS = (
    "resizePolicy",
    "resources.claims",
    "securityContext.windowsOptions",
    "volumeDevices",
)
_KINDS = ("containers", "initContainers", "ephemeralContainers")
_VOLUMES_HONOURED = ("name", "emptyDir", "hostPath", "configMap", "secret", "downwardAPI", "projected")

ON_DISK: Final = "spec.volumes[].emptyDir.sizeLimit"
"""A limit without effect on a static pod where the directory is on disk: such pods are never evicted."""

ALL_CONTAINERS: Final = "spec.containers[].restartPolicyRules[].action"
"""`RestartAllContainers` has no effect, in rules of init containers neither: the policy decides instead."""

NOT_HONOURED: Final = frozenset(
    (
        "spec.resourceClaims",
        "spec.resources",
        "spec.runtimeClassName",
        "spec.securityContext.seLinuxChangePolicy",
        "spec.securityContext.windowsOptions",
        "spec.volumes[].projected.sources[].clusterTrustBundle",
        "spec.volumes[].projected.sources[].podCertificate",
        *(f"spec.{kind}[].{field}" for kind in _KINDS for field in _OF_CONTAINERS),
    )
)


def not_honoured(pod: Pod) -> tuple[str, ...]:
    """Names of fields that a pod, as written, sets in vain; each once."""
    named: dict[str, None] = {}
    for path, _ in _fields(msgspec.to_builtins(pod), ""):
        kind, _, field = path.partition("[].")
        other_volume = (
            kind == "spec.volumes" and "." not in field and field and field not in _VOLUMES_HONOURED
        )
        if path in NOT_HONOURED or other_volume:
            named.setdefault(path)
    if any(
        v.empty_dir and v.empty_dir.size_limit and v.empty_dir.medium != "Memory" for v in pod.spec.volumes
    ):
        named.setdefault(ON_DISK)
    every = (*pod.spec.init_containers, *pod.spec.containers)
    if any(rule.action == "RestartAllContainers" for c in every for rule in c.restart_policy_rules):
        named.setdefault(ALL_CONTAINERS)
    return tuple(sorted(named))


def _fields(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            here = f"{path}.{key}" if path else str(key)
            yield here, child
            yield from _fields(child, here)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _fields(child, f"{path}[]")
