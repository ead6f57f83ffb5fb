"""Pods that the node ends itself: what they wrote was more than they may, and others go on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.agent_process import AgentProcess, MakeAgent
from tests.e2e.e2e_manifests import STAYS, pod

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]


def _create(agent: AgentProcess, name: str, script: str, spec: dict[str, Any], **container: Any) -> None:
    wanted = json.loads(pod(name, f"{script}; {STAYS}", node=agent.node, grace=30))
    wanted["spec"] |= spec
    wanted["spec"]["containers"][0] |= container
    file = agent.base / "create.json"
    file.write_text(json.dumps(wanted), encoding="utf-8")
    agent.kubectl("create", "-f", str(file))


def _failed(agent: AgentProcess, name: str) -> tuple[str, str]:
    def found() -> dict[str, Any] | None:
        seen = agent.get("pod", name)
        return seen if seen and seen["status"].get("phase") == "Failed" else None

    status = agent.until(found, f"{name} to be evicted")["status"]
    return status["reason"], status["message"]


@pytest.mark.docker
def test_pods_that_outgrow_their_limits_are_evicted_and_others_go_on(make_agent: MakeAgent) -> None:
    agent = make_agent("docker").start()
    scratch = {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "2Mi"}}]}
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]
    limits = {"limits": {"ephemeral-storage": "2Mi"}, "requests": {"ephemeral-storage": "1Mi"}}
    fill = "dd if=/dev/zero of={}/big bs=1M count=5"
    _create(agent, "volume", fill.format("/scratch"), scratch, volumeMounts=mounts)
    _create(agent, "layer", fill.format("/root"), {}, resources=limits)
    _create(agent, "modest", "echo little > /scratch/small", scratch, volumeMounts=mounts, resources=limits)
    assert _failed(agent, "volume") == (
        "Evicted", 'Usage of EmptyDir volume "scratch" exceeds the limit "2Mi". '
    )  # fmt: skip
    assert _failed(agent, "layer") == (
        "Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "
    )  # fmt: skip
    assert agent.phase("modest") == "Running"
    why = agent.command("why", "volume", "kill").stdout
    assert "the node evicts the pod" in why
    assert "bytes to the node's disk, more than it may" in why
    assert "Evicted" in agent.kubectl("get", "events")
    assert agent.terminate() == 0
    agent.verified()
