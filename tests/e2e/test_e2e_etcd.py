"""A control plane's etcd as a static pod, as the README walks through it: the example on Debian's etcd."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent_process import MakeAgent
from tests.engine import docker_probe

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
IMAGE = "minikubelet-etcd:local"
KEY = {"key": "YQ=="}


def _docker(*words: str, check: bool = True) -> str:
    done = subprocess.run(
        ["docker", "-H", docker_probe.docker_host(), *words], capture_output=True, text=True, check=check,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def image() -> Iterator[str]:
    """Made of Debian's package, and removed unless it was there before."""
    if shutil.which("apt-get") is None or os.geteuid():
        pytest.skip("an image of Debian's etcd is made by root, on Debian")
    before = _docker("images", "--quiet", IMAGE)
    subprocess.run([ROOT / "tools/base-image.sh", IMAGE, "etcd-server"], check=True, capture_output=True)
    yield IMAGE
    if not before:
        _docker("image", "rm", IMAGE, check=False)


class Etcd:
    """The example's manifest with ports and data of its own, and what its server answers."""

    def __init__(self, data: Path) -> None:
        self.port, peers = (_free_port() for _ in range(2))
        text = (ROOT / "deploy/examples/etcd.yaml").read_text(encoding="utf-8")
        text = text.replace("23790", str(self.port)).replace("23800", str(peers))
        self.manifest = text.replace("/var/lib/minikubelet-etcd", str(data))

    def ask(self, path: str, body: Any = None) -> Any:
        """What it answers, None while it does not."""
        data = json.dumps(body).encode() if body is not None else None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data, timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            return None

    def healthy(self) -> bool:
        return bool((self.ask("/health") or {}).get("health") == "true")

    def value(self) -> str:
        return str(((self.ask("/v3/kv/range", KEY) or {}).get("kvs") or [{}])[0].get("value", ""))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_etcd_keeps_its_data_over_restarts_of_the_agent_and_edits(
    make_agent: MakeAgent, image: str, state_dir: Path
) -> None:
    etcd, agent = Etcd(state_dir / "etcd"), make_agent("docker")
    name = f"{agent.name('etcd')}/etcd"
    agent.write("etcd.yaml", etcd.manifest)
    agent.start()
    agent.until(etcd.healthy, "etcd to answer")
    assert etcd.ask("/v3/kv/put", {**KEY, "value": "MQ=="}) is not None
    first = agent.running("etcd")[name]
    agent.kill()
    agent.start()
    agent.until(lambda: agent.phase(agent.name("etcd")) == "Running", "the pod to be told of")
    assert agent.running("etcd")[name] == first
    assert first.removeprefix("docker://") in _docker("ps", "--quiet", "--no-trunc")
    assert etcd.healthy()
    agent.write("etcd.yaml", etcd.manifest.replace("periodSeconds: 5", "periodSeconds: 6"))
    ended = first.removeprefix("docker://")
    agent.until(lambda: ended not in _docker("ps", "--quiet", "--no-trunc"), "the first one to end")
    agent.until(etcd.healthy, "the next one to answer")
    assert etcd.value() == "MQ=="
    assert "spec.containers[etcd].livenessProbe.periodSeconds: 5 → 6" in agent.command("why", "etcd").stdout
    (agent.manifests / "etcd.yaml").unlink()
    agent.gone(agent.name("etcd"))
    assert etcd.ask("/health") is None
    assert (state_dir / "etcd").is_dir()
    assert agent.terminate() == 0
    agent.verified()
