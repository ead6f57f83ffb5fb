"""The kubeconfig that lets kubectl and the agent reach the stub API server.

Writes one file, 0600, with the authority and the token inside; reads none.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import yaml

from minikubelet.stubapi.stubcerts import write_private

if TYPE_CHECKING:
    from pathlib import Path

_NAME = "minikubelet"


def write_kubeconfig(path: Path, *, url: str, ca: bytes, token: str) -> None:
    """Write a kubeconfig with one cluster, one user and one context, replacing what was there.

    `ca` is the authority's certificate in PEM.
    """
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(ca).decode()}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": cluster}],
        "users": [{"name": _NAME, "user": {"token": token}}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME}}],
        "current-context": _NAME,
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, yaml.safe_dump(content, sort_keys=False).encode())
