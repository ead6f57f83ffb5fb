"""The reader that static pod files are read with: `wire`'s manifests in the words of this package.

Belongs here: only that translation. May not be here: what a manifest may say (`wire.manifest`).
"""

from __future__ import annotations

from minikubelet.sources.manifestfiles import Reader
from minikubelet.sources.manifestset import FileReading, ReadPod, shown
from minikubelet.wire.manifest import read_manifest


def manifest_reader(*, node_name: str, namespace: str) -> Reader:
    """A reader for this node; `namespace` is for manifests that name none."""

    def read(data: bytes, name: str) -> FileReading:
        name = shown(name)
        reading = read_manifest(data, name=name, node_name=node_name, namespace=namespace)
        return FileReading(
            pods=tuple(ReadPod(found.pod, found.document) for found in reading.pods),
            errors=tuple(text for verdict in reading.verdicts for text in verdict.messages),
            warnings=tuple(text.removeprefix(f"{name}: ") for text in reading.warnings),
        )

    return read
