"""A folder full of what nobody should put there, and secrets that nobody should find."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent_process import AgentProcess
from tests.e2e.e2e_manifests import pod, says

pytestmark = pytest.mark.e2e
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MEGABYTE = 1024 * 1024


def _fill(folder: Path) -> set[str]:
    """Put the hostile files in; their names."""
    draw = random.Random(1000)
    for number in range(1000):
        (folder / f"random-{number:04}.yaml").write_bytes(draw.randbytes(draw.randrange(1, 400)))
    (folder / "bomb.yaml").write_text(BOMB, encoding="utf-8")
    (folder / "deep.yaml").write_text("a: " + "[" * 100_000, encoding="utf-8")
    (folder / "deep.json").write_text('{"a":' * 50_000, encoding="utf-8")
    (folder / "big.yaml").write_bytes(b"# " + b"x" * (11 * MEGABYTE))
    (folder / "dangling.yaml").symlink_to("nowhere")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "directory.yaml").mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "socket.yaml"))
    return {path.name for path in folder.iterdir()}


def _judged(agent: AgentProcess, names: set[str]) -> dict[str, Any] | None:
    verdicts = {Path(v["file"]).name: v for v in agent.try_ask("/manifests") or ()}
    return verdicts if names <= set(verdicts) else None


def test_a_hostile_folder_gets_a_verdict_each_beside_a_good_pod(process_agent: AgentProcess) -> None:
    agent = process_agent
    agent.write("good.yaml", pod("good"))
    before = agent.start().running("good")
    names = _fill(agent.manifests) - {"good.yaml"}
    verdicts = agent.until(lambda: _judged(agent, names), "a verdict over each file")
    assert {name for name in names if verdicts[name]["status"] == "accepted"} == set()
    silent = [name for name in names if not verdicts[name]["messages"]]
    assert silent == []
    agent.write("late.yaml", pod("late"))
    assert agent.running("good", "late").items() >= before.items()
    assert _peak(agent) < 400 * MEGABYTE
    size = _resident(agent)
    for number in range(3):
        agent.write("late.yaml", pod("late", says(f"version-{number}")))
        agent.until(_shows(agent, f"version-{number}"), "the edit to be seen")
    agent.running("late")
    assert _resident(agent) < size + 60 * MEGABYTE
    agent.kill()
    agent.start()
    assert agent.running("good") == before
    assert agent.command("manifests").returncode == 1
    assert agent.terminate() == 0
    agent.verified()


def _shows(agent: AgentProcess, word: str) -> Callable[[], bool]:
    return lambda: word in json.dumps(agent.pods())


def _peak(agent: AgentProcess) -> int:
    return _memory(agent, "VmHWM")


def _resident(agent: AgentProcess) -> int:
    return _memory(agent, "VmRSS")


def _memory(agent: AgentProcess, field: str) -> int:
    """A size of the agent's process in bytes."""
    assert agent.process is not None
    status = Path(f"/proc/{agent.process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field))


def test_no_secret_is_in_the_journal_or_in_the_log(process_agent: AgentProcess) -> None:
    """In an env value, an argument that looks like a secret, a broken manifest and a failing start."""
    agent, canary = process_agent, "canary-9f3b1c7e"
    agent.flags = ["-v", "4"]
    agent.write("a.yaml", pod("a", env={"PASSWORD": canary}))
    agent.write("b.yaml", pod("b", f"exit 3 # --password={canary}", env={"TOKEN": canary}))
    agent.write("c.yaml", pod("c", env={"TOKEN": canary}).replace('"sh"', '"/no/such/program"'))
    agent.write("d.yaml", pod("d", env={"TOKEN": canary}).replace('"image"', '"imag"'))
    agent.start().running("a")
    agent.until(lambda: _waits(agent, "b") and _waits(agent, "c"), "the failing pods to be held back")
    agent.until(lambda: _judged(agent, {"d.yaml"}), "the broken manifest's verdict")
    agent.kill()
    agent.start().running("a")
    assert agent.terminate() == 0
    agent.verified()
    told = [agent.log, *(path for path in (agent.root / "journal").rglob("*") if path.is_file())]
    assert sum(path.stat().st_size for path in told) > 0
    assert [path.name for path in told if canary.encode() in path.read_bytes()] == []


def _waits(agent: AgentProcess, name: str) -> bool:
    statuses = agent.pods().get(agent.name(name), {}).get("status", {}).get("containerStatuses", [])
    reasons = [s["state"].get("waiting", {}).get("reason") for s in statuses]
    return any(reason not in (None, "ContainerCreating") for reason in reasons)
