"""Creates a DaemonSet, which is a pod for each node, through the API server of a kubeconfig.

Standard library and PyYAML. usage: cluster-daemonset.py KUBECONFIG IMAGE
"""

import base64
import json
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

import yaml


def daemonset(image: str) -> dict[str, object]:
    """A pod for each node that does nothing."""
    script = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"
    container = {"name": "main", "image": image, "imagePullPolicy": "Never", "command": ["sh", "-c", script]}
    labels = {"app": "each-node"}
    pod = {"terminationGracePeriodSeconds": 2, "containers": [container]}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "each-node"}, "spec": spec}


def main(kubeconfig: str, image: str) -> None:
    """Create it unless it is there."""
    config = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = ssl.create_default_context(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    url = f"{cluster['server']}/apis/apps/v1/namespaces/default/daemonsets"
    headers = {"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"}
    body = json.dumps(daemonset(image)).encode()
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - the kubeconfig's own https address
    try:
        urllib.request.urlopen(request, context=trust, timeout=30).close()  # noqa: S310 - as above
    except urllib.error.HTTPError as error:
        if error.code != 409:  # noqa: PLR2004 - it is there
            sys.exit(f"{error}: {error.read().decode()}")


main(sys.argv[1], sys.argv[2])
