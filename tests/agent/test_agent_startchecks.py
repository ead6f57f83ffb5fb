"""A start that fails as told has made nothing: no container of it goes on without an agent."""

from pathlib import Path

import pytest

from minikubelet.agent.agentplan import AgentPlan, StartFault, make_plan
from minikubelet.agent.startchecks import check_host_root, check_start
from minikubelet.cli import main, parser

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: web, image: app, command: [sleep, "3600"]}]
"""
NO_CONTEXT = "apiVersion: v1\nkind: Config\n"


def plan_of(root: Path, *words: str) -> AgentPlan:
    given = ["run", "--root-dir", str(root), "--container-runtime-endpoint", "simulated://?seed=1"]
    return make_plan(parser().parse_args([*given, *words]))


def check(root: Path, *words: str) -> None:
    check_start(plan_of(root, *words))


@pytest.mark.parametrize("flag", ["--kubeconfig", "--bootstrap-kubeconfig"])
def test_a_kubeconfig_that_cannot_be_used_is_said(tmp_path: Path, flag: str) -> None:
    with pytest.raises(StartFault, match=f"{flag}: .*cannot be read"):
        check(tmp_path, flag, str(tmp_path / "nowhere"))
    (tmp_path / "config").write_text(NO_CONTEXT)
    with pytest.raises(StartFault, match=f"{flag}: .*context"):
        check(tmp_path, flag, str(tmp_path / "config"))


def test_a_node_that_has_joined_needs_no_bootstrap_any_more(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text("written when it joined")
    check(tmp_path, "--bootstrap-kubeconfig", str(tmp_path / "nowhere"))


def test_paths_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    manifests = ("--pod-manifest-path", str(tmp_path))
    with pytest.raises(StartFault, match=r"certificates .*file/pki cannot be made: .*--cert-dir"):
        check(tmp_path, *manifests, "--cert-dir", str(tmp_path / "file" / "pki"))
    with pytest.raises(StartFault, match="at most 107; name a shorter directory"):
        check(tmp_path / ("long" * 30), *manifests)


def test_a_host_root_that_shows_something_else_is_said(tmp_path: Path) -> None:
    root, host = tmp_path / "s", tmp_path / "host"
    root.mkdir()
    config = tmp_path / "kubelet.yaml"
    config.write_text(
        "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
        f"staticPodPath: {tmp_path}\n---\n"
        "apiVersion: minikubelet.dev/v1alpha1\nkind: AgentConfiguration\n"
        f"hostRoot: {host}\n"
    )
    with pytest.raises(StartFault, match=f"hostRoot {host} does not show the host's root"):
        check_host_root(plan_of(root, "--config", str(config)))
    below = host / str(root).lstrip("/")
    below.parent.mkdir(parents=True)
    below.symlink_to(root)
    check_host_root(plan_of(root, "--config", str(config)))


def test_nothing_is_started_before_the_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "web.yaml").write_text(POD)
    root = tmp_path / "s"
    words = ["run", "--root-dir", str(root), "--pod-manifest-path", str(tmp_path / "m")]
    words += ["--container-runtime-endpoint", "process://", "--hostname-override", "checked"]
    assert main([*words, "--kubeconfig", str(tmp_path / "nowhere")]) == 2
    assert "--kubeconfig" in capsys.readouterr().err
    assert list((root / "pods").iterdir()) == []
    assert not (root / "journal").exists()
