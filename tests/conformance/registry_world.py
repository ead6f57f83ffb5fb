"""A registry of the tests' own on loopback, which gives images to those who know its password.

Belongs here: starting it and pushing images, over the engine's API. May not be here: expectations.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.engine import docker_probe

USER = "puller"
PASSWORD = "sesame-4711"
_HASH = "$2y$05$rQQ8Y6yfmqGGdlHsC2liseKvW83mWj7xuDk4rljb.bZ5G1.AvG08K"
_KEY = base64.urlsafe_b64encode(json.dumps({"username": USER, "password": PASSWORD}).encode()).decode()
_CONFIG = """\
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {base}/data}}}}
http: {{addr: 127.0.0.1:{port}}}
auth: {{htpasswd: {{realm: tests, path: {base}/htpasswd}}}}
"""


class Registry:
    """Debian's docker-registry with password protection; `address` is what images of it begin with."""

    def __init__(self, base: Path) -> None:
        self._base = base
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        base.mkdir()
        (base / "htpasswd").write_text(f"{USER}:{_HASH}\n", encoding="utf-8")
        (base / "config.yml").write_text(_CONFIG.format(base=base, port=port), encoding="utf-8")
        with (base / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", base / "config.yml"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._wait(port)

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + 60
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/v2/")
                assert connection.getresponse().status == http.client.UNAUTHORIZED
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise AssertionError((self._base / "log").read_text("utf-8")) from None
                time.sleep(0.05)
            else:
                return
            finally:
                connection.close()

    def have(self, path: str, *, which: str) -> str:
        """Give the engine an image `path:1` whose containers have that WHICH; its name."""
        name = f"{self.address}/{path}"
        base = docker_probe.make_container(docker_probe.BUSYBOX, {})
        body = json.dumps({"Env": [f"WHICH={which}", "PATH=/bin"]}).encode()
        made = f"/commit?container={base}&repo={name}&tag=1"
        _ask("POST", made, body=body, kind="application/json")
        _ask("DELETE", f"/containers/{base}")
        return name

    def push(self, path: str, *, which: str) -> str:
        """Give such an image to the registry, and not to the engine; its digest."""
        name = self.have(path, which=which)
        lines = docker_probe.lines("POST", f"/images/{name}/push?tag=1", {"X-Registry-Auth": _KEY})
        pushed = [line["aux"]["Digest"] for line in lines if "aux" in line]
        assert pushed, lines
        _ask("DELETE", f"/images/{name}:1?noprune=1")
        return str(pushed[-1])

    def secret(self, path: str = "", password: str = PASSWORD) -> str:
        """A `.dockerconfigjson` for the registry, or for a path of it."""
        known = base64.b64encode(f"{USER}:{password}".encode()).decode()
        return json.dumps({"auths": {f"{self.address}{path}": {"auth": known}}})

    def close(self) -> None:
        """End it, and take all of its images out of the engine."""
        self._process.terminate()
        self._process.wait(60)
        for image in _ask("GET", "/images/json"):
            for tag in (*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())):
                if tag.startswith(f"{self.address}/"):
                    docker_probe.ask("DELETE", f"/images/{tag}?noprune=1")


def _ask(method: str, path: str, *, body: bytes = b"", kind: str = "") -> Any:
    status, found = docker_probe.ask(method, path, body=body, kind=kind)
    assert status < http.client.BAD_REQUEST, (method, path, status, found)
    return found
