"""A kubeconfig becomes a connection, or a sentence that names its file and field."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from minikubelet.apiclient.apierrors import KubeconfigError
from minikubelet.apiclient.apikubeconfig import load_kubeconfig


def document(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": "one",
        "clusters": [
            {"name": "c1", "cluster": {"server": "https://192.0.2.1:6443", **(cluster or {})}},
            {"name": "c2", "cluster": {"server": "http://127.0.0.1:8080/prefix/"}},
        ],
        "users": [{"name": "u1", "user": user or {}}, {"name": "u2", "user": {"token": "second"}}],
        "contexts": [
            {"name": "one", "context": {"cluster": "c1", "user": "u1", "namespace": "blue"}},
            {"name": "two", "context": {"cluster": "c2", "user": "u2"}},
            {"name": "lost", "context": {"cluster": "c9", "user": "u1"}},
            {"name": "anonymous", "context": {"cluster": "c1"}},
        ],
    }


def written(folder: Path, content: Any) -> Path:
    path = folder / "kubeconfig"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_current_context_or_the_named_one_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path, document(user={"token": "first"}))
    first = load_kubeconfig(path)
    assert (first.server, first.namespace, first.token) == ("https://192.0.2.1:6443", "blue", "first")
    second = load_kubeconfig(path, context="two")
    assert (second.server, second.namespace, second.token) == (
        "http://127.0.0.1:8080/prefix",
        "default",
        "second",
    )
    assert load_kubeconfig(path, context="anonymous").token is None


def test_relative_files_lie_beside_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ca.pem", "me.pem", "me.key", "token"):
        (tmp_path / name).write_text(name)
    user = {"client-certificate": "me.pem", "client-key": "./me.key", "tokenFile": str(tmp_path / "token")}
    cluster = {"certificate-authority": "ca.pem", "tls-server-name": "api.test", "disable-compression": True}
    written(tmp_path, document(cluster, user))
    monkeypatch.chdir(tmp_path)
    connection = load_kubeconfig("kubeconfig")
    assert connection.ca is not None
    assert connection.ca.path == tmp_path / "ca.pem"
    assert connection.certificate is not None
    assert connection.certificate.path == tmp_path / "me.pem"
    assert connection.key is not None
    assert connection.key.path == tmp_path / "me.key"
    assert connection.token_file == tmp_path / "token"
    assert (connection.tls_server_name, connection.compress) == ("api.test", False)


def test_data_wins_over_files_and_may_be_wrapped(tmp_path: Path) -> None:
    wrapped = "\n".join(data("authority" * 20)[start : start + 16] for start in range(0, 240, 16))
    cluster = {"certificate-authority": "missing.pem", "certificate-authority-data": wrapped}
    connection = load_kubeconfig(written(tmp_path, document(cluster)))
    assert connection.ca is not None
    assert connection.ca.inline == b"authority" * 20


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    user = {"token": "tell-nobody", "client-certificate-data": data("c"), "client-key-data": data("k-secret")}
    connection = load_kubeconfig(
        written(tmp_path, document({"proxy-url": "http://me:password@proxy:3128"}, user))
    )
    assert connection.proxy_url == "http://me:password@proxy:3128"
    for secret in ("tell-nobody", "k-secret", "password"):
        assert secret not in repr(connection)


def test_an_exec_plugin_is_read_with_its_cluster(tmp_path: Path) -> None:
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "nodes"}}
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./bin/login",
        "args": ["--node"],
        "env": [{"name": "REGION", "value": "north"}],
        "installHint": "install login",
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": True,
    }
    cluster = {"certificate-authority-data": data("authority"), "extensions": [extension]}
    connection = load_kubeconfig(written(tmp_path, document(cluster, {"exec": plugin})))
    found = connection.exec_plugin
    assert found is not None
    assert found.command == str(tmp_path / "bin/login")
    assert (found.args, found.env, found.install_hint) == (
        ("--node",),
        (("REGION", "north"),),
        "install login",
    )
    assert found.cluster_info == {
        "server": "https://192.0.2.1:6443",
        "certificate-authority-data": data("authority"),
        "config": {"audience": "nodes"},
    }


def test_a_bare_plugin_name_is_left_to_path(tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "login"}
    found = load_kubeconfig(written(tmp_path, document(user={"exec": plugin}))).exec_plugin
    assert found is not None
    assert found.command == "login"
    assert found.cluster_info is None


PLUGIN = {"apiVersion": "client.authentication.k8s.io/v1", "command": "x"}


@pytest.mark.parametrize(
    ("cluster", "user", "where", "what"),
    [
        ({"server": ""}, {}, "clusters[0].cluster.server", "is not a URL"),
        ({"server": "192.0.2.1:6443"}, {}, "clusters[0].cluster.server", "is not a URL"),
        ({"server": "https://h:port"}, {}, "clusters[0].cluster.server", "is not a URL"),
        ({"server": 7}, {}, "clusters[0].cluster.server", "Expected `str"),
        (
            {"certificate-authority": "no.pem"},
            {},
            "clusters[0].cluster.certificate-authority",
            "No such file",
        ),
        (
            {"certificate-authority-data": "%%"},
            {},
            "clusters[0].cluster.certificate-authority-data",
            "base64",
        ),
        (
            {"insecure-skip-tls-verify": True, "certificate-authority-data": data("a")},
            {},
            "clusters[0].cluster.insecure-skip-tls-verify",
            "contradicts",
        ),
        ({"proxy-url": "socks5://p:1"}, {}, "clusters[0].cluster.proxy-url", "http://"),
        ({}, {"token": 5}, "users[0].user.token", "Expected `str"),
        ({}, {"tokenFile": "no-token"}, "users[0].user.tokenFile", "No such file"),
        ({}, {"client-certificate-data": data("c")}, "users[0].user.client-key", "is missing"),
        ({}, {"client-key-data": data("k")}, "users[0].user.client-certificate", "is missing"),
        ({}, {"username": "me"}, "users[0].user.username", "not supported"),
        ({}, {"as": "admin"}, "users[0].user.as", "not supported"),
        ({}, {"auth-provider": {"name": "gcp"}}, "users[0].user.auth-provider", "exec plugin"),
        ({}, {"exec": {**PLUGIN, "apiVersion": "v9"}}, "users[0].user.exec.apiVersion", "'v9'"),
        ({}, {"exec": {**PLUGIN, "command": ""}}, "users[0].user.exec.command", "is missing"),
        (
            {},
            {"exec": {**PLUGIN, "interactiveMode": "Always"}},
            "users[0].user.exec.interactiveMode",
            "nobody",
        ),
    ],
)
def test_each_mistake_is_named_by_file_and_field(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], where: str, what: str
) -> None:
    path = written(tmp_path, document(cluster, user))
    with pytest.raises(KubeconfigError) as raised:
        load_kubeconfig(path)
    assert raised.value.field == where
    assert str(raised.value).startswith(f"kubeconfig {path}: {where}: ")
    assert what in raised.value.problem


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ("a: [", "line 1", "is not YAML"),
        ("a: 1\nb: {\n- x", "line 3", "is not YAML"),
        ("\x00", "", "is not YAML"),
        ("[" * 2000, "", "is not YAML"),
        ("", "", "Expected `object`"),
        ("- 1", "", "Expected `object`"),
        ("clusters: {}", "clusters", "Expected `array"),
        ({**document(), "current-context": ""}, "current-context", "one, two, lost, anonymous"),
        ({**document(), "current-context": "three"}, "current-context", "'three'"),
        ({**document(), "current-context": "lost"}, "contexts[2].context.cluster", "there are: c1, c2"),
        ({**document(), "users": None}, "contexts[0].context.user", "there are: none"),
    ],
)
def test_a_damaged_file_is_explained(tmp_path: Path, content: Any, where: str, what: str) -> None:
    with pytest.raises(KubeconfigError) as raised:
        load_kubeconfig(written(tmp_path, content))
    assert raised.value.field == where
    assert what in raised.value.problem


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="nowhere: cannot be read: No such file"):
        load_kubeconfig(tmp_path / "nowhere")
