"""The plan: flags before the file before defaults, and the runtime that an endpoint names."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import pytest

from minikubelet.agent import runtimechoice
from minikubelet.agent.agentplan import AgentPlan, StartFault, Upstream, make_plan
from minikubelet.agent.runtimechoice import choose_runtime
from minikubelet.cli import parser
from minikubelet.model.settings import LoggingSettings
from minikubelet.shell.systemclock import SystemClock
from tests.running import run

CONFIG = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: m
podLogsDir: logs
containerRuntimeEndpoint: simulated://?seed=1
---
apiVersion: minikubelet.dev/v1alpha1
kind: AgentConfiguration
stateDir: s
"""


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(["run", *words])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "kubelet.yaml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_paths_of_the_file_are_taken_from_its_own_folder(config: Path) -> None:
    plan = make_plan(options("--config", str(config)))
    places, base = plan.places, config.parent
    assert (places.root, places.manifests, places.logs) == (base / "s", base / "m", base / "logs")
    assert places.journal == base / "s" / "journal"
    assert plan.endpoint == "simulated://?seed=1"
    assert plan.upstream is Upstream.EMBEDDED


def test_flags_come_before_the_file(config: Path, tmp_path: Path) -> None:
    plan = make_plan(
        options(
            "--config", str(config), "--root-dir", str(tmp_path / "other"),
            "--pod-manifest-path", "/elsewhere", "--container-runtime-endpoint", "process://",
            "--hostname-override", " Node-1 ", "--node-ip", "10.0.0.7",
        )
    )  # fmt: skip
    assert plan.places.root == tmp_path / "other"
    assert plan.places.manifests == Path("/elsewhere")
    assert (plan.endpoint, plan.node_name, plan.node_ips) == ("process://", "node-1", ("10.0.0.7",))


def test_how_it_logs_is_said_by_the_file_unless_a_flag_does(config: Path) -> None:
    config.write_text(CONFIG.replace("podLogsDir", "logging: {format: json, verbosity: 4}\npodLogsDir"))
    assert make_plan(options("--config", str(config))).logging == LoggingSettings(format="json", verbosity=4)
    flags = ("--logging-format", "text", "-v", "0")
    assert make_plan(options("--config", str(config), *flags)).logging == LoggingSettings()


def test_which_api_server_is_told(config: Path) -> None:
    named = ("--config", str(config))
    assert make_plan(options(*named, "--standalone")).upstream is Upstream.NONE
    assert make_plan(options(*named, "--kubeconfig", "k")).upstream is Upstream.JOINED
    config.write_text(CONFIG + "apiServer: {embed: false}\n", encoding="utf-8")
    assert make_plan(options(*named)).upstream is Upstream.NONE


def test_without_folder_and_api_server_there_is_nothing_to_run() -> None:
    with pytest.raises(StartFault, match="--pod-manifest-path"):
        make_plan(options("--standalone"))


def chosen(plan: AgentPlan, before: str = "") -> tuple[str, str]:
    """The driver's name and the reason, the driver closed again."""

    async def choose() -> tuple[str, str]:
        choice = choose_runtime(plan, SystemClock(), before=before)
        await choice.runtime.aclose()
        return choice.runtime.info.name, choice.why

    return run(choose())


def with_endpoint(config: Path, endpoint: str) -> AgentPlan:
    config.write_text(CONFIG.replace("simulated://?seed=1", endpoint), encoding="utf-8")
    return make_plan(options("--config", str(config)))


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [("simulated://?seed=7", "simulated"), ("process://", "process"), ("docker:///none.sock", "docker")],
)
def test_the_scheme_names_the_driver(config: Path, endpoint: str, name: str) -> None:
    found, why = chosen(with_endpoint(config, endpoint))
    assert found == name
    assert endpoint in why


def test_without_an_endpoint_processes_stand_in_for_docker_unless_pods_are_there(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimechoice, "DOCKER_SOCKET", tmp_path / "none.sock")
    plan = with_endpoint(config, '""')
    assert chosen(plan) == ("process", f"no Docker answers at {tmp_path / 'none.sock'}")
    found, why = chosen(plan, before="docker")
    assert found == "docker"
    assert "pods of this node are there" in why


def test_a_socket_that_this_user_may_not_use_is_named_as_the_reason(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimechoice, "_refusal", lambda _path: PermissionError())
    found, why = chosen(with_endpoint(config, '""'))
    assert (found, "is it in the group docker?" in why) == ("process", True)


def test_in_the_image_an_engine_that_is_late_is_waited_for(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket without a listener; one that may not be used; none at all; and processes if asked for."""
    path = tmp_path / "e.sock"
    monkeypatch.setenv("MINIKUBELET_IN_IMAGE", "1")
    monkeypatch.setattr(runtimechoice, "DOCKER_SOCKET", path)
    assert chosen(with_endpoint(config, "process://"))[0] == "process"
    plan = with_endpoint(config, '""')
    with pytest.raises(StartFault, match="not there"):
        chosen(plan)
    with socket.socket(socket.AF_UNIX) as late:
        late.bind(str(path))
        assert chosen(plan)[0] == "docker"
        monkeypatch.setattr(runtimechoice, "_refusal", lambda _path: PermissionError())
        with pytest.raises(StartFault, match="--group-add"):
            chosen(plan)
