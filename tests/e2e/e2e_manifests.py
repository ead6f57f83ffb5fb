"""Manifests of the tests of this folder, as text."""

import json

STAYS = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"


def pod(
    name: str,
    script: str = STAYS,
    *,
    labels: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
    node: str = "",
    grace: int = 2,
) -> str:
    """A pod of one container `main` that runs a shell script; JSON is YAML as well."""
    container = {
        "name": "main",
        "image": "busybox:1.36",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
    }
    spec = {"terminationGracePeriodSeconds": grace, "containers": [container]}
    if node:
        spec["nodeName"] = node
    meta = {"name": name, "labels": labels or {}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, indent=1)


def says(word: str) -> str:
    """A script that says a word and stays."""
    return f"echo {word}; {STAYS}"
