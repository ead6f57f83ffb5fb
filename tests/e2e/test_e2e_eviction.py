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


def test_a_node_short_of_memory_says_so_and_ends_pods_that_are_not_critical(
    process_agent: AgentProcess,
) -> None:
    agent = process_agent
    config = agent.base / "kubelet.yaml"
    off, short = "{memory.available: 0%}", "{memory.available: 99.9%}"
    config.write_text(config.read_text("utf-8").replace(off, short), "utf-8")
    agent.write("host.json", pod("host"))
    agent.start()
    agent.running("host")

    def pressure() -> bool:
        node = agent.get("node", agent.node) or {"status": {}}
        held = {c["type"]: c["status"] for c in node["status"].get("conditions", [])}
        return held.get("MemoryPressure") == "True"

    agent.until(pressure, "MemoryPressure")
    _create(agent, "besteffort", "true", {})
    assert _failed(agent, "besteffort") == (
        "Evicted", "Pod was rejected: The node had condition: [MemoryPressure]. "
    )  # fmt: skip
    _create(agent, "burstable", "true", {}, resources={"requests": {"memory": "1Ki"}})
    reason, message = _failed(agent, "burstable")
    assert reason == "Evicted"
    assert message.startswith("The node was low on resource: memory. Threshold quantity: ")
    assert "Container main was using " in message
    assert "the node was measured: memory.available " in agent.command("why", "burstable", "kill").stdout
    agent.running("host")
    assert agent.terminate() == 0
    agent.verified()
