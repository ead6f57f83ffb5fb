"""What a person is shown of pods and manifests: rows, words, ages, tables and exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from minikubelet.agent import inspect
from minikubelet.agent.livetable import LiveTable, aligned, rows_of
from minikubelet.cli import main


def shown(phase: str = "Running", *states: dict[str, Any], **more: Any) -> dict[str, Any]:
    statuses = [{"ready": "running" in s, "restartCount": 2, "state": s} for s in states]
    return {
        "metadata": {"namespace": "default", "name": "web", "uid": "u1", **more},
        "spec": {"containers": [{}] * len(states), "nodeName": "n1"},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


def pod_list(*pods: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "PodList", "items": list(pods)}


RUNS: dict[str, Any] = {"running": {}}


@pytest.mark.parametrize(
    ("pod", "word"),
    [
        (shown("Running", RUNS), "Running"),
        (shown("Pending"), "Pending"),
        (shown("Running", {"waiting": {"reason": "CrashLoopBackOff"}}), "CrashLoopBackOff"),
        (shown("Running", {"terminated": {"exitCode": 1, "reason": "Error"}}), "Error"),
        (shown("Running", {"terminated": {"exitCode": 4}}), "ExitCode:4"),
        (shown("Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}}), "Completed"),
        ({"metadata": {"name": "web"}, "spec": {}}, "Unknown"),
        (shown("Running", RUNS, deletionTimestamp="2026-01-02T03:04:05Z"), "Terminating"),
    ],
)
def test_the_word_for_a_pod(pod: dict[str, Any], word: str) -> None:
    assert rows_of(pod_list(pod))[1][3] == word


def test_a_row_counts_ready_containers_and_restarts_and_may_be_wide() -> None:
    rows = rows_of(pod_list(shown("Running", RUNS, {"waiting": {}})), wide=True)
    assert rows[0] == ("NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "UID")
    assert rows[1] == ("default", "web", "1/2", "Running", "4", "<unknown>", "<none>", "n1", "u1")


def test_columns_are_three_blanks_apart_and_lines_end_without_any() -> None:
    assert aligned([("A", "BB"), ("aaa", "b")]) == ["A     BB", "aaa   b"]


def test_the_live_table_says_the_header_once_and_only_what_changed() -> None:
    pods, out = pod_list(shown("Pending", {})), io.StringIO()
    table = LiveTable(lambda: pods, out)
    table.draw()
    table.draw()
    assert len(out.getvalue().splitlines()) == 2
    pods["items"] = [shown("Running", RUNS)]
    table.draw()
    lines = out.getvalue().splitlines()
    assert [line.split()[3] for line in lines] == ["STATUS", "Pending", "Running"]


def verdict(status: str, *messages: str, kept: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "file": "a\tb.yaml",
        "status": status,
        "pods": ["ns/p"],
        "messages": list(messages),
        "kept": list(kept),
    }


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ([], 0, ["No manifest files found."]),
        ([verdict("accepted"), verdict("ignored")], 0, ["accepted", "ignored", r"a\tb.yaml"]),
        (
            [verdict("rejected", "line 9: no\x1b[0m", kept=("ns/p",))],
            1,
            ["REJECTED", r"    line 9: no\x1b[0m", "goes on"],
        ),
        ([verdict("shadowed")], 1, ["SHADOWED"]),
        ([verdict("unreadable")], 1, ["unreadable"]),
    ],
)
def test_verdicts_are_a_table_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: object,
    code: int,
    said: list[str],
) -> None:
    """What a file's name or content brings along reaches no terminal as a control character."""
    monkeypatch.setattr(inspect, "ask", lambda root, path: answer)
    assert main(["manifests"]) == code
    told = capsys.readouterr().out
    assert all(word in told for word in said), told
    assert "\x1b" not in told


def test_status_is_a_list_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for ok in (True, False):
        monkeypatch.setattr(inspect, "ask", lambda root, path, ok=ok: {"ok": ok, "synced": ["api", "file"]})
        assert main(["status"]) == (0 if ok else 1)
        assert capsys.readouterr().out.splitlines()[1].split() == ["synced:", "api,", "file"]


def test_pods_are_shown_as_they_are_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(inspect, "ask", lambda root, path: pod_list(shown("Running", RUNS)))
    assert main(["pods", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["metadata"]["uid"] == "u1"
    assert main(["pods", "-o", "wide"]) == 0
    assert "UID" in capsys.readouterr().out


def test_without_an_agent_it_is_said_where_it_was_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("pods", "status", "manifests"):
        assert main([command, "--root-dir", str(tmp_path)]) == 1
        assert f"no agent answers at {tmp_path / 'agent.sock'}" in capsys.readouterr().err
