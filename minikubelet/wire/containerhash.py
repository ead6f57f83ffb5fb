"""The hash by which a running container is known to be the one that is wanted.

Belongs here: that one function. May not be here: hashes of pods (`staticpod`).
"""

from __future__ import annotations

import hashlib

import msgspec

from minikubelet.model.pod import Container

_DIGITS = 16


def container_hash(container: Container) -> str:
    """16 hex digits over a container's whole specification, the same on every machine and Python.

    Fields at their zero are no part of it, so a field that a later release learns changes no hash.
    Take it from the specification before redaction: secrets are part of what a container is.
    """
    return hashlib.sha256(msgspec.json.encode(container, order="deterministic")).hexdigest()[:_DIGITS]
