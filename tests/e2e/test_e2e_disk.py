"""A full disk, a real one: the agent says so, pods go on, and nothing is lost once there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.journal.journalreader import JournalReader
from tests.e2e.agent_process import AgentProcess, MakeAgent
from tests.e2e.e2e_manifests import STAYS, pod

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def small_disk(make_agent: MakeAgent) -> Iterator[AgentProcess]:
    """An agent whose journal has a file system of its own, of one MiB."""
    agent = make_agent("simulated", standalone=True, endpoint="simulated://?latency=5ms")
    journal = agent.root / "journal"
    journal.mkdir(mode=0o700, parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(journal)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield agent
    agent.remove_everything()
    subprocess.run(["umount", "--lazy", str(journal)], check=True)


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def test_a_full_disk_is_said_and_gone_on_from(small_disk: AgentProcess) -> None:
    agent = small_disk
    agent.write("before.yaml", pod("before", STAYS))
    agent.start()
    agent.running("before")
    assert agent.command("status").returncode == 0

    filler = agent.root / "journal" / "filler"
    fill(filler)
    agent.write("while.yaml", pod("while", STAYS))
    agent.running("while")
    agent.until(lambda: agent.command("status").returncode == 1, "the status to say it")
    told = agent.command("status").stdout
    assert "records are only in memory: No space left on device" in told

    filler.unlink()
    agent.until(lambda: agent.command("status").returncode == 0, "the journal to be written again")
    agent.write("after.yaml", pod("after", STAYS))
    agent.running("before", "while", "after")
    agent.kill()
    records = list(JournalReader(agent.root / "journal").records())
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    agent.verified()
