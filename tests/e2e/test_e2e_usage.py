"""Wrong flags and configuration: exit code 2, a sentence with place and remedy, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.agent_process import COMMAND, PATIENCE, AgentProcess

pytestmark = pytest.mark.e2e
HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"


def _ends(*words: str | Path, cwd: Path, code: int = 2) -> str:
    """The last lines on standard error of a command that must end by itself with that code."""
    done = subprocess.run(
        [*COMMAND, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
        check=False, cwd=cwd, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_wrong_configuration_and_a_wrong_flag_are_said_in_a_line(state_dir: Path) -> None:
    config = state_dir / "kubelet.yaml"
    config.write_text(HEAD + "staticPodPaht: m\n", encoding="utf-8")
    error = _ends("run", "--config", config, "--root-dir", state_dir / "s", cwd=state_dir)
    assert error.startswith(f"minikubelet: {config}: line 3: staticPodPaht")
    error = _ends("run", "--standalone", "--root-dir", "s", cwd=state_dir)
    assert "nothing to run" in error
    assert not (state_dir / "s").exists()
    joins = ("--kubeconfig", "none.kubeconfig", "--container-runtime-endpoint", "process://")
    error = _ends("run", *joins, "--root-dir", state_dir / "s", cwd=state_dir)
    assert "none.kubeconfig" in error.splitlines()[-1]


def test_commands_without_an_agent_say_where_they_looked(state_dir: Path) -> None:
    for command in ("pods", "status", "manifests"):
        error = _ends(command, "--root-dir", state_dir, cwd=state_dir, code=1)
        assert str(state_dir / "agent.sock") in error
        assert "--root-dir" in error


def test_a_folder_is_judged_without_an_agent(state_dir: Path) -> None:
    (state_dir / "d.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n")
    done = subprocess.run(
        [*COMMAND, "manifests", state_dir], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "REJECTED" in done.stdout
    assert "a Deployment is not run from a file" in done.stdout


def test_what_the_state_directory_holds_is_its_owners_alone(process_agent: AgentProcess) -> None:
    process_agent.start()
    assert process_agent.root.stat().st_mode & 0o777 == 0o700
    for name in ("kubeconfig", "agent.sock"):
        assert (process_agent.root / name).stat().st_mode & 0o777 == 0o600
