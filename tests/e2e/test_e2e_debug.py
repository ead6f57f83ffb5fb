"""`kubectl debug` of a running pod: a container beside those that run, with their processes in sight."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.conformance_world import fields
from tests.e2e.agent_process import AgentProcess, MakeAgent
from tests.e2e.e2e_manifests import STAYS, pod

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]


def _debug(agent: AgentProcess, name: str, *words: str, code: int | None = 0) -> str:
    image = ("--image=busybox:1.36", "--image-pull-policy=IfNotPresent")
    return agent.kubectl("debug", name, *image, "-c", "debugger", *words, code=code)


def _create(agent: AgentProcess, wanted: dict[str, Any]) -> None:
    file = agent.base / "create.json"
    file.write_text(json.dumps(wanted), encoding="utf-8")
    agent.kubectl("create", "-f", str(file))


def _state(agent: AgentProcess, name: str) -> dict[str, Any]:
    status = (agent.get("pod", name) or {"status": {}})["status"]
    found: list[dict[str, Any]] = status.get("ephemeralContainerStatuses", [])
    return found[0]["state"] if found else {}


@pytest.mark.docker
@fields(
    "EphemeralContainer.args", "EphemeralContainer.command", "EphemeralContainer.env",
    "EphemeralContainer.envFrom", "EphemeralContainer.securityContext", "EphemeralContainer.stdin",
    "EphemeralContainer.stdinOnce", "EphemeralContainer.terminationMessagePath",
    "EphemeralContainer.terminationMessagePolicy", "EphemeralContainer.tty",
    "EphemeralContainer.volumeMounts", "EphemeralContainer.workingDir",
)  # fmt: skip
def test_what_a_debugger_is_given_it_gets(make_agent: MakeAgent) -> None:
    agent = make_agent("docker").start()
    wanted = json.loads(pod("web", node=agent.node))
    wanted["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
    mounts = [{"name": "data", "mountPath": "/data"}]
    wanted["spec"]["containers"][0]["volumeMounts"] = mounts
    words = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "words"}, "data": {"FROM": "afar"}}
    _create(agent, {"kind": "List", "apiVersion": "v1", "items": [wanted, words]})
    agent.running_names("web")
    script = "cat > /data/in; pwd; id -u; echo $WORD $FROM; test -e /data/in && printf bye > /dev/words"
    common = {"image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c"]}
    looks = {
        **common, "name": "debugger", "args": [script], "workingDir": "/tmp",
        "stdin": True, "stdinOnce": True, "env": [{"name": "WORD", "value": "word"}],
        "envFrom": [{"configMapRef": {"name": "words"}}],
        "securityContext": {"runAsUser": 0, "capabilities": {"drop": ["ALL"]}}, "volumeMounts": mounts,
        "terminationMessagePath": "/dev/words", "terminationMessagePolicy": "File",
    }  # fmt: skip
    terminal = {
        **common,
        "name": "terminal",
        "args": ["test -t 1 && echo terminal"],
        "tty": True,
        "stdin": True,
    }
    shown = agent.get("pod", "web")
    shown["spec"]["ephemeralContainers"] = [looks, terminal]
    file = agent.base / "web.json"
    file.write_text(json.dumps(shown), encoding="utf-8")
    path = "/api/v1/namespaces/default/pods/web/ephemeralcontainers"
    agent.kubectl("replace", "--raw", path, "-f", str(file))
    agent.until(lambda: "running" in _state(agent, "web"), "the debugger to run")
    agent.kubectl("attach", "-i", "web", "-c", "debugger", code=None)
    agent.until(lambda: "terminated" in _state(agent, "web"), "the debugger to end")
    assert _state(agent, "web")["terminated"]["message"] == "bye"
    assert agent.kubectl("logs", "web", "-c", "debugger") == "/tmp\n0\nword afar\n"
    agent.until(lambda: "terminal" in agent.kubectl("logs", "web", "-c", "terminal", code=None), "a terminal")
    assert agent.terminate() == 0
    agent.verified()


@pytest.mark.docker
@fields(
    "PodSpec.ephemeralContainers", "EphemeralContainer.image", "EphemeralContainer.imagePullPolicy",
    "EphemeralContainer.name", "EphemeralContainer.targetContainerName",
)  # fmt: skip
def test_a_debugger_sees_its_targets_processes_and_restarts_nothing(make_agent: MakeAgent) -> None:
    agent = make_agent("docker").start()
    file = agent.base / "web.json"
    file.write_text(pod("web", f": mark of main; {STAYS}", node=agent.node), encoding="utf-8")
    agent.kubectl("create", "-f", str(file))
    before = agent.running_names("web")
    script = f"grep -l 'mark of mai[n]' /proc/1/cmdline; echo looked; {STAYS}"
    _debug(agent, "web", "--target=main", "--profile=general", "--", "sh", "-c", script)
    agent.until(lambda: "running" in _state(agent, "web"), "the debugger to run")
    agent.until(lambda: "looked" in agent.kubectl("logs", "web", "-c", "debugger", code=None), "its look")
    logs = agent.kubectl("logs", "web", "-c", "debugger")
    assert logs == "/proc/1/cmdline\nlooked\n"
    assert "inside" in agent.kubectl("exec", "web", "-c", "debugger", "--", "echo", "inside")
    assert agent.running_names("web") == before
    agent.write("static.json", pod("host"))
    agent.running("host")
    refused = _debug(agent, f"pod/{agent.name('host')}", "-n", "kube-system", code=1)
    assert "static pods do not support ephemeral containers" in refused
    agent.kubectl("delete", "pod", "web", "--now")
    agent.gone("web")
    assert agent.terminate() == 0
    agent.verified()


def test_a_debugger_that_ends_stays_ended(process_agent: AgentProcess) -> None:
    agent = process_agent.start()
    file = agent.base / "web.json"
    file.write_text(pod("web", node=agent.node), encoding="utf-8")
    agent.kubectl("create", "-f", str(file))
    before = agent.running_names("web")
    _debug(agent, "web", "--", "sh", "-c", "echo looked; exit 3")
    agent.until(lambda: "terminated" in _state(agent, "web"), "the debugger to end")
    assert _state(agent, "web")["terminated"]["exitCode"] == 3
    assert agent.kubectl("logs", "web", "-c", "debugger") == "looked\n"
    shown = agent.get("pod", "web")
    assert json.dumps(shown["spec"]["ephemeralContainers"]).count("debugger") == 1
    assert agent.running_names("web") == before
    assert agent.terminate() == 0
    agent.verified()
