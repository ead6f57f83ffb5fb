"""The machine goes down: pods end in order before it may, and static pods run again when it is back."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.e2e.agent_process import AgentProcess, MakeAgent
from tests.e2e.e2e_manifests import pod
from tests.sources.logind_world import Logind, end_bus, logind, start_bus

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl, pytest.mark.dbus]


class Machine:
    """A stand-in for logind, driven from beside its event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stand_in: Logind) -> None:
        self._loop = loop
        self._stand_in = stand_in

    def go_down(self, *, going: bool) -> None:
        """Say that it goes down, or that it does not after all."""
        asyncio.run_coroutine_threadsafe(self._stand_in.prepare(going=going), self._loop).result(10)

    def waits(self) -> bool:
        """Whether somebody keeps it up."""
        return self._stand_in.held() > 0


@contextlib.contextmanager
def machine(address: str) -> Iterator[Machine]:
    """A machine whose logind is on the bus at this address."""
    ready: Future[tuple[Machine, asyncio.Event]] = Future()

    async def live() -> None:
        async with logind(address) as stand_in:
            over, loop = asyncio.Event(), asyncio.get_running_loop()
            ready.set_result((Machine(loop, stand_in), over))
            await over.wait()

    with asyncio.Runner() as runner:
        thread = threading.Thread(target=runner.run, args=(live(),))
        thread.start()
        made, over = ready.result(10)
        try:
            yield made
        finally:
            runner.get_loop().call_soon_threadsafe(over.set)
            thread.join()


def says_when_it_ends(word: str, file: Path) -> str:
    return f"trap 'echo {word} >>{file}; exit 0' TERM; while :; do sleep 3600 & wait; done"


def _unready(agent: AgentProcess) -> str:
    node = agent.get("node", agent.node)
    (ready,) = [each for each in node["status"]["conditions"] if each["type"] == "Ready"]
    return str(ready["message"]) if ready["status"] == "False" else ""


def test_pods_end_in_order_before_the_machine_may_go_down(make_agent: MakeAgent) -> None:
    """Guests before static pods; what comes meanwhile is refused; after a restart, static pods run."""
    agent = make_agent("process")
    config = agent.base / "kubelet.yaml"
    grace = "shutdownGracePeriod: 60s\nshutdownGracePeriodCriticalPods: 30s\n---"
    config.write_text(config.read_text(encoding="utf-8").replace("---", grace, 1), encoding="utf-8")
    ended = agent.base / "ended"
    bus, agent.env["DBUS_SYSTEM_BUS_ADDRESS"] = start_bus(agent.base)
    try:
        with machine(agent.env["DBUS_SYSTEM_BUS_ADDRESS"]) as host:
            agent.write("vital.yaml", pod("vital", says_when_it_ends("vital", ended)))
            agent.start()
            file = agent.base / "guest.json"
            file.write_text(pod("guest", says_when_it_ends("guest", ended), node=agent.node, grace=30))
            agent.kubectl("create", "-f", str(file))
            agent.running_names("guest", agent.name("vital"))
            agent.until(host.waits, "the agent to hold the lock")
            host.go_down(going=True)
            agent.until(lambda: not host.waits(), "the agent to let go of the lock")
            assert ended.read_text(encoding="utf-8") == "guest\nvital\n"
            agent.until(lambda: _unready(agent) == "node is shutting down", "the Node to say so")
            agent.write("late.yaml", pod("late"))
            agent.until(lambda: agent.phase(agent.name("late")) == "Failed", "the late pod to be refused")
            assert agent.get("pod", "guest")["status"]["reason"] == "Terminated"
            assert "the machine is going down" in agent.command("why", "vital", "kill").stdout
            assert agent.terminate() == 0
            agent.start()
            agent.running("vital", "late")
            assert agent.phase("guest") == "Failed"
            assert agent.terminate() == 0
            agent.verified()
    finally:
        end_bus(bus)
