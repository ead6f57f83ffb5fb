"""A node that does not take every pod: what kubectl shows of those it refuses, and that others go on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.agent_process import AgentProcess
from tests.e2e.e2e_manifests import pod

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]


def _create(agent: AgentProcess, name: str, spec: dict[str, Any], **container: Any) -> None:
    wanted = json.loads(pod(name, node=agent.node))
    wanted["spec"] |= spec
    wanted["spec"]["containers"][0] |= container
    file = agent.base / "create.json"
    file.write_text(json.dumps(wanted), encoding="utf-8")
    agent.kubectl("create", "-f", str(file))


def _refused(agent: AgentProcess, name: str) -> tuple[str, str]:
    def found() -> dict[str, Any] | None:
        seen = agent.get("pod", name)
        return seen if seen and seen["status"].get("phase") == "Failed" else None

    status = agent.until(found, f"{name} to be refused")["status"]
    return status["reason"], status["message"]


def test_pods_that_do_not_fit_fail_with_upstreams_reasons(process_agent: AgentProcess) -> None:
    agent = process_agent.start()
    _create(agent, "big", {}, resources={"requests": {"cpu": "4000"}})
    _create(agent, "choosy", {"nodeSelector": {"disk": "of-gold"}})
    sysctls = [{"name": "kernel.shm_rmid_forced", "value": "1"}, {"name": "vm.swappiness", "value": "1"}]
    _create(agent, "tuned", {"securityContext": {"sysctls": sysctls}})
    pages = {"hugepages-2Mi": "4Mi", "cpu": "1m", "memory": "4Mi"}
    _create(agent, "huge", {}, resources={"limits": pages, "requests": pages})
    _create(agent, "fits", {"nodeSelector": {"kubernetes.io/os": "linux"}})
    reason, message = _refused(agent, "big")
    assert reason == "OutOfcpu"
    assert message.startswith(
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 4000000, used: 0"
    )
    assert _refused(agent, "choosy")[0] == "NodeAffinity"
    forbidden = 'Pod was rejected: forbidden sysctl: "vm.swappiness" not allowlisted'
    assert _refused(agent, "tuned") == ("SysctlForbidden", forbidden)
    reason, message = _refused(agent, "huge")
    assert reason == "OutOfhugepages-2Mi"
    assert message.endswith("hugepages-2Mi, requested: 4194304, used: 0, capacity: 0")
    agent.running_names("fits")
    agent.kubectl("delete", "pod", "big", "choosy")
    agent.until(lambda: agent.get("pod", "big") is None, "the refused pod to go")
    assert agent.terminate() == 0
    agent.verified()


def test_a_label_given_to_the_node_lets_a_pod_run_there(process_agent: AgentProcess) -> None:
    agent = process_agent.start()
    agent.until(lambda: agent.get("node", agent.node), "the node to be registered")
    agent.kubectl("label", "node", agent.node, "zone=here")
    _create(agent, "local", {"nodeSelector": {"zone": "here"}})
    agent.running_names("local")
    assert agent.terminate() == 0
    agent.verified()


def test_a_pod_is_ready_once_somebody_opens_its_readiness_gate(process_agent: AgentProcess) -> None:
    agent = process_agent.start()
    _create(agent, "gated", {"readinessGates": [{"conditionType": "example.com/lb"}]})
    agent.running_names("gated")

    def ready(status: str) -> dict[str, Any] | None:
        conditions = (agent.get("pod", "gated") or {"status": {}})["status"].get("conditions", [])
        found: list[dict[str, Any]] = [c for c in conditions if c["type"] == "Ready"]
        return found[0] if found and found[0]["status"] == status else None

    assert agent.until(lambda: ready("False"), "not Ready")["reason"] == "ReadinessGatesNotReady"
    opened = {"status": {"conditions": [{"type": "example.com/lb", "status": "True"}]}}
    agent.kubectl("patch", "pod", "gated", "--subresource=status", "-p", json.dumps(opened))
    agent.until(lambda: ready("True"), "Ready")
    kept = agent.get("pod", "gated")["status"]["conditions"]
    assert "example.com/lb" in [c["type"] for c in kept]
    assert agent.terminate() == 0
    agent.verified()


@pytest.mark.fields("PodSpec.priority")
def test_a_pod_of_the_api_gives_way_to_a_static_one_that_has_no_room(process_agent: AgentProcess) -> None:
    agent = process_agent
    config = agent.base / "kubelet.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("podLogsDir", "maxPods: 1\npodLogsDir", 1))
    agent.start()
    _create(agent, "guest", {})
    agent.running_names("guest")
    agent.write("host.json", pod("host"))
    agent.running("host")
    reason, message = _refused(agent, "guest")
    assert (reason, message) == ("Preempting", "Preempted in order to admit critical pod")
    conditions = agent.get("pod", "guest")["status"]["conditions"]
    (told,) = (c for c in conditions if c["type"] == "DisruptionTarget")
    assert (told["status"], told["reason"]) == ("True", "TerminationByKubelet")
    why = agent.command("why", "guest", "kill").stdout
    assert "a critical pod had no room" in why
    assert agent.terminate() == 0
    agent.verified()
