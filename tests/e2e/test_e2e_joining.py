"""A node joins a cluster with a bootstrap token, gets its certificates, and is a node like any other."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml
from cryptography import x509

from tests.e2e.agent_process import CONFIG, AgentProcess
from tests.e2e.apiserver_process import ApiServerProcess
from tests.e2e.e2e_manifests import pod, says

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]
TOKEN = "abcdef.0123456789abcdef"
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-abcdef, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData:
  token-id: abcdef
  token-secret: 0123456789abcdef
  usage-bootstrap-authentication: "true"
"""


@pytest.fixture
def server(state_dir: Path) -> Iterator[ApiServerProcess]:
    made = ApiServerProcess(state_dir / "api").start()
    yield made
    made.remove()


def certificate_lives(agent: AgentProcess, server: ApiServerProcess) -> dict[str, float]:
    """How long each certificate of the node is still good for, in seconds, as its metrics say."""
    port = agent.get("node", agent.node)["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    user = yaml.safe_load(server.kubeconfig.read_text())["users"][0]["user"]
    asked = Request(f"https://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {user['token']}"})
    context = ssl.create_default_context(cafile=str(server.base / "apiserver" / "ca.crt"))
    with urlopen(asked, context=context) as answer:
        text = answer.read().decode()
    found = re.findall(r"^kubelet_certificate_manager_(\w+)_ttl_seconds (.+)$", text, re.MULTILINE)
    return {use: float(ttl) for use, ttl in found}


def test_a_node_runs_its_static_pods_joins_when_it_is_let_in_and_stays_in(
    process_agent: AgentProcess, server: ApiServerProcess
) -> None:
    """Nothing waits for the approval; both certificates come, and a restart uses them without the token."""
    agent, conf = process_agent, process_agent.base / "kubelet.conf"
    agent.kubeconfig = server.kubeconfig
    authority = f"authentication: {{x509: {{clientCAFile: {server.base}/apiserver/ca.crt}}}}"
    more = f"rotateCertificates: true\nserverTLSBootstrap: true\n{authority}\n"
    config = CONFIG.replace("---\n", f"{more}---\n", 1)
    (agent.base / "kubelet.yaml").write_text(config)
    (agent.base / "secret.yaml").write_text(SECRET)
    bootstrap = server.kubeconfig_with(agent.base / "bootstrap.conf", TOKEN)
    agent.flags = ["--kubeconfig", str(conf), "--bootstrap-kubeconfig", str(bootstrap)]
    agent.flags += ["--node-ip", "127.0.0.1"]
    agent.write("web.yaml", pod("web", says("hello")))
    agent.launch()
    agent.running("web")
    assert not conf.exists()
    agent.until(lambda: "this node has no client certificate yet" in agent.tail(), "what is the matter")
    agent.kubectl("create", "-f", str(agent.base / "secret.yaml"))

    def approve_all() -> bool:
        for each in (agent.get("csr") or {"items": []})["items"]:
            if not each["status"].get("conditions"):
                agent.kubectl("certificate", "approve", each["metadata"]["name"])
        serving = agent.root / "pki" / "kubelet-server-current.pem"
        return conf.exists() and serving.exists()

    agent.until(approve_all, "both certificates")
    assert conf.stat().st_mode & 0o777 == 0o600
    assert TOKEN not in conf.read_text()
    agent.until(lambda: agent.get("node", agent.node), "the node")
    agent.until(lambda: agent.get("pod", "-n", "kube-system", agent.name("web")), "the mirror pod")
    requests = agent.get("csr")["items"]
    shown = sorted((each["spec"]["signerName"], each["spec"]["username"]) for each in requests)
    assert shown == [
        ("kubernetes.io/kube-apiserver-client-kubelet", "system:bootstrap:abcdef"),
        ("kubernetes.io/kubelet-serving", f"system:node:{agent.node}"),
    ]
    assert "Approved,Issued" in agent.kubectl("get", "csr")
    serving = x509.load_pem_x509_certificate((agent.root / "pki/kubelet-server-current.pem").read_bytes())
    names = serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert agent.node in names.get_values_for_type(x509.DNSName)
    assert names.get_values_for_type(x509.IPAddress)
    agent.kubectl("delete", "secret", "-n", "kube-system", "bootstrap-token-abcdef")
    bootstrap.unlink()
    agent.terminate()
    agent.kubectl("delete", "node", agent.node)
    agent.start()
    agent.until(lambda: agent.get("node", agent.node), "the node again, with the certificate alone")
    assert len(agent.get("csr")["items"]) == 2
    name = agent.name("web")
    agent.until(lambda: agent.get("pod", "-n", "kube-system", name), "the mirror pod again")
    assert agent.kubectl("logs", "-n", "kube-system", name) == "hello\n"
    assert agent.kubectl("exec", "-n", "kube-system", name, "--", "echo", "there") == "there\n"
    agent.until(lambda: name in agent.kubectl("top", "pod", "-n", "kube-system", code=None), "its usage")
    assert agent.node in agent.kubectl("top", "node")
    lives = certificate_lives(agent, server)
    assert sorted(lives) == ["client", "server"]
    assert min(lives.values()) > 0


def test_a_bootstrap_kubeconfig_that_cannot_be_used_ends_the_start_with_the_reason(
    process_agent: AgentProcess,
) -> None:
    process_agent.flags = ["--bootstrap-kubeconfig", str(process_agent.base / "absent.conf")]
    process_agent.launch()
    assert process_agent.process is not None
    assert process_agent.process.wait(60) == 2
    process_agent.process = None
    assert "--bootstrap-kubeconfig: kubeconfig" in process_agent.tail()
    assert "cannot be read" in process_agent.tail()
