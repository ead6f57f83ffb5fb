"""The node's own API in a real agent: kubectl reaches into its containers, and the Node says where."""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
import subprocess
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.e2e.agent_process import PATIENCE, AgentProcess, MakeAgent
from tests.e2e.e2e_manifests import STAYS, pod

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]


def _endpoint(agent: AgentProcess) -> int:
    """The port that the Node tells."""

    def told() -> Any:
        node = agent.get("node", agent.node)
        return node and node["status"].get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port")

    return int(agent.until(told, "the Node to tell its port"))


def test_kubectl_reaches_into_static_pods(agent: AgentProcess) -> None:
    """By the name of the mirror pod, whose uid is another than the pod's own."""
    agent.start()
    agent.write("web.yaml", pod("web", f"echo hello; {STAYS}"))
    name = agent.name("web")
    agent.running("web")
    here = ("-n", "kube-system")
    agent.until(lambda: agent.get("pod", name, *here), "the mirror pod")
    assert _log(agent) == "hello\n"
    for websockets in ("true", "false"):
        env = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": websockets}
        said = agent.kubectl("exec", name, *here, "--", "sh", "-c", "echo out; exit 9", code=9, **env)
        assert said == "out\ncommand terminated with exit code 9\n"
    file = agent.base / "file"
    file.write_bytes(os.urandom(100_000))
    there = "/tmp/there" if agent.runtime == "docker" else str(agent.base / "there")
    agent.kubectl("cp", str(file), f"kube-system/{name}:{there}")
    agent.kubectl("cp", f"kube-system/{name}:{there}", str(agent.base / "back"))
    assert (agent.base / "back").read_bytes() == file.read_bytes()
    (agent.manifests / "web.yaml").unlink()
    agent.gone(name)
    agent.terminate()
    agent.verified()


def test_the_node_tells_its_port_and_lets_nobody_in(process_agent: AgentProcess) -> None:
    agent = process_agent.start()
    port = _endpoint(agent)
    node = agent.get("node", agent.node)
    assert "ExtendWebSocketsToKubelet" in node["status"]["declaredFeatures"]
    trust = ssl.create_default_context(cafile=str(agent.root / "pki" / "kubelet.crt"))
    for path in ("healthz", "pods", "configz", "metrics"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"https://127.0.0.1:{port}/{path}", context=trust, timeout=30)
        refused.value.close()
        assert refused.value.code == 401
    assert stat.S_IMODE((agent.root / "pki" / "kubelet.key").stat().st_mode) == 0o600


def test_two_agents_on_one_machine_have_ports_of_their_own(make_agent: MakeAgent) -> None:
    """The default port is the first one's; exec finds the right one."""
    agents = [make_agent("process").start() for _ in range(2)]
    for agent in agents:
        agent.write("web.yaml", pod("web", f"echo {agent.node}; {STAYS}"))
    assert len({_endpoint(agent) for agent in agents}) == 2
    for agent in agents:
        agent.running("web")
        assert agent.node in _log(agent)


def _log(agent: AgentProcess) -> str:
    """The log of its static pod `web`, once there is one."""

    def said() -> str:
        text = agent.kubectl("logs", agent.name("web"), "-n", "kube-system", code=None)
        return "" if "rror from server" in text else text

    return agent.until(said, "the log, through the node API")


def test_streams_end_with_the_agent_and_what_they_run_too(agent: AgentProcess) -> None:
    """A followed log and a command hold nobody up, and the container goes on."""
    agent.start()
    agent.write("web.yaml", pod("web", f"echo hello; {STAYS}"))
    before = agent.running("web")
    _log(agent)
    words = ["kubectl", "--kubeconfig", str(agent.kubeconfig), "-n", "kube-system"]
    calls = (
        ("logs", "-f", agent.name("web")),
        ("exec", agent.name("web"), "--", "sh", "-c", "echo hi; sleep 98765"),
    )
    clients = [
        subprocess.Popen(
            [*words, *call], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for call in calls
    ]
    for client in clients:
        assert client.stdout is not None
        assert client.stdout.readline()
    assert agent.terminate() == 0
    for client in clients:
        client.communicate(timeout=PATIENCE)
    agent.start()
    assert agent.running("web") == before


def test_a_port_that_was_chosen_and_is_busy_ends_the_start(process_agent: AgentProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = process_agent.base / "kubelet.yaml"
        config.write_text(config.read_text().replace("fileCheck", f"port: {port}\nfileCheck", 1))
        done = subprocess.run(
            process_agent.arguments(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 2
    assert f"the node API cannot listen on 127.0.0.1:{port}" in done.stderr


def test_the_node_tells_why_and_lets_its_journal_be_watched(process_agent: AgentProcess) -> None:
    """With the token of an account that a role allows, as any client of the cluster may have it."""
    agent = process_agent.start()
    agent.write("web.yaml", pod("web"))
    agent.running("web")
    port = _endpoint(agent)
    agent.kubectl("create", "serviceaccount", "reader")
    role = "--clusterrole=system:kubelet-api-admin"
    agent.kubectl("create", "clusterrolebinding", "reader", role, "--serviceaccount=default:reader")
    request = agent.base / "request.json"
    request.write_text("{}")
    path = "/api/v1/namespaces/default/serviceaccounts/reader/token"
    answer = json.loads(agent.kubectl("create", "--raw", path, "-f", str(request)))
    trust = ssl.create_default_context(cafile=str(agent.root / "pki" / "kubelet.crt"))
    header = {"Authorization": f"Bearer {answer['status']['token']}"}

    def opened(path: str) -> Any:
        asked = urllib.request.Request(f"https://127.0.0.1:{port}{path}", headers=header)
        return urllib.request.urlopen(asked, context=trust, timeout=60)

    with opened("/why?pod=web&action=start") as told:
        chains = json.load(told)
    assert chains[0]["pod"] == f"kube-system/{agent.name('web')}"
    assert chains[0]["steps"]
    with opened("/manifests") as told:
        assert json.load(told)[0]["file"].endswith("web.yaml")
    with opened("/metrics/probes") as told:
        assert b"prober_probe_total" in told.read()
    with opened("/journal?from=1") as told:
        first = json.loads(told.readline())
        assert (first["seq"], first["record"]["kind"]) == (1, "AgentStarted")
        while json.loads(told.readline())["record"]["kind"] != "ContainerStarted":
            pass
    agent.until(lambda: "web" in agent.kubectl("top", "pod", "-A", code=None), "the pod's usage")
