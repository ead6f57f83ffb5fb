"""The cells that `kubectl get` shows of requests for certificates, roles and bindings.

Pure; as upstream's printers. Column names are in `stubtables`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minikubelet.wire.podcells import since

if TYPE_CHECKING:
    from datetime import datetime

    from minikubelet.stubapi.stubresources import Obj

_NONE = "<none>"


def request_cells(request: Obj, now: datetime) -> list[Any]:
    """A CertificateSigningRequest."""
    spec, status = request.get("spec") or {}, request.get("status") or {}
    found = [each.get("type") for each in status.get("conditions") or []]
    said = [each for each in ("Denied", "Approved", "Failed") if each in found] or ["Pending"]
    if status.get("certificate"):
        said.append("Issued")
    seconds = spec.get("expirationSeconds")
    return [
        request["metadata"]["name"],
        since(request["metadata"].get("creationTimestamp"), now),
        spec.get("signerName") or _NONE,
        spec.get("username") or _NONE,
        f"{seconds}s" if seconds else _NONE,
        ",".join(said),
    ]


def role_cells(role: Obj, _: datetime) -> list[Any]:
    """A Role or ClusterRole."""
    return [role["metadata"]["name"], role["metadata"].get("creationTimestamp")]


def binding_cells(binding: Obj, now: datetime) -> list[Any]:
    """A RoleBinding or ClusterRoleBinding."""
    subjects: dict[str, list[str]] = {}
    for each in binding.get("subjects") or []:
        prefix = f"{each.get('namespace', '')}/" if each["kind"] == "ServiceAccount" else ""
        subjects.setdefault(each["kind"], []).append(prefix + each["name"])
    role = binding.get("roleRef") or {}
    return [
        binding["metadata"]["name"],
        f"{role.get('kind', _NONE)}/{role.get('name', '')}",
        since(binding["metadata"].get("creationTimestamp"), now),
        *(", ".join(subjects.get(kind, [])) for kind in ("User", "Group", "ServiceAccount")),
    ]
