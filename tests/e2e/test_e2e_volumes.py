"""Volumes outlive the agent, and nothing of them outlives their pod."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.shell import volkernel
from tests.e2e.agent_process import AgentProcess
from tests.e2e.e2e_manifests import STAYS
from tests.shell.volumes_world import as_root

pytestmark = [pytest.mark.e2e, as_root]


@pytest.fixture(autouse=True)
def _unmounted(state_dir: Path) -> Iterator[None]:
    """A failed test leaves nothing mounted."""
    yield
    for point in volkernel.mounts_below(state_dir):
        volkernel.unmount(point)


def _manifest() -> str:
    mounts = [{"name": "m", "mountPath": "/m"}, {"name": "m", "mountPath": "/sub", "subPath": "s"}]
    container = {
        "name": "main",
        "image": "busybox:1.36",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", f"echo kept > /sub/f; {STAYS}"],
        "volumeMounts": mounts,
    }
    volumes = [{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec})


def _mounted(agent: AgentProcess) -> list[Path]:
    return volkernel.mounts_below(agent.root / "pods")


def test_memory_survives_a_killed_agent_and_is_given_back_with_the_pod(agent: AgentProcess) -> None:
    agent.write("web.yaml", _manifest())
    ids = agent.start().running("web")
    (volume,) = (agent.root / "pods").glob("*/volumes/*/m")
    agent.until((volume / "s/f").exists, "the container to have written")
    before = _mounted(agent)
    assert len(before) == 2
    agent.kill()
    assert agent.start().running("web") == ids
    assert (_mounted(agent), (volume / "s/f").read_text()) == (before, "kept\n")
    (agent.manifests / "web.yaml").unlink()
    agent.gone(agent.name("web"))
    agent.until(lambda: not list((agent.root / "pods").iterdir()), "the pod's directory to be gone")
    assert _mounted(agent) == []
    assert agent.terminate() == 0
    agent.verified()
