"""Which runtime is chosen, and what a start under another name or with another runtime leaves behind."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from minikubelet.agent import lifetime, runtimechoice
from minikubelet.agent.agentplan import AgentPlan, Places, StartFault, Upstream
from minikubelet.agent.assembly import History, left_behind
from minikubelet.agent.runtimechoice import choose_runtime
from minikubelet.core.nodefacts import NodeFacts
from minikubelet.core.reducer import Reducer, Snapshot
from minikubelet.core.state import Generation, Sandbox, Slot
from minikubelet.journal.memoryjournal import MemoryJournal
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.settings import Settings
from minikubelet.runtimes.docker import DockerRuntime
from minikubelet.shell.systemclock import SystemClock
from tests.running import run


def plan(root: Path, node: str = "here") -> AgentPlan:
    """The plan of an agent that names no runtime."""
    return AgentPlan(
        settings=Settings(),
        places=Places(root, root / "logs", None),
        node_name=node,
        node_ips=("127.0.0.1",),
        upstream=Upstream.NONE,
        cert_dir=root / "pki",
    )


def history(runtime: str, *, pods: bool) -> History:
    """What a life of node `here` with this runtime left, with or without a pod on it."""
    key = SlotKey("kube-system/web")
    web = Generation(uid=PodUid("u1"), slot=key, sandbox=Sandbox("s1", 0, ready=True) if pods else None)
    node = NodeFacts(name="here", runtime=runtime)
    reducer = Reducer(Snapshot(9, node, (Slot(key, generations=(web,)),)))
    return History(MemoryJournal(), reducer, "boot", 9, ())


@pytest.mark.parametrize(
    ("pods", "chosen"), [(True, "docker"), (False, "process")], ids=["with pods", "without pods"]
)
def test_an_engine_that_is_late_is_waited_for_where_it_has_pods(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, pods: bool, chosen: str
) -> None:
    """At the start of a machine all its pods would run twice otherwise, as containers and as processes."""
    monkeypatch.setattr(runtimechoice, "DOCKER_SOCKET", state_dir / "no.sock")
    found = choose_runtime(plan(state_dir), SystemClock(), before=history("docker", pods=pods).runtime)
    assert found.runtime.info.name == chosen
    assert str(state_dir / "no.sock") in found.why


def test_nothing_is_left_behind_by_a_start_that_is_like_the_one_before(state_dir: Path) -> None:
    assert left_behind(plan(state_dir), history("docker", pods=True), "docker") == ""
    assert left_behind(plan(state_dir, "there"), history("docker", pods=False), "process") == ""


def test_what_another_runtime_leaves_behind_is_said_with_what_to_do(state_dir: Path) -> None:
    told = left_behind(plan(state_dir), history("docker", pods=True), "process")
    assert "--container-runtime-endpoint docker://" in told


def test_another_name_is_refused_while_pods_of_the_one_before_run(state_dir: Path) -> None:
    """Their containers would go on unmanaged, and their volumes be taken away under them."""
    with pytest.raises(StartFault, match="--hostname-override here"):
        left_behind(plan(state_dir, "there"), history("docker", pods=True), "docker")


def test_a_start_does_not_wait_for_ever_for_an_engine_that_hangs(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The observer goes on trying; until then the agent could not even be stopped."""
    monkeypatch.setattr(lifetime, "CONNECT_SECONDS", 0.05)

    async def main() -> None:
        # Connections come about, and nobody ever takes them.
        with socket.socket(socket.AF_UNIX) as engine:
            engine.bind(str(state_dir / "d.sock"))
            engine.listen()
            runtime = DockerRuntime(f"unix://{state_dir}/d.sock", node="n", state_dir=state_dir)
            assert not await lifetime._connect(runtime, runtime.check_paths)
            await runtime.aclose()

    run(main())
