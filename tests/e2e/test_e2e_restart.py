"""Restart without amnesia: the agent ends and comes back, and what runs does not notice."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.e2e.agent_process import PATIENCE, AgentProcess
from tests.e2e.e2e_manifests import STAYS, pod, says

pytestmark = pytest.mark.e2e


def test_a_restart_keeps_containers_and_applies_what_changed_meanwhile(agent: AgentProcess) -> None:
    """One pod stays, one is edited, one is deleted and one is new while no agent runs."""
    for name in ("stays", "edited", "deleted"):
        agent.write(f"{name}.yaml", pod(name))
    before = agent.start().running("stays", "edited", "deleted")
    assert agent.terminate() == 0
    agent.write("edited.yaml", pod("edited", says("edited")))
    agent.write("new.yaml", pod("new"))
    (agent.manifests / "deleted.yaml").unlink()

    agent.start().gone(agent.name("deleted"))
    stays, edited = f"{agent.name('stays')}/main", f"{agent.name('edited')}/main"
    agent.until(lambda: agent.running("edited")[edited] != before[edited], "the edited pod to be replaced")
    after = agent.running("stays", "new")
    assert after[stays] == before[stays]
    assert agent.terminate() == 0
    agent.verified()


def test_restart_counts_go_on_after_a_kill(agent: AgentProcess) -> None:
    """A container that crashed before goes on counting, and is not started once more for the restart."""
    flag = "marker"
    crashes_once = f"[ -e /d/{flag} ] && {{ {STAYS}; }}; touch /d/{flag}; exit 3"
    if agent.runtime == "process":
        crashes_once = crashes_once.replace("/d/", f"{agent.base}/")
    agent.write("web.yaml", _with_host_path(agent, pod("web", crashes_once)))
    agent.start()
    name = agent.name("web")
    agent.until(lambda: _restarts(agent, name) == 1 and agent._ids([name]), "one crash, and it runs")
    before = agent.running("web")
    agent.kill()
    agent.start()
    assert agent.running("web") == before
    assert _restarts(agent, name) == 1
    last = agent.pods()[name]["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert last["exitCode"] == 3
    agent.terminate()
    agent.verified()


def _with_host_path(agent: AgentProcess, text: str) -> str:
    volume = f'"volumes": [{{"name": "d", "hostPath": {{"path": "{agent.base}"}}}}], "containers"'
    mount = '"volumeMounts": [{"name": "d", "mountPath": "/d"}], "env"'
    if agent.runtime == "process":
        return text
    return text.replace('"containers"', volume).replace('"env"', mount)


def _restarts(agent: AgentProcess, name: str) -> int:
    statuses = agent.pods().get(name, {}).get("status", {}).get("containerStatuses", [])
    return int(statuses[0]["restartCount"]) if statuses else -1


def test_a_container_that_ends_while_no_agent_runs_is_started_again(agent: AgentProcess) -> None:
    agent.write("web.yaml", pod("web"))
    before = agent.start().running("web")
    name = agent.name("web")
    agent.kill()
    _kill_container(agent, before[f"{name}/main"])
    agent.start()
    agent.until(lambda: _restarts(agent, name) == 1 and agent._ids([name]), "the container to run again")
    assert agent.running("web") != before
    agent.terminate()
    agent.verified()


def _kill_container(agent: AgentProcess, container_id: str) -> None:
    scheme, _, bare = container_id.partition("://")
    if scheme == "docker":
        subprocess.run(["docker", "kill", bare], check=True, capture_output=True, timeout=PATIENCE)
        return
    uid, name, attempt = bare.split("_")
    state = agent.root / "process" / agent.node / uid / f"{name}_{attempt}" / "state.json"
    pid = json.loads(state.read_text(encoding="utf-8"))["pid"]
    subprocess.run(["kill", "-9", str(pid)], check=True, timeout=PATIENCE)


def test_a_lost_journal_costs_no_container(agent: AgentProcess) -> None:
    """What runs is recognised by its labels."""
    agent.write("web.yaml", pod("web"))
    agent.write("calm.yaml", pod("calm"))
    before = agent.start().running("web", "calm")
    agent.terminate()
    shutil.rmtree(agent.root / "journal")
    agent.start()
    assert agent.running("web", "calm") == before
    agent.write("later.yaml", pod("later"))
    agent.running("later")
    assert agent.running("web", "calm") == before
    agent.terminate()
    agent.verified()


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_damaged_journal_is_set_aside_and_said(process_agent: AgentProcess, place: float) -> None:
    """Flipped bytes near the head, in the middle and near the end: the agent starts, and nothing restarts."""
    agent = process_agent
    agent.write("web.yaml", pod("web"))
    before = agent.start().running("web")
    agent.terminate()
    segment = max((agent.root / "journal").glob("*.mkj"), key=lambda path: path.stat().st_size)
    data = bytearray(segment.read_bytes())
    at = int(len(data) * place)
    data[at : at + 8] = bytes(byte ^ 0x55 for byte in data[at : at + 8])
    segment.write_bytes(data)
    said = len(agent.tail())
    agent.start()
    assert agent.running("web") == before
    assert "journal" in agent.tail()[said:]
    assert segment.name in agent.tail()[said:]
    agent.write("later.yaml", pod("later"))
    agent.running("later")
    agent.terminate()


def test_a_second_agent_on_the_same_state_refuses_in_a_sentence(process_agent: AgentProcess) -> None:
    agent = process_agent
    agent.write("web.yaml", pod("web"))
    before = agent.start().running("web")
    second = subprocess.run(
        agent.arguments(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert second.returncode == 2
    last = second.stderr.strip().splitlines()[-1]
    assert last.startswith("minikubelet: ")
    assert str(agent.root) in last
    assert "Traceback" not in second.stderr
    assert agent.command("status").returncode == 0
    assert agent.kubectl("get", "pods", "-A")
    assert agent.running("web") == before


@pytest.mark.parametrize("sign", ["s/pods", "s/kubeconfig", "s/process"])
def test_a_signal_while_it_starts_ends_it_well(process_agent: AgentProcess, sign: str) -> None:
    """Sent as soon as the state directory, the API server, the first sandbox are there."""
    agent, names = process_agent, ("a", "b", "c")
    for name in names:
        agent.write(f"{name}.yaml", pod(name))
    agent.launch()
    agent.until((agent.base / sign).exists, f"{sign} to be there")
    assert agent.terminate() == 0, agent.tail()
    assert "Traceback" not in agent.tail()
    agent.start().running(*names)
    assert agent.terminate() == 0
    agent.verified()
