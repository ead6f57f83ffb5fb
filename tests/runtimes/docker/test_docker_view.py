"""What the engine's documents are taken to say, and where last words come from."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from minikubelet.model.observed import ContainerPhase
from minikubelet.runtimes.docker.dockerexec import usage_of
from minikubelet.runtimes.docker.dockerhost import OomFloor, floor_of
from minikubelet.runtimes.docker.dockerview import Inspected, Listed, microseconds, observed, sandbox
from minikubelet.runtimes.lastwords import termination_message

_ZERO = "0001-01-01T00:00:00Z"


def inspected(**state: Any) -> Inspected:
    shown = {
        "Status": "running",
        "ExitCode": 0,
        "Error": "",
        "StartedAt": _ZERO,
        "FinishedAt": _ZERO,
        **state,
    }
    document = {
        "Id": "c1",
        "Created": "2026-01-02T03:04:05.5Z",
        "Image": "sha256:1",
        "State": shown,
        "Config": {"Image": "busybox:1.36", "Tty": False, "Labels": None},
        "LogPath": "/l",
    }
    return msgspec.convert(document, Inspected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:00.1234567Z", 123_456),
        ("2024-02-29T23:59:59.999999999Z", 1_709_251_199_999_999),
        (_ZERO, 0),
        ("", 0),
        ("yesterday", 0),
    ],
)
def test_times_are_microseconds(text: str, expected: int) -> None:
    assert microseconds(text) == expected


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("created", ContainerPhase.CREATED),
        ("running", ContainerPhase.RUNNING),
        ("paused", ContainerPhase.RUNNING),
        ("restarting", ContainerPhase.RUNNING),
        ("exited", ContainerPhase.EXITED),
        ("dead", ContainerPhase.EXITED),
        ("removing", ContainerPhase.EXITED),
        ("of the future", ContainerPhase.UNKNOWN),
    ],
)
def test_the_engines_states_are_four(status: str, phase: ContainerPhase) -> None:
    assert observed(inspected(Status=status), "").phase is phase


def test_a_container_that_could_not_start_has_exited_with_its_error() -> None:
    found = observed(inspected(Status="created", ExitCode=127, Error="exec: no\nsuch file"), "")
    assert (found.phase, found.exit_code) == (ContainerPhase.EXITED, 127)
    assert (found.reason, found.message) == ("ContainerCannotRun", "exec: no such file")
    assert found.finished_at == found.created_at == 1_767_323_045_500_000


@pytest.mark.parametrize(
    ("code", "oom", "reason"), [(0, False, "Completed"), (1, False, "Error"), (137, True, "OOMKilled")]
)
def test_reasons_of_an_exit(code: int, oom: bool, reason: str) -> None:
    found = observed(inspected(Status="exited", ExitCode=code, OOMKilled=oom), "last words")
    assert (found.exit_code, found.reason, found.message) == (code, reason, "last words")


def test_an_end_is_never_before_its_start() -> None:
    found = observed(
        inspected(Status="exited", StartedAt="2026-01-02T03:04:07Z", FinishedAt="2026-01-02T03:04:06Z"), ""
    )
    assert found.finished_at == found.started_at > 0


def test_a_sandbox_shows_its_addresses() -> None:
    networks = {"bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": "fd00::2"}, "none": None}
    document = {
        "Id": "s",
        "Created": 5,
        "State": "running",
        "Labels": {"minikubelet.dev/attempt": "4"},
        "NetworkSettings": {"Networks": networks},
    }
    found = sandbox(msgspec.convert(document, Listed), "running")
    assert (found.attempt, found.ready, found.ips) == (4, True, ("172.17.0.2", "fd00::2"))
    assert found.created_at == 5_000_000
    assert not sandbox(msgspec.convert(document, Listed), "exited").ready


def test_a_termination_message_is_bounded_and_replaces_what_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "message"
    file.write_bytes(b"\xff" + b"a" * 10_000)
    assert termination_message(file, None) == "\ufffd" + "a" * 4095


@pytest.mark.parametrize("kind", ["absent", "link", "directory", "fifo"])
def test_what_is_no_regular_file_gives_no_message(tmp_path: Path, kind: str) -> None:
    """The container can put anything at its path: a link is not followed, a pipe not waited for."""
    file, secret = tmp_path / "message", tmp_path / "secret"
    secret.write_text("secret", encoding="utf-8")
    match kind:
        case "link":
            file.symlink_to(secret)
        case "directory":
            file.mkdir()
        case "fifo":
            os.mkfifo(file)
    assert termination_message(file, None) == ""


def test_an_empty_message_falls_back_to_the_end_of_the_log(tmp_path: Path) -> None:
    file, log = tmp_path / "message", tmp_path / "0.log"
    file.touch()
    lines = [f"2026-01-02T03:04:05.000000000Z stdout F line {n}\n" for n in range(200)]
    log.write_text("".join(lines), encoding="utf-8")
    assert termination_message(file, log) == "".join(f"line {n}\n" for n in range(120, 200))
    log.write_text("t stderr P abc\nt stderr F def\n", encoding="utf-8")
    assert termination_message(file, log) == "abcdef\n"
    log.write_text(f"t stderr F {'x' * 5000}\n", encoding="utf-8")
    assert len(termination_message(file, log)) == 2048
    assert termination_message(file, tmp_path / "none") == ""


def process_of(folder: Path, capabilities: int, uid_map: str, score: int) -> Path:
    (folder / "status").write_text(f"Name:\tdockerd\nCapEff:\t{capabilities:016x}\n", encoding="utf-8")
    (folder / "uid_map").write_text(uid_map, encoding="utf-8")
    (folder / "oom_score_adj").write_text(f"{score}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("capabilities", "uid_map", "score", "floor"),
    [
        (1 << 24, "0 0 4294967295", -500, None),
        (0, "0 0 4294967295", -500, 0),
        (0, "0 0 4294967295", 300, 300),
        (1 << 24, "0 1000 1\n1 100000 65536", 0, 0),
    ],
)
def test_the_floor_of_oom_scores(
    tmp_path: Path, capabilities: int, uid_map: str, score: int, floor: int | None
) -> None:
    """Without CAP_SYS_RESOURCE, or with it in a user namespace only, scores cannot be lowered."""
    assert floor_of(process_of(tmp_path, capabilities, uid_map, score)) == floor


def test_an_engine_out_of_sight_is_learnt_from_once() -> None:
    floor = OomFloor()
    floor.look(Path("/no/such/socket"))
    assert floor.clamp(-998) == -998
    assert not floor.learn("no such image", -998)
    assert floor.learn("container_linux.go: can't get final child's PID from pipe: EOF: unknown", -998)
    assert floor.learn("can't get final child's PID from pipe: EOF", -998), "it was asked for before"
    assert not floor.learn("can't get final child's PID from pipe: EOF", 0), "it was not the score"
    assert (floor.clamp(-998), floor.clamp(500)) == (0, 500)


def test_memory_in_use_leaves_out_what_can_be_dropped_at_once() -> None:
    memory = {"usage": 1000, "stats": {"total_inactive_file": 300}}
    found = {
        "cpu_stats": {"cpu_usage": {"total_usage": 7}},
        "memory_stats": memory,
        "pids_stats": {"current": 2},
    }
    assert usage_of(found) == {"cpu_usage_ns": 7, "memory_bytes": 700, "pids": 2}
    assert usage_of({"memory_stats": {}}) == {}
