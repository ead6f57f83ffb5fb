"""The settings in force as a KubeletConfiguration, for `/configz`.

Belongs here: spelling settings as a file would, defaults included. May not be here: reading files
(`wire.settingsfile`).
"""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from minikubelet.model.settings import KubeletSettings


def configuration(settings: KubeletSettings) -> dict[str, Any]:
    """The whole configuration; durations as `20s`."""
    head = {"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1"}
    return {**head, **_spelled(settings)}


def _spelled(settings: msgspec.Struct) -> dict[str, Any]:
    hints = get_type_hints(type(settings), include_extras=True)
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(settings):
        value = getattr(settings, field.name)
        if value is None:
            continue
        if isinstance(value, msgspec.Struct):
            value = _spelled(value)
        elif _is_duration(hints[field.name]):
            value = f"{value:g}s"
        found[field.encode_name] = value
    return found


def _is_duration(hint: Any) -> bool:
    if get_origin(hint) is not Annotated:
        return False
    metas = [each for each in get_args(hint)[1:] if isinstance(each, msgspec.Meta)]
    return any((meta.extra or {}).get("duration") for meta in metas)
