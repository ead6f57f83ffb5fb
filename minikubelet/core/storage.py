"""Storage: whether a pod has written more to the node's disk than it may.

After the local storage limits of upstream's eviction/eviction_manager.go. May not be here: measuring, or what
becomes of the pod. Sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from minikubelet.core.nodefacts import Amounts
from minikubelet.model.pod import Container, Pod, Volume
from minikubelet.model.podquantity import canonical, parse_quantity, spell_binary, whole

_STORAGE: Final = "ephemeral-storage"


def limited_volumes(pod: Pod) -> tuple[Volume, ...]:
    """The emptyDirs on the node's disk that have a sizeLimit."""
    return tuple([v for v in pod.spec.volumes if _size_limit(v)])


def is_limited(pod: Pod) -> bool:
    """Whether anything limits what the pod writes to the node's disk."""
    return bool(limited_volumes(pod)) or _pod_limit(pod) > 0


def exceeded(pod: Pod, volumes: Amounts, containers: Amounts, total: int) -> str | None:
    """What is said of a pod that exceeds a limit, None if it keeps them all.

    `containers` are their logs and what they wrote into their own file systems; `total` is of the pod.
    """
    for volume in limited_volumes(pod):
        limit = _size_limit(volume)
        if dict(volumes).get(volume.name, 0) > whole(limit):
            return f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{canonical(limit)}". '
    most = _pod_limit(pod)
    if 0 < most < total:
        said = "Pod ephemeral local storage usage exceeds the total limit of containers"
        return f"{said} {spell_binary(most)}. "
    used = dict(containers)
    for container in pod.spec.containers:
        text, name = _limit(container), container.name
        if 0 < bytes_of(text) < used.get(name, 0):
            return f'Container {name} exceeded its local ephemeral storage limit "{canonical(text)}". '
    return None


def _size_limit(volume: Volume) -> str:
    source = volume.empty_dir
    if source is None or source.medium or bytes_of(source.size_limit) <= 0:
        return ""
    return source.size_limit


def _limit(container: Container) -> str:
    limits: Mapping[str, str] = container.resources.limits
    return limits.get(_STORAGE, "")


def bytes_of(quantity: str) -> int:
    """Of a quantity; 0 for none, and for one that cannot be read: its refusal is not this function's."""
    try:
        return whole(quantity) if quantity and parse_quantity(quantity) > 0 else 0
    except ValueError:
        return 0


def _pod_limit(pod: Pod) -> int:
    """What limits all containers together: those that run at once, or the init container that may most."""
    sidecars, peak = 0, 0
    for container in pod.spec.init_containers:
        own = bytes_of(_limit(container))
        if container.restart_policy == "Always":
            sidecars, own = sidecars + own, 0
        peak = max(peak, sidecars + own)
    return max(peak, sidecars + sum(bytes_of(_limit(c)) for c in pod.spec.containers))
