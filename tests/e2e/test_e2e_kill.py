"""`kill -9` in the middle of changing manifests, again and again.

Every container writes a line when it starts, so that the truth about starts is on the disk and not
in the agent's own words: a pod's definition that was started twice was lost, duplicated or restarted.
`MINIKUBELET_KILL_ROUNDS` says how often an agent is killed on processes.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.agent_process import AgentProcess, MakeAgent
from tests.e2e.e2e_manifests import STAYS, pod
from tests.engine import docker_probe

ROUNDS = int(os.environ.get("MINIKUBELET_KILL_ROUNDS", "20"))
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600 + 10 * ROUNDS)]


class Fleet:
    """The pods of a folder with a version each, and what became of them."""

    def __init__(self, agent: AgentProcess, size: int, seed: int) -> None:
        self.agent = agent
        self.versions = dict.fromkeys((f"p{number:02}" for number in range(size)), 0)
        self.draw = random.Random(seed)
        self.starts = agent.base / "starts"
        self.starts.mkdir()

    def write(self, name: str) -> None:
        """Put a pod's file into the folder in its present version."""
        version = self.versions[name]
        say = f"echo {name} {version} $$$$ >> {self.starts}/{name}-{version}; {STAYS}"
        text = pod(name, say)
        if self.agent.runtime == "docker":
            text = _with_starts(text, self.starts)
        self.agent.write(f"{name}.yaml", text)

    def change(self, count: int) -> None:
        """Edit so many files, take one away and put one back, in an order of chance."""
        present = sorted(self.versions)
        for name in self.draw.sample(present, count):
            self.versions[name] += 1
            self.write(name)
        victim = self.draw.choice(present)
        (self.agent.manifests / f"{victim}.yaml").unlink()
        self.versions[victim] += 1
        self.write(victim)

    def settled(self) -> bool:
        """Whether each pod runs in its present version, and nothing else does."""
        pods = self.agent.pods()
        wanted = {self.agent.name(name): f"{name}-{version}" for name, version in self.versions.items()}
        if set(pods) != set(wanted):
            return False
        return all(
            f"/{wanted[name]};" in " ".join(shown["spec"]["containers"][0]["command"])
            and shown.get("status", {}).get("phase") == "Running"
            for name, shown in pods.items()
        )

    def containers(self) -> dict[str, str]:
        """The container id of each pod in its present version."""
        return {
            name: shown["status"]["containerStatuses"][0]["containerID"]
            for name, shown in self.agent.pods().items()
        }

    def check_starts(self) -> None:
        """Each present definition was started, and none more than once.

        A container counts as running before its shell has said so, and one that was replaced at once may
        have had no time to.
        """
        present = {f"{name}-{version}" for name, version in self.versions.items()}
        self.agent.until(lambda: all(self._lines()[name] for name in present), "all to say that they run")
        again = {name: count for name, count in self._lines().items() if count > 1}
        assert not again, f"started more than once: {again}"

    def _lines(self) -> Counter[str]:
        return Counter({path.name: len(path.read_text().splitlines()) for path in self.starts.iterdir()})


def _with_starts(text: str, starts: Path) -> str:
    volume = f'"volumes": [{{"name": "d", "hostPath": {{"path": "{starts}"}}}}], "containers"'
    mount = f'"volumeMounts": [{{"name": "d", "mountPath": "{starts}"}}], "env"'
    return text.replace('"containers"', volume).replace('"env"', mount)


def _rounds(fleet: Fleet, count: int, changed: int) -> None:
    """Change, kill in the middle, start, and look: what was not changed has the container it had."""
    agent = fleet.agent
    before = fleet.containers()
    for number in range(count):
        versions = dict(fleet.versions)
        works = _works(agent)
        fleet.change(changed)
        if number % 3:  # else at once, before it can have noticed anything
            agent.until(works, "the agent to be at work")
        agent.kill()
        if number % 2:
            fleet.change(changed // 2)
        agent.launch()
        agent.until(fleet.settled, f"all to run after kill {number}")
        after = fleet.containers()
        same = [agent.name(name) for name, version in versions.items() if fleet.versions[name] == version]
        assert {name: after[name] for name in same} == {name: before[name] for name in same}
        before = after


def _works(agent: AgentProcess) -> Callable[[], bool]:
    """Whether the agent has said something since now."""
    before = agent.log.stat().st_size
    return lambda: agent.log.stat().st_size > before


def _fleet(agent: AgentProcess, size: int, seed: int) -> Fleet:
    fleet = Fleet(agent, size, seed)
    for name in sorted(fleet.versions):
        fleet.write(name)
    agent.start()
    agent.until(fleet.settled, "all pods to run")
    return fleet


def test_kills_among_fifty_changing_manifests(process_agent: AgentProcess) -> None:
    agent = process_agent
    fleet = _fleet(agent, 50, seed=20)
    _rounds(fleet, ROUNDS, changed=5)
    fleet.check_starts()
    assert agent.terminate() == 0
    agent.verified()
    assert sorted(_living(fleet)) == sorted(f"{name} {version}" for name, version in fleet.versions.items())


def _living(fleet: Fleet) -> list[str]:
    """`name version` of each container whose process is alive, as it wrote it itself."""
    lines = [line for path in fleet.starts.iterdir() for line in path.read_text().splitlines()]
    return [" ".join(words[:2]) for words in map(str.split, lines) if _alive(*words)]


def _alive(name: str, version: str, pid: str) -> bool:
    """Whether that process still is this container's: a machine uses its numbers again."""
    try:
        return f"/{name}-{version};".encode() in Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.docker
def test_kills_among_changing_manifests_on_docker(make_agent: MakeAgent) -> None:
    agent = make_agent("docker")
    fleet = _fleet(agent, 8, seed=3)
    _rounds(fleet, 3, changed=2)
    fleet.check_starts()
    assert agent.terminate() == 0
    agent.verified()
    found = docker_probe.containers(f"minikubelet.dev/node={agent.node}")
    running = Counter(c["Labels"]["io.kubernetes.container.name"] for c in found if c["State"] == "running")
    assert running == {"main": 8, "POD": 8}
