"""A Docker engine as the tests see it: is one there, what does it hold, and cleaning up after a test.

Plain HTTP over the engine's socket and the standard library only, so that a test of a driver does not
check that driver with itself. Nothing here knows the package.
"""

import functools
import http.client
import json
import os
import socket
from typing import Any
from urllib.parse import quote, urlsplit

BUSYBOX = "busybox:1.36"
DEFAULT_HOST = "unix:///var/run/docker.sock"
POD_NAMESPACE_LABEL = "io.kubernetes.pod.namespace"


def docker_host() -> str:
    """Where the engine is: DOCKER_HOST, else Docker's own default."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_HOST


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(timeout: float) -> http.client.HTTPConnection:
    url = urlsplit(docker_host())
    if url.scheme == "unix":
        return _UnixConnection(url.path, timeout)
    if url.scheme in {"tcp", "http"} and url.hostname:
        return http.client.HTTPConnection(url.hostname, url.port or 2375, timeout=timeout)
    raise OSError(f"DOCKER_HOST={docker_host()} is neither unix:// nor tcp://")


def ask(method: str, path: str, *, timeout: float = 60, body: bytes = b"", kind: str = "") -> tuple[int, Any]:
    """One request to the engine: its status and its decoded answer (None when it is not JSON)."""
    connection = _connection(timeout)
    try:
        connection.request(method, path, body or None, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        text = answer.read()
        is_json = answer.getheader("Content-Type", "").startswith("application/json")
        return answer.status, json.loads(text) if is_json and text else None
    finally:
        connection.close()


def lines(method: str, path: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    """One request that the engine answers with its progress in lines; AssertionError for an error there."""
    connection = _connection(300)
    try:
        connection.request(method, path, None, headers)
        answer = connection.getresponse()
        found = [json.loads(line) for line in answer.read().splitlines() if line.strip()]
    finally:
        connection.close()
    wrong = [line for line in found if "error" in line or "message" in line]
    if wrong:
        raise AssertionError(f"{method} {path}: {wrong}")
    return found


@functools.cache
def docker_absent() -> str | None:
    """Why tests marked `docker` cannot run here, with what to do about it, or None if they can."""
    try:
        status, _ = ask("GET", "/_ping", timeout=20)
        if status != http.client.OK:
            return f"the engine at {docker_host()} answers a ping with {status}"
        status, _ = ask("GET", f"/images/{quote(BUSYBOX)}/json")
    except (OSError, http.client.HTTPException) as error:
        return f"no Docker engine answers at {docker_host()} ({error}); tools/test-engine.sh starts one"
    if status != http.client.OK:
        return f"the engine at {docker_host()} has no image {BUSYBOX}; tools/test-engine.sh images builds it"
    return None


def make_image(repository: str, tag: str, layer: bytes) -> None:
    """An image of one layer, a tar file."""
    path = f"/images/create?fromSrc=-&repo={quote(repository)}&tag={tag}"
    status, found = ask("POST", path, body=layer, kind="application/x-tar")
    if status != http.client.OK:
        raise AssertionError(f"the engine answers an import with {status}: {found}")


def make_container(image: str, labels: dict[str, str]) -> str:
    """A container that is never started; its id."""
    body = json.dumps({"Image": image, "Cmd": ["true"], "Labels": labels}).encode()
    status, found = ask("POST", "/containers/create", body=body, kind="application/json")
    if status != http.client.CREATED:
        raise AssertionError(f"the engine answers a creation with {status}: {found}")
    return str(found["Id"])


def containers(label: str) -> list[dict[str, Any]]:
    """All containers with that `key` or `key=value` label, stopped ones too, in the engine's list format."""
    filters = quote(json.dumps({"label": [label]}))
    status, found = ask("GET", f"/containers/json?all=1&filters={filters}")
    if status != http.client.OK:
        raise AssertionError(f"the engine answers a list of containers with {status}: {found}")
    return list(found)


def remove_containers(label: str) -> None:
    """Removes by force what carries the label; what is gone already is no error."""
    for container in containers(label):
        ask("DELETE", f"/containers/{container['Id']}?force=1&v=1")
