"""The cells that `kubectl get daemonsets` shows.

Pure; as upstream's printers. May not be here: which columns other kinds have (`stubtables`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from minikubelet.wire.podcells import since

if TYPE_CHECKING:
    from datetime import datetime

    from minikubelet.stubapi.stubresources import Obj

DAEMONSET_NUMBERS: Final = ("Desired", "Current", "Ready", "Up-to-date", "Available")
DAEMONSET_COLUMNS: Final = (
    "Name",
    *DAEMONSET_NUMBERS,
    "Node Selector",
    "Age",
    "Containers+",
    "Images+",
    "Selector+",
)
_FIELDS: Final = (
    "desiredNumberScheduled",
    "currentNumberScheduled",
    "numberReady",
    "updatedNumberScheduled",
    "numberAvailable",
)


def daemonset_cells(obj: Obj, now: datetime) -> list[Any]:
    """A DaemonSet."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    containers = pod.get("containers") or []
    return [
        obj["metadata"]["name"],
        *(status.get(field) or 0 for field in _FIELDS),
        _pairs(pod.get("nodeSelector")),
        since(obj["metadata"].get("creationTimestamp"), now),
        ",".join(str(each.get("name")) for each in containers),
        ",".join(str(each.get("image")) for each in containers),
        _pairs((spec.get("selector") or {}).get("matchLabels")),
    ]


def _pairs(labels: Any) -> str:
    pairs = sorted(labels.items()) if isinstance(labels, dict) else []
    return ",".join(f"{key}={value}" for key, value in pairs) or "<none>"
