"""ConfigMaps and Secrets made with a stock kubectl reach the pods of an agent, and no secret its journal."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.e2e.agent_process import AgentProcess

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]

WORD = "hush-hush-4711"
SAYS = 'while :; do echo "$(cat /v/key) $MY_WORD $PLAIN"; sleep 0.2; done'


def _create(agent: AgentProcess, *objects: dict[str, Any]) -> None:
    file = agent.base / "create.json"
    items = [{"apiVersion": "v1", **each} for each in objects]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), encoding="utf-8")
    agent.kubectl("create", "-f", str(file))


def _pod(node: str) -> dict[str, Any]:
    plain = {"name": "PLAIN", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "key"}}}
    container = {
        "name": "main",
        "image": "busybox:1.36",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", SAYS],
        "envFrom": [{"prefix": "MY_", "secretRef": {"name": "s"}}],
        "env": [plain],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }
    spec = {
        "nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container],
        "volumes": [{"name": "v", "configMap": {"name": "cm"}}],
    }  # fmt: skip
    return {"kind": "Pod", "metadata": {"name": "web"}, "spec": spec}


def _waiting(agent: AgentProcess) -> str:
    """Why the pod's container waits, as the API server shows it."""
    shown = agent.get("pod", "web") or {}
    statuses = shown.get("status", {}).get("containerStatuses", [])
    waiting = statuses[0]["state"].get("waiting", {}) if statuses else {}
    return f"{waiting.get('reason')}: {waiting.get('message')}"


def _said(agent: AgentProcess) -> str:
    return agent.kubectl("logs", "web", "--tail=1", code=None)


def test_objects_reach_a_pod_when_they_come_and_when_they_change(agent: AgentProcess) -> None:
    """Each missing object is named in turn; an update reaches the volume, and never a variable."""
    agent.start()
    _create(agent, _pod(agent.node))
    missing = 'ContainerCreating: MountVolume.SetUp failed for volume "v" : configmap "cm" not found'
    agent.until(lambda: _waiting(agent) == missing, "the missing ConfigMap to be named")
    _create(agent, {"kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"key": "old"}})
    missing_too = 'CreateContainerConfigError: secret "s" not found'
    agent.until(lambda: _waiting(agent) == missing_too, "the missing Secret to be named")
    data = {"WORD": base64.b64encode(WORD.encode()).decode()}
    _create(agent, {"kind": "Secret", "metadata": {"name": "s"}, "data": data})
    agent.until(lambda: _said(agent).strip() == f"old {WORD} old", "the pod to have both")
    patch = json.dumps({"data": {"key": "new"}})
    agent.kubectl("patch", "configmap", "cm", "--type=merge", "-p", patch)
    agent.until(lambda: _said(agent).strip() == f"new {WORD} old", "the update in the volume")
    agent.kubectl("delete", "pod", "web", "--wait=false")
    agent.gone("web")
    assert agent.terminate() == 0
    kept = b"".join(p.read_bytes() for p in sorted((agent.root / "journal").rglob("*")) if p.is_file())
    assert b"configmap" in kept
    assert WORD.encode() not in kept
    assert WORD not in agent.tail()
    agent.verified()
