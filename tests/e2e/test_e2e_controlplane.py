"""Static control planes: manifests as a bootstrap tool writes them run unchanged on a real engine."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from minikubelet.wire.honoured import not_honoured
from minikubelet.wire.manifest import read_manifest
from tests.e2e.agent_process import MakeAgent
from tests.e2e.e2e_controlplane import manifests, self_signed, tls_server
from tests.engine import docker_probe


def test_nothing_in_them_is_without_effect() -> None:
    for name, text in manifests(Path("/host"), tls=6443, http_port=2381).items():
        reading = read_manifest(text.encode(), name=name, node_name="n", namespace="kube-system")
        assert (reading.ok, reading.warnings, len(reading.pods)) == (True, (), 1)
        assert [not_honoured(static.pod) for static in reading.pods] == [()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _inspected(node: str) -> dict[str, dict[str, Any]]:
    """What the engine tells of the containers of a node, by name; those of sandboxes by their pod's."""
    found = {}
    for one in docker_probe.containers(f"minikubelet.dev/node={node}"):
        labels = one["Labels"]
        name = labels.get("io.kubernetes.container.name") or f"sandbox of {labels['io.kubernetes.pod.name']}"
        found[name] = docker_probe.ask("GET", f"/containers/{one['Id']}/json")[1]
    return found


@pytest.mark.e2e
@pytest.mark.docker
def test_a_control_plane_comes_up_ready_and_as_it_is_written(make_agent: MakeAgent, state_dir: Path) -> None:
    certificate, key = self_signed(state_dir)
    agent = make_agent("docker")
    host = state_dir / "host"
    with tls_server(certificate, key) as tls:
        for name, text in manifests(host, tls=tls, http_port=_free_port()).items():
            agent.write(name, text)
        agent.start()
        pods = [agent.name(name) for name in ("kube-apiserver", "etcd")]

        def ready() -> bool:
            shown = agent.pods()
            return all(_ready(shown.get(name, {})) for name in pods)

        agent.until(ready, "both pods to be ready")
        listed = agent.command("manifests")
        assert (listed.returncode, listed.stdout.count("accepted")) == (0, 2)
        assert "no effect" not in listed.stdout + agent.tail()
        shown = _inspected(agent.node)
        api, etcd = shown["kube-apiserver"]["HostConfig"], shown["etcd"]["HostConfig"]
        for config in (api, etcd):
            assert config["NetworkMode"].startswith("container:")
            assert not config["Privileged"]
            assert "seccomp=unconfined" not in (config["SecurityOpt"] or [])
        assert (api["CpuShares"], etcd["CpuShares"], etcd["Memory"]) == (25, 10, 0)
        hosts = [c for name, c in shown.items() if name not in ("kube-apiserver", "etcd")]
        assert [c["HostConfig"]["NetworkMode"] for c in hosts] == ["host"] * len(hosts)
        mounts = {m["Destination"]: (m["Source"], m["RW"]) for m in shown["kube-apiserver"]["Mounts"]}
        assert mounts["/etc/kubernetes/pki"] == (str(host / "pki"), False)
        assert mounts["/etc/kubernetes/admin.conf"] == (str(host / "admin.conf"), False)
        assert (host / "pki").is_dir()
        assert (host / "admin.conf").is_file()
        assert (host / "etcd/member").read_text(encoding="utf-8") == "kept\n"
        status = agent.pods()[pods[0]]["status"]
        assert (status["podIP"], status["qosClass"]) == (status["hostIP"], "Burstable")
    assert agent.terminate() == 0
    agent.verified()


def _ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
