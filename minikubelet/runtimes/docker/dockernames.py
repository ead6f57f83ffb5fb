"""Names and labels of containers, in the scheme that cri-dockerd set, and what marks them as ours.

The labels are the driver's only memory of its own: whatever a restarted agent has to know of a container
that the engine does not tell is one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from minikubelet.ports.runtimeport import ContainerConfig, Pairs, SandboxConfig

POD_NAME: Final = "io.kubernetes.pod.name"
POD_NAMESPACE: Final = "io.kubernetes.pod.namespace"
POD_UID: Final = "io.kubernetes.pod.uid"
CONTAINER_NAME: Final = "io.kubernetes.container.name"
RESTART_COUNT: Final = "io.kubernetes.container.restartCount"
HASH: Final = "io.kubernetes.container.hash"
LOG_PATH: Final = "io.kubernetes.container.logpath"
MESSAGE_PATH: Final = "io.kubernetes.container.terminationMessagePath"
TYPE: Final = "io.kubernetes.docker.type"
SANDBOX_ID: Final = "io.kubernetes.sandbox.id"
NODE: Final = "minikubelet.dev/node"
ATTEMPT: Final = "minikubelet.dev/attempt"
SHARE_PID: Final = "minikubelet.dev/share-process-namespace"
HOST_IPC: Final = "minikubelet.dev/host-ipc"
TERMINATION_LOG: Final = "minikubelet.dev/termination-log"
FALLBACK_TO_LOGS: Final = "minikubelet.dev/fallback-to-logs"

SANDBOX: Final = "podsandbox"
CONTAINER: Final = "container"
_TRUE: Final = "true"
_POD: Final = "POD"
_RESERVED: Final = (
    "io.kubernetes.container.",
    "io.kubernetes.pod.",
    "io.kubernetes.sandbox.",
    "minikubelet.dev/",
)


def sandbox_name(config: SandboxConfig) -> str:
    """`k8s_POD_<pod>_<namespace>_<uid>_<attempt>`."""
    return f"k8s_{_POD}_{config.name}_{config.namespace}_{config.uid}_{config.attempt}"


def container_name(config: ContainerConfig) -> str:
    """`k8s_<container>_<pod>_<namespace>_<uid>_<attempt>`."""
    return f"k8s_{config.name}_{config.pod_name}_{config.namespace}_{config.uid}_{config.attempt}"


def sandbox_labels(config: SandboxConfig, node: str) -> dict[str, str]:
    """The pod's own labels and annotations, and ours."""
    return {
        **_foreign(config.labels),
        **{f"annotation.{key}": value for key, value in config.annotations},
        POD_NAME: config.name,
        POD_NAMESPACE: config.namespace,
        POD_UID: config.uid,
        CONTAINER_NAME: _POD,
        TYPE: SANDBOX,
        NODE: node,
        ATTEMPT: str(config.attempt),
        **_flags({SHARE_PID: config.share_process_namespace, HOST_IPC: config.host_ipc}),
    }


def container_labels(config: ContainerConfig, sandbox_id: str, node: str) -> dict[str, str]:
    """The labels asked for, and ours."""
    return {
        **_foreign(config.labels),
        POD_NAME: config.pod_name,
        POD_NAMESPACE: config.namespace,
        POD_UID: config.uid,
        CONTAINER_NAME: config.name,
        RESTART_COUNT: str(config.attempt),
        HASH: config.hash,
        LOG_PATH: str(config.log_path),
        MESSAGE_PATH: config.termination_message_path,
        TYPE: CONTAINER,
        SANDBOX_ID: sandbox_id,
        NODE: node,
        **({TERMINATION_LOG: str(config.termination_log)} if config.termination_log else {}),
        **_flags({FALLBACK_TO_LOGS: config.fallback_to_logs}),
    }


def _foreign(labels: Pairs) -> dict[str, str]:
    """Labels of a manifest without those that mean something to the driver."""
    return {key: value for key, value in labels if not key.startswith(_RESERVED)}


def _flags(flags: Mapping[str, bool]) -> dict[str, str]:
    return {label: _TRUE for label, on in flags.items() if on}


def flag(labels: Mapping[str, str], label: str) -> bool:
    """Whether a yes-or-no label is set."""
    return labels.get(label) == _TRUE


def is_sandbox(labels: Mapping[str, str]) -> bool:
    """A pause container, not one of the pod's own."""
    return labels.get(TYPE) == SANDBOX


def attempt_of(labels: Mapping[str, str]) -> int:
    """The attempt of a sandbox or container; 0 where the label is missing or no number."""
    text = labels.get(RESTART_COUNT) or labels.get(ATTEMPT) or ""
    return int(text) if text.isascii() and text.isdigit() else 0


def filters(**labels: str) -> dict[str, list[str]]:
    """An engine filter on labels; keywords are names of this module in lower case: `node="a"`."""
    return {"label": [f"{globals()[name.upper()]}={value}" for name, value in labels.items()]}
