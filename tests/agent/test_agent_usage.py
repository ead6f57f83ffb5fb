"""Wrong flags and configuration: exit code 2, a sentence with place and remedy, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from minikubelet.cli import main

HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"


def ends(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command that must refuse its work says on standard error."""
    try:
        code: object = main(words)
    except SystemExit as refused:  # argparse's own way
        code = refused.code
    assert code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "staticPodPath: 7\n", ("line 3", "staticPodPath")),
        (HEAD + "staticPodPaht: m\n", ("line 3", "staticPodPaht")),
        (HEAD + "fileCheckFrequency: soon\n", ("line 3", "fileCheckFrequency")),
        (HEAD + "maxPods: [1\n", ("line",)),
        ("kind: KubeletConfiguration\n", ("apiVersion",)),
        ("", ("kubelet.yaml",)),
        (HEAD + "---\n" + HEAD, ("line 4", "KubeletConfiguration")),
    ],
)
def test_a_wrong_configuration_is_named_with_line_and_field(
    state_dir: Path, capsys: pytest.CaptureFixture[str], text: str, said: tuple[str, ...]
) -> None:
    config = state_dir / "kubelet.yaml"
    config.write_text(text, encoding="utf-8")
    error = ends(capsys, "run", "--config", str(config), "--root-dir", str(state_dir / "s"))
    assert error.startswith(f"minikubelet: {config}")
    assert all(word in error for word in said), error
    assert not (state_dir / "s").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--no-such-flag",), "--no-such-flag"),
        (("--config", "none.yaml"), "none.yaml cannot be read: No such file or directory"),
        (("--config", "."), "cannot be read: Is a directory"),
        (("--standalone",), "nothing to run"),
        (("--standalone", "--kubeconfig", "k"), "exclude each other"),
        (("--container-runtime-endpoint", "unix:///run/containerd/containerd.sock"), "no CRI driver"),
        (("--container-runtime-endpoint", "podman://x"), "unknown scheme 'podman'"),
        (("--container-runtime-endpoint", "simulated://?sede=1"), "containerRuntimeEndpoint: "),
        (("--container-runtime-endpoint", "http://[broken"), "containerRuntimeEndpoint"),
        (("--root-dir", "file/below", "--container-runtime-endpoint", "process://"), "--root-dir"),
        (("--hostname-override", " "), "--hostname-override"),
        (("--hostname-override", "a_b/c"), "--hostname-override"),
        (("--node-ip", "nowhere"), "--node-ip"),
        (("-v", "loud"), "-v"),
    ],
)
def test_wrong_flags_are_named(
    state_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(state_dir)
    (state_dir / "file").write_text("", encoding="utf-8")
    place = () if "--root-dir" in words else ("--root-dir", "s")
    manifests = () if "--standalone" in words else ("--pod-manifest-path", "m")
    error = ends(capsys, "run", *manifests, *place, *words)
    assert said in error, error
