"""Pods from the API server, through a stock kubectl: made, deleted, forced, made again, their logs read."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.e2e.agent_process import PATIENCE, AgentProcess
from tests.e2e.e2e_manifests import STAYS, pod

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]


def _apply(agent: AgentProcess, text: str) -> None:
    file = agent.base / "apply.json"
    file.write_text(text, encoding="utf-8")
    agent.kubectl("create", "-f", str(file))


def _reported(agent: AgentProcess, name: str, phase: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        seen: dict[str, Any] | None = agent.get("pod", name)
        return seen if seen and seen["status"].get("phase") == phase else None

    return agent.until(found, f"{name} to be reported {phase}")


def test_a_pod_lives_and_dies_through_kubectl_three_times(agent: AgentProcess) -> None:
    """Deleted gracefully, then by force, and each time made again under the same name."""
    agent.start()
    seen: set[str] = set()
    for deletion in ((), ("--force", "--grace-period=0"), ("--now",)):
        _apply(agent, pod("web", node=agent.node))
        seen |= _fresh(agent, seen)
        shown = _reported(agent, "web", "Running")
        assert shown["status"]["containerStatuses"][0]["containerID"] in seen
        agent.kubectl("delete", "pod", "web", *deletion)
        agent.until(lambda: agent.get("pod", "web") is None, "kubectl not to list it")
    agent.gone("web")
    assert agent.terminate() == 0
    agent.verified()


def _fresh(agent: AgentProcess, seen: set[str]) -> set[str]:
    """The container ids of the pod once it runs with others than those seen."""

    def fresh() -> set[str]:
        return set(agent._ids(["web"]).values()) - seen

    return agent.until(fresh, "the pod to run in a container of its own")


def test_a_pod_of_another_node_is_left_alone(process_agent: AgentProcess) -> None:
    agent = process_agent.start()
    _apply(agent, pod("theirs", node="some-other-node"))
    _apply(agent, pod("ours", node=agent.node))
    agent.running_names("ours")
    assert "theirs" not in agent.pods()


def test_a_pod_deleted_while_no_agent_runs_is_ended_by_the_next(process_agent: AgentProcess) -> None:
    """The API server lives in the agent here, so that the deletion is under way when the agent dies."""
    agent = process_agent.start()
    _apply(agent, pod("web", f"trap '' TERM; {STAYS.partition(';')[2]}", node=agent.node, grace=4))
    agent.running_names("web")
    agent.kubectl("delete", "pod", "web", "--wait=false")
    agent.kill()
    agent.start()
    agent.kubectl("delete", "pod", "web", "--force", "--grace-period=0", code=None)
    agent.gone("web")
    agent.until(lambda: not agent.left(), "its processes to be gone")
    agent.terminate()
    agent.verified()


def test_logs_are_told_in_whole_by_their_end_and_as_they_come(agent: AgentProcess) -> None:
    lines = "for i in 1 2 3 4 5; do echo line $i; done"
    script = f"{lines}; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo more; {STAYS}"
    if agent.runtime == "process":
        script = script.replace("/tmp/go", str(agent.base / "go"))
    agent.start()
    _apply(agent, pod("web", script, node=agent.node))
    ids = agent.running_names("web")
    every = "".join(f"line {number}\n" for number in range(1, 6))
    agent.until(lambda: agent.kubectl("logs", "web", code=None) == every, "five lines")
    assert agent.kubectl("logs", "web", "--tail", "2") == "line 4\nline 5\n"
    assert agent.kubectl("logs", "web", "-c", "main", "--tail", "1") == "line 5\n"
    assert "other" in agent.kubectl("logs", "web", "-c", "other", code=1)
    stamped = agent.kubectl("logs", "web", "--timestamps", "--tail", "1").split(" ", 1)
    assert stamped[1] == "line 5\n"
    follow = ["kubectl", "--kubeconfig", str(agent.kubeconfig), "logs", "-f", "web"]
    with subprocess.Popen(
        follow, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as follower:
        assert follower.stdout is not None
        assert [follower.stdout.readline() for _ in range(5)] == every.splitlines(keepends=True)
        _go_on(agent, ids["web/main"])
        assert follower.stdout.readline() == "more\n"
        agent.kubectl("delete", "pod", "web", "--now")
        assert follower.stdout.readline() == ""
    assert follower.returncode == 0


def _go_on(agent: AgentProcess, container_id: str) -> None:
    """Let the container that waits for its file say more."""
    if agent.runtime == "process":
        (agent.base / "go").touch()
        return
    bare = container_id.partition("://")[2]
    command = ["docker", "exec", bare, "touch", "/tmp/go"]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)


def test_a_crash_loop_is_visible_and_its_last_words_can_be_read(agent: AgentProcess) -> None:
    agent.start()
    _apply(agent, pod("web", "echo instance $$$$; exit 7", node=agent.node))

    def looping() -> dict[str, Any] | None:
        status = (agent.get("pod", "web") or {"status": {}})["status"].get("containerStatuses", [{}])[0]
        waiting = status.get("state", {}).get("waiting", {})
        found: dict[str, Any] = status
        return found if waiting.get("reason") == "CrashLoopBackOff" and status["restartCount"] >= 1 else None

    status = agent.until(looping, "CrashLoopBackOff")
    assert status["lastState"]["terminated"]["exitCode"] == 7
    table = agent.kubectl("get", "pod", "web")
    assert "CrashLoopBackOff" in table
    assert "CrashLoopBackOff" in agent.command("pods").stdout
    now = agent.kubectl("logs", "web")
    previous = agent.kubectl("logs", "web", "--previous")
    assert now.startswith("instance ")
    assert previous.startswith("instance ")
    agent.kubectl("delete", "pod", "web", "--now")
    agent.gone("web")
    agent.terminate()
    agent.verified()
