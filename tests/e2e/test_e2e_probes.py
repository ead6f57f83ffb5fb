"""Probes and hooks with real containers: what restarts, what is ready, what runs before what."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent_process import AgentProcess
from tests.e2e.e2e_manifests import STAYS, pod

pytestmark = pytest.mark.e2e


class Shared:
    """A directory that the test and the containers see: mounted at /d, or by its own path on processes."""

    def __init__(self, agent: AgentProcess) -> None:
        self.host = agent.base / "shared"
        self.host.mkdir()
        self.host.chmod(0o777)
        self.mounted = agent.runtime == "docker"
        self.inside = Path("/d") if self.mounted else self.host

    def pod(self, name: str, script: str = STAYS, *, grace: int = 2, **fields: Any) -> dict[str, Any]:
        """A pod whose container `main` has these fields as well; DIR in any text is the directory."""
        made: dict[str, Any] = json.loads(pod(name, script, grace=grace))
        made["spec"]["containers"][0] |= fields
        self.mount(made)
        return made

    def mount(self, made: dict[str, Any]) -> None:
        if self.mounted:
            made["spec"]["volumes"] = [{"name": "d", "hostPath": {"path": str(self.host)}}]
            for one in (*made["spec"].get("initContainers", []), *made["spec"]["containers"]):
                one["volumeMounts"] = [{"name": "d", "mountPath": "/d"}]

    def text(self, made: dict[str, Any]) -> str:
        return json.dumps(made).replace("DIR", str(self.inside))


def sh(script: str, **timing: int) -> dict[str, Any]:
    """A probe or a hook that runs a shell script."""
    return {"exec": {"command": ["sh", "-c", script]}, **timing}


OFTEN = {"periodSeconds": 1, "timeoutSeconds": 20}


def status(agent: AgentProcess, name: str, container: str = "main") -> dict[str, Any]:
    """What is shown of a container, empty while nothing is."""
    shown = agent.pods().get(agent.name(name), {}).get("status", {})
    every = [*shown.get("initContainerStatuses", []), *shown.get("containerStatuses", [])]
    return next((one for one in every if one["name"] == container), {})


def is_ready(agent: AgentProcess, name: str) -> bool:
    return bool(status(agent, name).get("ready"))


def test_a_container_that_fails_its_liveness_probe_is_restarted(agent: AgentProcess) -> None:
    """The file that the probe asks for is there until the test takes it away."""
    shared = Shared(agent)
    probe = sh("cat DIR/healthy", failureThreshold=1, **OFTEN)
    made = shared.pod("web", f"touch DIR/healthy; {STAYS}", livenessProbe=probe)
    agent.write("web.yaml", shared.text(made))
    agent.start().running("web")
    agent.until((shared.host / "healthy").exists, "the container to say that it is healthy")
    (shared.host / "healthy").unlink()
    agent.until(lambda: status(agent, "web").get("restartCount", 0) >= 1, "a restart")
    agent.until((shared.host / "healthy").exists, "the next instance to run")
    assert "terminated" in status(agent, "web")["lastState"]
    assert agent.terminate() == 0
    agent.verified()


@pytest.mark.docker
@pytest.mark.kubectl
def test_kubectl_shows_readiness_come_and_go_and_why_a_container_was_killed(make_agent: Any) -> None:
    agent: AgentProcess = make_agent("docker")
    shared = Shared(agent)
    made = shared.pod(
        "web",
        readinessProbe=sh("cat DIR/ready", failureThreshold=1, **OFTEN),
        livenessProbe=sh("test ! -e DIR/sick", failureThreshold=1, **OFTEN),
    )
    agent.write("web.yaml", shared.text(made))
    agent.start().running("web")

    def shows(word: str) -> None:
        listed = ("get", "pod", "-n", "kube-system", agent.name("web"), "--no-headers")
        agent.until(lambda: word in agent.kubectl(*listed, code=None).split(), f"kubectl to show {word}")

    shows("0/1")
    (shared.host / "ready").touch()
    shows("1/1")
    (shared.host / "ready").unlink()
    shows("0/1")
    (shared.host / "sick").touch()
    told = ("Readiness probe failed", "Liveness probe failed", "failed liveness probe, will be restarted")
    for words in told:
        agent.until(functools.partial(_told, agent, words), f"an Event with: {words}")


def _told(agent: AgentProcess, words: str) -> bool:
    return words in agent.kubectl("get", "events", "-n", "kube-system", code=None)


def test_a_sidecar_holds_the_containers_after_it_until_it_has_started(agent: AgentProcess) -> None:
    shared = Shared(agent)
    made = shared.pod("web", livenessProbe=sh("true", **OFTEN))
    main = made["spec"]["containers"][0]
    sidecar = {key: main[key] for key in ("image", "imagePullPolicy", "command")} | {
        "name": "proxy", "restartPolicy": "Always",
        "startupProbe": sh("cat DIR/started", failureThreshold=1000, **OFTEN),
    }  # fmt: skip
    made["spec"]["initContainers"] = [sidecar]
    shared.mount(made)
    agent.write("web.yaml", shared.text(made))
    agent.start()
    agent.until(lambda: "running" in status(agent, "web", "proxy").get("state", {}), "the sidecar to run")
    assert status(agent, "web", "proxy")["started"] is False
    assert "waiting" in status(agent, "web")["state"]
    (shared.host / "started").touch()
    agent.running("web")
    assert status(agent, "web", "proxy")["started"] is True
    assert agent.terminate() == 0
    agent.start()
    assert agent.pods()[agent.name("web")]["status"]["initContainerStatuses"][0]["started"] is True


def test_a_probe_that_hangs_holds_up_no_other(agent: AgentProcess) -> None:
    shared = Shared(agent)
    hung = shared.pod("hung", readinessProbe=sh("sleep 3600", periodSeconds=1, timeoutSeconds=1))
    sound = shared.pod("sound", readinessProbe=sh("true", **OFTEN), startupProbe=sh("true", **OFTEN))
    agent.write("hung.yaml", shared.text(hung))
    agent.write("sound.yaml", shared.text(sound))
    agent.start().running("hung", "sound")
    agent.until(lambda: is_ready(agent, "sound"), "the sound pod to be ready")
    assert not is_ready(agent, "hung")


@pytest.mark.docker
def test_http_and_tcp_probes_reach_a_pod_at_its_own_address(make_agent: Any) -> None:
    agent: AgentProcess = make_agent("docker")
    shared = Shared(agent)
    made = shared.pod(
        "web",
        "mkdir -p /www && echo hello >/www/healthz && exec httpd -f -p 8080 -h /www",
        ports=[{"name": "http", "containerPort": 8080}],
        startupProbe={"tcpSocket": {"port": "http"}, "failureThreshold": 100, **OFTEN},
        readinessProbe={"httpGet": {"port": "http", "path": "/healthz"}, **OFTEN},
        livenessProbe={"httpGet": {"port": 8080, "path": "/healthz"}, **OFTEN},
    )
    agent.write("web.yaml", shared.text(made))
    agent.start()
    agent.until(lambda: is_ready(agent, "web"), "the pod to be ready")
    assert status(agent, "web")["restartCount"] == 0


def test_pre_stop_runs_before_the_stop_signal_and_ends_with_the_grace_period(agent: AgentProcess) -> None:
    """One hook ends, and the signal follows; the other hangs, and is cut short."""
    shared = Shared(agent)
    script = "trap 'echo term >>DIR/order; exit 0' TERM; touch DIR/up; while :; do sleep 3600 & wait; done"
    hook = sh("sleep 1; echo prestop >>DIR/order")
    ends = shared.pod("ends", script, grace=60, lifecycle={"preStop": hook})
    hangs = shared.pod("hangs", grace=2, lifecycle={"preStop": sh("sleep 3600")})
    files = [agent.write(f"{p['metadata']['name']}.yaml", shared.text(p)) for p in (ends, hangs)]
    agent.start().running("ends", "hangs")
    agent.until((shared.host / "up").exists, "the container to be up")
    for file in files:
        file.unlink()
    agent.gone(agent.name("ends"), agent.name("hangs"))
    assert (shared.host / "order").read_text().split() == ["prestop", "term"]


def test_a_post_start_hook_that_fails_ends_its_container_and_one_that_hangs_is_cut_short(
    agent: AgentProcess,
) -> None:
    """A deletion does not wait for the hook that hangs."""
    shared = Shared(agent)
    once = sh("test -e DIR/tried || { touch DIR/tried; echo said; exit 1; }")
    fails = shared.pod("fails", lifecycle={"postStart": once})
    hangs = shared.pod("hangs", lifecycle={"postStart": sh("touch DIR/hook; sleep 3600")})
    agent.write("fails.yaml", shared.text(fails))
    file = agent.write("hangs.yaml", shared.text(hangs))
    agent.start()
    agent.until((shared.host / "hook").exists, "the hook to run")
    file.unlink()
    agent.gone(agent.name("hangs"))
    agent.until(lambda: status(agent, "fails").get("restartCount", 0) >= 1, "a restart")
    agent.running("fails")
    ended = status(agent, "fails")["lastState"]["terminated"]
    assert "said" in ended["message"]
    assert ended["containerID"]
    assert agent.terminate() == 0
    agent.verified()
