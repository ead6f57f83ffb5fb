"""One agent on a real engine and many pods at once: each test brings its pod, and looks at what became of it.

Belongs here: making pods and objects at the agent's API server, waiting for them, and asking containers.
May not be here: expectations. The pods of a file's tests are all created before the first test looks, so
that a file takes as long as its slowest pod.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import subprocess
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import yaml

from tests.e2e.agent_process import PATIENCE, AgentProcess
from tests.engine import docker_probe

T = TypeVar("T")
Obj = dict[str, Any]
STAYS = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"


class Cluster:
    """The agent's API server over plain HTTP: objects by kind and name, in the namespace `default`."""

    def __init__(self, agent: AgentProcess) -> None:
        self.agent = agent
        config = yaml.safe_load(agent.kubeconfig.read_text(encoding="utf-8"))
        cluster = config["clusters"][0]["cluster"]
        self._where = urlsplit(cluster["server"])
        self._token = config["users"][0]["user"]["token"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=ca)

    def ask(self, method: str, path: str, body: Obj | None = None, kind: str = "application/json") -> Any:
        """One request; the decoded answer, or its text where it is not JSON."""
        status, text = self.answer(method, path, body, kind)
        assert status < http.client.BAD_REQUEST, f"{method} {path}: {status} {text}\n{self.agent.tail()}"
        return json.loads(text) if text.startswith("{") else text

    def answer(
        self, method: str, path: str, body: Obj | None = None, kind: str = "application/json"
    ) -> tuple[int, str]:
        """One request; its status and text."""
        connection = http.client.HTTPSConnection(
            str(self._where.hostname), self._where.port, context=self._tls, timeout=PATIENCE
        )
        try:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def create(self, *objects: Obj) -> None:
        """Create pods, ConfigMaps, Secrets and Services."""
        for each in objects:
            plural = f"{each['kind'].lower()}s"
            self.ask("POST", f"/api/v1/namespaces/default/{plural}", {"apiVersion": "v1", **each})

    def patch(self, plural: str, name: str, body: Obj) -> None:
        """A merge patch."""
        path = f"/api/v1/namespaces/default/{plural}/{name}"
        self.ask("PATCH", path, body, "application/merge-patch+json")

    def delete(self, plural: str, name: str, *, grace: int | None = None) -> None:
        """Delete; `grace` in seconds."""
        query = "" if grace is None else f"?gracePeriodSeconds={grace}"
        self.ask("DELETE", f"/api/v1/namespaces/default/{plural}/{name}{query}")

    def pod(self, name: str) -> Obj | None:
        """A pod as the API server shows it, None when there is none."""
        status, text = self.answer("GET", f"/api/v1/namespaces/default/pods/{name}")
        found: Obj | None = json.loads(text) if status == http.client.OK else None
        return found

    def seen(self, name: str) -> Seen:
        """A pod by its name, for asking what became of it."""
        return Seen(self, name)


class Seen:
    """One pod of a test."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    @property
    def status(self) -> Obj:
        """The pod's status now."""
        found: Obj = (self.cluster.pod(self.name) or {}).get("status", {})
        return found

    def until(self, condition: Callable[[Obj], T | None], what: str) -> T:
        """The first truthy value of a condition on the pod's status."""
        return self.cluster.agent.until(
            lambda: condition(self.status), f"{self.name} {what}; its status: {json.dumps(self.status)}"
        )

    def ended(self) -> Seen:
        """Wait until the pod has ended."""
        self.until(lambda status: status.get("phase") in {"Succeeded", "Failed"}, "to end")
        return self

    def running(self) -> Seen:
        """Wait until all main containers run."""
        self.until(_all_run, "to run")
        return self

    def ended_by_deadline(self) -> Seen:
        """Give the running pod a deadline that has passed, and wait until it has ended."""
        self.running().cluster.patch("pods", self.name, {"spec": {"activeDeadlineSeconds": 1}})
        return self.ended()

    def waiting(self, reason: str, container: str = "main") -> str:
        """Wait until a container waits for this reason; its message."""

        def waits(status: Obj) -> str | None:
            waiting = of_container(status, container).get("state", {}).get("waiting", {})
            return str(waiting.get("message", " ")) if waiting.get("reason") == reason else None

        return self.until(waits, f"to wait with {reason}")

    def container(self, name: str = "main") -> Obj:
        """The status of a container."""
        return of_container(self.status, name)

    def exit_code(self, name: str = "main") -> int:
        """The exit code of a container that has ended."""
        return int(self.container(name)["state"]["terminated"]["exitCode"])

    def log(self, container: str = "main", query: str = "") -> str:
        """What a container wrote."""
        path = f"/api/v1/namespaces/default/pods/{self.name}/log?container={container}{query}"
        return str(self.cluster.answer("GET", path)[1])

    def says(self, script: str, container: str = "main") -> str:
        """What a shell in a running container says, whatever its exit code."""
        bare = self.container(container)["containerID"].partition("://")[2]
        done = subprocess.run(
            ["docker", "exec", bare, "sh", "-c", script],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        return (done.stdout + done.stderr).strip()

    def asked(self, container: str = "main") -> Obj:
        """The engine's own account of a container."""
        bare = self.container(container)["containerID"].partition("://")[2]
        found: Obj = docker_probe.ask("GET", f"/containers/{bare}/json")[1]
        return found

    def told(self, reason: str) -> list[str]:
        """The messages of the pod's Events with a reason."""
        items = self.cluster.ask("GET", "/api/v1/namespaces/default/events")["items"]
        ours = (e for e in items if e["involvedObject"]["name"] == self.name and e["reason"] == reason)
        return [str(event["message"]) for event in ours]


def of_container(status: Obj, name: str) -> Obj:
    """The status of a container of any kind; empty when it has none yet."""
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    every = (one for kind in kinds for one in status.get(kind) or ())
    return next((one for one in every if one["name"] == name), {})


def _all_run(status: Obj) -> bool:
    mains = status.get("containerStatuses") or ()
    return bool(mains) and all("running" in one["state"] for one in mains)


def name_of(test: str) -> str:
    """The name of the pod of a test."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in test.removeprefix("test_").lower())
    return plain.strip("-")[:60].strip("-")


def runs(script: str = STAYS, **spec: Any) -> Obj:
    """A container `main` that runs a script once; keys of the container in `main`, of the pod beside it."""
    container = {
        "name": "main", "image": "busybox:1.36", "command": ["sh", "-c", script], **spec.pop("main", {}),
    }  # fmt: skip
    container = {key: value for key, value in container.items() if value is not None}
    meta = spec.pop("metadata", {})
    whole = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 2, **spec, "containers": [container]}
    whole["containers"] += whole.pop("others", [])
    return {"kind": "Pod", "metadata": meta, "spec": whole}


def config_map(name: str, data: dict[str, str], **more: Any) -> Obj:
    return {"kind": "ConfigMap", "metadata": {"name": name}, "data": data, **more}


def secret(name: str, data: dict[str, str], **more: Any) -> Obj:
    coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "metadata": {"name": name}, "data": coded, **more}


def pod(manifest: Obj, *objects: Obj) -> pytest.MarkDecorator:
    """Give a test its pod, and objects that have to be there before it."""
    return pytest.mark.pod(manifest, *objects)


def fields(*names: str) -> pytest.MarkDecorator:
    """Say which fields of the API a test proves, as `Type.field`."""
    return pytest.mark.fields(*names)
