"""An engine that is not there at the start, and one that goes away in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agent_process import AgentProcess, MakeAgent
from tests.e2e.e2e_manifests import pod
from tests.e2e.e2e_proxy import Proxy
from tests.engine import docker_probe

pytestmark = [pytest.mark.e2e, pytest.mark.docker]


@pytest.fixture
def proxy(state_dir: Path, docker_host: str) -> Iterator[Proxy]:
    made = Proxy(state_dir / "docker.sock", docker_host.removeprefix("unix://"))
    yield made
    made.close()


def _problems(agent: AgentProcess) -> str:
    return " ".join((agent.try_ask("/status") or {"problems": []})["problems"])


def test_pods_start_once_the_engine_answers(make_agent: MakeAgent, proxy: Proxy) -> None:
    agent = make_agent("docker", endpoint=f"docker://{proxy.path}")
    agent.write("web.yaml", pod("web"))
    agent.start()
    agent.until(lambda: "container runtime" in _problems(agent), "the status to name the engine's silence")
    assert agent.command("status").returncode == 1
    proxy.open()
    agent.running("web")
    agent.until(lambda: not _problems(agent), "the status to be well again")
    assert agent.terminate() == 0
    agent.verified()


def test_containers_outlive_an_engine_that_does_not_answer_for_a_while(
    make_agent: MakeAgent, proxy: Proxy
) -> None:
    """What changes meanwhile is done afterwards, and what runs is not started again."""
    proxy.open()
    agent = make_agent("docker", endpoint=f"docker://{proxy.path}")
    agent.write("web.yaml", pod("web"))
    agent.write("leaves.yaml", pod("leaves"))
    before = agent.start().running("web", "leaves")
    proxy.close()
    agent.until(lambda: "container runtime" in _problems(agent), "the status to name the engine's silence")
    agent.write("later.yaml", pod("later"))
    (agent.manifests / "leaves.yaml").unlink()
    agent.until(lambda: agent.name("later") in agent.pods(), "the new pod to be known")
    proxy.open()
    agent.gone(agent.name("leaves"))
    after = agent.running("web", "later")
    name = f"{agent.name('web')}/main"
    assert after[name] == before[name]
    found = docker_probe.containers(f"minikubelet.dev/node={agent.node}")
    assert len([c for c in found if c["State"] == "running"]) == 4
    assert agent.terminate() == 0
    agent.verified()


def test_an_engine_that_hangs_in_the_middle_of_starts_and_ends_loses_nothing(
    make_agent: MakeAgent, proxy: Proxy
) -> None:
    """It has taken calls and does not answer; when it does, each is done once, and what ran runs on."""
    proxy.open()
    agent = make_agent("docker", endpoint=f"docker://{proxy.path}")
    agent.write("web.yaml", pod("web"))
    agent.write("leaves.yaml", pod("leaves"))
    before = agent.start().running("web", "leaves")
    proxy.hang()
    agent.write("later.yaml", pod("later"))
    (agent.manifests / "leaves.yaml").unlink()
    agent.until(lambda: agent.phase(agent.name("later")) == "Pending", "the new pod to wait for the engine")
    proxy.flow()
    agent.gone(agent.name("leaves"))
    after = agent.running("web", "later")
    name = f"{agent.name('web')}/main"
    assert after[name] == before[name]
    found = docker_probe.containers(f"minikubelet.dev/node={agent.node}")
    assert len([c for c in found if c["State"] == "running"]) == len(found) == 4
    assert agent.terminate() == 0
    agent.verified()


def test_an_agent_that_starts_without_its_engine_adopts_its_pods_later(
    make_agent: MakeAgent, proxy: Proxy
) -> None:
    proxy.open()
    agent = make_agent("docker", endpoint=f"docker://{proxy.path}")
    agent.write("web.yaml", pod("web"))
    before = agent.start().running("web")
    agent.kill()
    proxy.close()
    agent.start()
    agent.until(lambda: "container runtime" in _problems(agent), "the status to name the engine's silence")
    proxy.open()
    agent.until(lambda: not _problems(agent), "the status to be well again")
    assert agent.running("web") == before
    assert agent.terminate() == 0
    agent.verified()
