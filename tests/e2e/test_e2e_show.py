"""Static pods from a folder, end to end: what runs, what kubectl shows, and what it cannot change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent_process import AgentProcess, MakeAgent
from tests.e2e.e2e_manifests import pod, says

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]
EXAMPLES = Path(__file__).resolve().parents[2] / "config" / "manifests"
SYSTEM = ("-n", "kube-system")
BROKEN = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: main
"""


def test_the_examples_run_and_kubectl_lists_them(agent: AgentProcess) -> None:
    for example in EXAMPLES.iterdir():
        shutil.copy(example, agent.manifests)
    names = [agent.name(path.stem) for path in sorted(EXAMPLES.iterdir())]
    agent.start().running_names(*names)

    def listed() -> bool:
        lines = [line.split() for line in agent.kubectl("get", "pods", "-A").splitlines()]
        shown = {words[1]: (words[0], words[3]) for words in lines if len(words) > 3}
        return all(shown.get(name) == ("kube-system", "Running") for name in names)

    agent.until(listed, "kubectl to list the examples as Running")
    table = agent.command("pods").stdout
    assert all(name in table for name in names)
    assert agent.command("status").returncode == 0
    assert agent.command("manifests").returncode == 0
    assert agent.terminate() == 0
    agent.verified()


def _mirror(agent: AgentProcess, name: str, *, other_than: str = "") -> dict[str, Any]:
    """The mirror pod once it is there, reports Running and has another uid."""

    def found() -> dict[str, Any] | None:
        mirror: dict[str, Any] | None = agent.get("pod", *SYSTEM, name)
        if mirror is None or mirror["metadata"]["uid"] == other_than:
            return None
        return mirror if mirror["status"].get("phase") == "Running" else None

    mirror = agent.until(found, f"a mirror pod of {name} other than {other_than or 'none'}")
    assert mirror["metadata"]["annotations"]["kubernetes.io/config.mirror"]
    return mirror


def test_a_deleted_mirror_comes_back_and_the_container_stays(agent: AgentProcess) -> None:
    """Gracefully, and by force, which leaves no time to the agent."""
    agent.write("web.yaml", pod("web"))
    ids, name = agent.start().running("web"), agent.name("web")
    uid = ""
    for words in ((), ("--force", "--grace-period=0")):
        uid = _mirror(agent, name, other_than=uid)["metadata"]["uid"]
        agent.kubectl("delete", "pod", *SYSTEM, name, *words)
    _mirror(agent, name, other_than=uid)
    assert agent.running("web") == ids
    assert agent.terminate() == 0
    agent.verified()


def test_what_kubectl_changes_has_no_effect_on_the_running_pod(agent: AgentProcess) -> None:
    agent.write("web.yaml", pod("web", labels={"app": "web"}))
    ids, name = agent.start().running("web"), agent.name("web")
    spec = agent.pods()[name]["spec"]
    _mirror(agent, name)
    agent.kubectl("label", "pod", *SYSTEM, name, "app=other", "--overwrite", code=None)
    agent.kubectl("annotate", "pod", *SYSTEM, name, "note=hello", code=None)
    editor = "sed -i s/busybox:1.36/busybox:latest/"
    agent.kubectl("edit", "pod", *SYSTEM, name, code=None, KUBE_EDITOR=editor)
    agent.write("later.yaml", pod("later"))
    agent.running("later")
    assert agent.running("web") == ids
    shown = agent.pods()[name]
    assert shown["spec"] == spec
    assert shown["metadata"]["labels"] == {"app": "web"}
    agent.terminate()
    agent.verified()


def test_files_come_change_break_and_go(agent: AgentProcess) -> None:
    """A life of one file beside a pod that must not notice any of it."""
    agent.write("calm.yaml", pod("calm"))
    calm = agent.start().running("calm")
    name = agent.name("web")
    agent.write("web.yaml", pod("web", says("first")))
    first = agent.running("web")

    agent.write("web.yaml", pod("web", says("second")))
    second = agent.until(lambda: _other(agent, "web", first), "the edited pod to run")

    agent.write(
        "web.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n  - name: main\n"
    )
    verdict = agent.until(lambda: _verdict(agent, "web.yaml", "rejected"), "the verdict over the broken file")
    assert agent.running("web") == second
    assert any("line 6" in m and "spec.containers[0].image" in m for m in verdict["messages"]), verdict
    listed = agent.command("manifests")
    assert listed.returncode == 1
    assert "web.yaml" in listed.stdout
    assert "spec.containers[0].image: Required value" in listed.stdout

    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}}
    agent.write("deployment.yaml", json.dumps(deployment))
    verdict = agent.until(lambda: _verdict(agent, "deployment.yaml", "rejected"), "the Deployment's verdict")
    assert "Deployment" in " ".join(verdict["messages"])

    (agent.manifests / "deployment.yaml").unlink()
    (agent.manifests / "web.yaml").unlink()
    agent.gone(name)
    agent.until(lambda: agent.get("pod", *SYSTEM, name) is None, "kubectl not to list the removed pod")
    assert agent.running("calm") == calm
    assert agent.command("manifests").returncode == 0
    agent.terminate()
    agent.verified()


def _other(agent: AgentProcess, pod_name: str, ids: dict[str, str]) -> dict[str, str] | None:
    """The container ids of a pod that runs, once they are others than before."""
    now = agent._ids([agent.name(pod_name)])
    return now if now and not set(now.values()) & set(ids.values()) else None


def _verdict(agent: AgentProcess, file: str, status: str) -> dict[str, Any] | None:
    for verdict in agent.try_ask("/manifests") or ():
        if Path(verdict["file"]).name == file and verdict["status"] == status:
            found: dict[str, Any] = verdict
            return found
    return None


def test_a_file_goes_by_renaming_without_a_restart(agent: AgentProcess) -> None:
    agent.write("a.yaml", pod("web"))
    ids = agent.start().running("web")
    (agent.manifests / "a.yaml").rename(agent.manifests / "b.yaml")
    agent.until(lambda: _verdict(agent, "b.yaml", "accepted"), "the renamed file's verdict")
    assert agent.running("web") == ids
    agent.terminate()
    agent.verified()


@pytest.mark.parametrize("runtime", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_standalone_runs_the_same_pods_with_no_api_server(runtime: str, make_agent: MakeAgent) -> None:
    agent = make_agent(runtime, standalone=True)
    agent.write("web.yaml", pod("web", says("first")))
    first = agent.start().running("web")
    assert not agent.kubeconfig.exists()
    agent.write("web.yaml", pod("web", says("second")))
    agent.until(lambda: _other(agent, "web", first), "the edited pod to run")
    (agent.manifests / "web.yaml").unlink()
    agent.gone(agent.name("web"))
    assert agent.command("pods").stdout.strip() == "No pods found."
    assert agent.terminate() == 0
    agent.verified()
