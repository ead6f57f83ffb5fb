"""An API server that is gone, and comes back with nothing of what it knew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agent_process import AgentProcess
from tests.e2e.apiserver_process import ApiServerProcess
from tests.e2e.e2e_manifests import pod

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]


@pytest.fixture
def server(state_dir: Path) -> Iterator[ApiServerProcess]:
    made = ApiServerProcess(state_dir / "api").start()
    yield made
    made.remove()


def test_static_pods_live_through_it_and_everything_is_told_again(
    process_agent: AgentProcess, server: ApiServerProcess
) -> None:
    """Changes made meanwhile count at once; what only the lost state wanted ends, as upstream has it."""
    agent = process_agent
    agent.kubeconfig = server.kubeconfig
    agent.flags = ["--kubeconfig", str(server.kubeconfig)]
    agent.write("stays.yaml", pod("stays"))
    agent.write("goes.yaml", pod("goes"))
    agent.start()
    agent.running("stays", "goes")
    (agent.base / "api.yaml").write_text(pod("wanted", node=agent.node, grace=0))
    agent.kubectl("create", "-f", str(agent.base / "api.yaml"))
    agent.running_names("wanted")
    here = ("-n", "kube-system")
    before = agent.running("stays")
    agent.until(lambda: agent.get("pod", agent.name("stays"), *here), "the mirror")
    old = agent.get("pod", agent.name("stays"), *here)["metadata"]["uid"]
    server.kill()
    (agent.manifests / "goes.yaml").unlink()
    agent.write("comes.yaml", pod("comes"))
    agent.running("comes")
    agent.gone(agent.name("goes"))
    assert agent.running("stays") == before
    server.lose_everything()
    server.start()

    def told() -> bool:
        found = agent.get("pod", "-A") or {"items": []}
        phases = {pod["metadata"]["name"]: pod["status"].get("phase") for pod in found["items"]}
        return phases == {agent.name("stays"): "Running", agent.name("comes"): "Running"}

    agent.until(told, "both mirrors and nothing else")

    def new() -> bool:
        """A mirror that names the node lost with the state is collected, and made again."""
        found = agent.get("pod", agent.name("stays"), *here)
        return bool(found) and found["metadata"]["uid"] != old

    agent.until(new, "a mirror of its own")
    agent.until(lambda: agent.get("node", agent.node), "the node")
    agent.until(lambda: agent.get("lease", agent.node, "-n", "kube-node-lease"), "the lease")
    agent.gone("wanted")
    assert agent.running("stays") == before
    agent.terminate()
    agent.verified()
