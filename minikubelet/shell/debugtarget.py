"""Ephemeral containers that look into another one: in whose process namespace they run.

Belongs here: bringing decision and definition together. May not be here: what a runtime makes of it. After
upstream's kuberuntime_container.go, getTargetID.
"""

from __future__ import annotations

from msgspec.structs import replace

from minikubelet.core.commands import StartContainer
from minikubelet.model.pod import Pod
from minikubelet.ports.runtimeport import ContainerConfig, RuntimeFault


def with_target(config: ContainerConfig, pod: Pod, command: StartContainer) -> ContainerConfig:
    """The request with the container whose processes it is to see; RuntimeFault where that never began."""
    wanted = (c.target_container_name for c in pod.spec.ephemeral_containers if c.name == command.container)
    name = next(wanted, "")
    if not name:
        return config
    if not command.target:
        raise RuntimeFault("CreateContainerConfigError", f"unable to find target container {name}")
    return replace(config, pid_of=command.target)
