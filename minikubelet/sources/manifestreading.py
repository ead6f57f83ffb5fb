"""The reader that static pod files are read with: `wire`'s manifests in the words of this package.

Belongs here: only that translation. May not be here: what a manifest may say (`wire.manifest`).
"""

from __future__ import annotations

from minikubelet.sources.manifestfiles import Reader
from minikubelet.sources.manifestset import FileReading, ReadPod, shown
from minikubelet.wire.manifest import read_manifest

_OTHER_KINDS = frozenset({
    "ClusterRole", "ClusterRoleBinding", "ConfigMap", "CronJob", "CustomResourceDefinition", "DaemonSet",
    "Deployment", "EndpointSlice", "Endpoints", "HorizontalPodAutoscaler", "Ingress", "IngressClass", "Job",
    "LimitRange", "Namespace", "NetworkPolicy", "PersistentVolume", "PersistentVolumeClaim",
    "PodDisruptionBudget", "PriorityClass", "ReplicaSet", "ReplicationController", "ResourceQuota", "Role",
    "RoleBinding", "Secret", "Service", "ServiceAccount", "StatefulSet", "StorageClass",
})  # fmt: skip
"""Kinds that are meant for an API server. A kind that is none of these may be a Pod with a slip in it."""


def manifest_reader(*, node_name: str, namespace: str) -> Reader:
    """A reader for this node; `namespace` is for manifests that name none."""

    def read(data: bytes, name: str) -> FileReading:
        name = shown(name)
        reading = read_manifest(data, name=name, node_name=node_name, namespace=namespace)
        return FileReading(
            pods=tuple(ReadPod(found.pod, found.document) for found in reading.pods),
            errors=tuple(text for verdict in reading.verdicts for text in verdict.messages),
            foreign=all(verdict.ok or verdict.kind in _OTHER_KINDS for verdict in reading.verdicts),
            warnings=tuple(text.removeprefix(f"{name}: ") for text in reading.warnings),
        )

    return read
