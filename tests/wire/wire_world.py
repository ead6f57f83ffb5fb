"""Manifests to try: a small valid pod, changes to it, and what a reading says of them."""

from __future__ import annotations

import copy
import json
from typing import Any

from minikubelet.model.pod import Pod
from minikubelet.wire.manifest import ManifestReading, read_manifest

NODE = "Node-1"


def small_pod() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "containers": [{"name": "main", "image": "busybox:1.36", "command": ["sleep", "60"]}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }


def changed(path: str, value: object) -> dict[str, Any]:
    """The small pod with one field set: `spec.containers.0.image`."""
    pod = copy.deepcopy(small_pod())
    *way, last = path.split(".")
    place: Any = pod
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    place[int(last) if isinstance(place, list) else last] = value
    return pod


def reading(manifest: object, *, node_name: str = NODE) -> ManifestReading:
    """Read text, bytes, or an object as JSON."""
    if isinstance(manifest, str):
        data = manifest.encode()
    elif isinstance(manifest, bytes):
        data = manifest
    else:
        data = json.dumps(manifest, indent=1).encode()
    return read_manifest(data, name="web.yaml", node_name=node_name, namespace="kube-system")


def accepted(manifest: object, *, node_name: str = NODE) -> Pod:
    """The one pod of a manifest that must be accepted."""
    read = reading(manifest, node_name=node_name)
    assert read.ok, read.verdicts
    assert len(read.pods) == 1
    return read.pods[0].pod


def complaints(manifest: object) -> list[str]:
    """All that is said against a manifest."""
    return [line for verdict in reading(manifest).verdicts for line in verdict.messages]
