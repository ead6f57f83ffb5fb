"""Help is quick because it imports next to nothing: what is heavy is imported by the command that needs it.
The loop of an agent waits as little.

Times are the bench's business; what is imported is a fact.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("aiodocker", "aiofiles", "aiohttp", "anyio", "asyncinotify", "asyncio", "cryptography", "msgspec",
         "structlog", "yaml")  # fmt: skip
ASK = """
import json, sys
code = 0
try:
    from minikubelet.cli import entry
    code = entry()
except SystemExit as exit:
    code = exit.code
print(json.dumps({"code": code or 0, "modules": sorted(sys.modules)}), file=sys.stderr)
"""

START = "import json, sys, minikubelet.agent.lifetime; print(json.dumps(list(sys.modules)))"


def loaded_by(*arguments: str) -> tuple[str, list[str]]:
    """What the command prints, and the heavy modules that are loaded when it ends well."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, *arguments],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    report = json.loads(done.stderr.splitlines()[-1])
    assert report["code"] == 0, done.stdout + done.stderr
    return done.stdout, [name for name in HEAVY if name in report["modules"]]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["replay", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    printed, heavy = loaded_by(*arguments)
    assert "minikubelet" in printed
    assert heavy == []


def test_the_check_sees_what_is_loaded() -> None:
    """The same question after a planted import, so that an empty answer above means something."""
    done = subprocess.run(
        [sys.executable, "-c", "import msgspec\n" + ASK, "--help"],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert "msgspec" in json.loads(done.stderr.splitlines()[-1])["modules"]


def test_an_agents_loop_waits_for_no_library_of_its_servers_and_clients() -> None:
    """What `run` reads before its first container can start; `agent.outward` has the rest."""
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    loaded = set(json.loads(done.stdout))
    assert "minikubelet.shell.loop" in loaded
    assert loaded.isdisjoint({"aiohttp", "cryptography", "minikubelet.agent.outward"})
