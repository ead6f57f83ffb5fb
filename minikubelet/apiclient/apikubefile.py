"""Writing the kubeconfig of a node that has joined, as upstream's kubelet does.

One file, 0600; the certificate in it is named, not held, since it is renewed. Reading is `apikubeconfig`'s.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import yaml

from minikubelet.apiclient.apicertstore import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from minikubelet.apiclient.apiconnection import Connection


def write_node_kubeconfig(path: Path, connection: Connection, pair: Path) -> None:
    """Write the cluster of a connection with certificate and key from one file; raises OSError."""
    cluster: dict[str, Any] = {"server": connection.server}
    if connection.ca is not None and connection.ca.path is not None:
        cluster["certificate-authority"] = str(connection.ca.path.absolute())
    elif connection.ca is not None:
        cluster["certificate-authority-data"] = base64.b64encode(connection.ca.inline or b"").decode()
    more = {
        "insecure-skip-tls-verify": connection.insecure,
        "tls-server-name": connection.tls_server_name,
        "proxy-url": connection.proxy_url,
        "disable-compression": not connection.compress,
    }
    cluster |= {key: value for key, value in more.items() if value}
    user = {"client-certificate": str(pair.absolute()), "client-key": str(pair.absolute())}
    context = {"cluster": "default-cluster", "user": "default-auth", "namespace": "default"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default-cluster", "cluster": cluster}],
        "users": [{"name": "default-auth", "user": user}],
        "contexts": [{"name": "default-context", "context": context}],
        "current-context": "default-context",
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, yaml.safe_dump(content, sort_keys=False).encode())
