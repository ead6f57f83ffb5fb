"""Creates one pod for each node named on the command line, through the API server of a kubeconfig.

What a DaemonSet's controller would do. Standard library and PyYAML.
usage: cluster-pods.py KUBECONFIG IMAGE NODE...
"""

import base64
import json
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

import yaml


def pod(node: str, image: str) -> dict[str, object]:
    """A pod that is bound to its node, as a DaemonSet's are."""
    script = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"
    container = {"name": "main", "image": image, "imagePullPolicy": "Never", "command": ["sh", "-c", script]}
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 2, "containers": [container]}
    meta = {"name": f"each-node-{node.rpartition('-')[2]}", "labels": {"app": "each-node"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def main(kubeconfig: str, image: str, nodes: list[str]) -> None:
    """Create what is not there yet."""
    config = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = ssl.create_default_context(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    url = f"{cluster['server']}/api/v1/namespaces/default/pods"
    for node in nodes:
        headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"}
        body = json.dumps(pod(node, image)).encode()
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - the kubeconfig's own https address
        try:
            urllib.request.urlopen(request, context=trust, timeout=30).close()  # noqa: S310 - as above
        except urllib.error.HTTPError as error:
            if error.code != 409:  # noqa: PLR2004 - it is there
                sys.exit(f"{error}: {error.read().decode()}")


main(sys.argv[1], sys.argv[2], sys.argv[3:])
