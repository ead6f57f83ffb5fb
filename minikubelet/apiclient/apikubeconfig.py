"""From a kubeconfig file to a `Connection`; every complaint names the file and the field.

Reads the kubeconfig itself and checks that the files it names can be read. Their contents, and running
credential plugins, are left to `apicredentials` and `apiexec`, since both change while the agent runs.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from minikubelet.apiclient.apiconnection import Connection, ExecPlugin, Material
from minikubelet.apiclient.apierrors import KubeconfigError

EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_EXEC_EXTENSION = "client.authentication.k8s.io/exec"
_UNSUPPORTED = {
    "as": "impersonation is not supported; use credentials of the node itself",
    "username": "basic authentication is not supported; use a token or a client certificate",
    "auth-provider": "auth providers were removed from Kubernetes; use an exec plugin",
}


class _Extension(msgspec.Struct, frozen=True):
    name: str
    extension: Any = None


class _Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    server: str = ""
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool | None = None
    tls_server_name: str | None = None
    proxy_url: str | None = None
    disable_compression: bool | None = None
    extensions: list[_Extension] | None = None


class _EnvVar(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class _Exec(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str = ""
    command: str = ""
    args: list[str] | None = None
    env: list[_EnvVar] | None = None
    install_hint: str | None = None
    interactive_mode: str | None = None
    provide_cluster_info: bool | None = None


class _User(msgspec.Struct, frozen=True, rename="kebab"):
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    token: str | None = None
    token_file: str | None = msgspec.field(name="tokenFile", default=None)
    exec_plugin: _Exec | None = msgspec.field(name="exec", default=None)
    as_user: str | None = msgspec.field(name="as", default=None)
    username: str | None = None
    auth_provider: Any = None


class _Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str | None = None


class _NamedCluster(msgspec.Struct, frozen=True):
    name: str
    cluster: _Cluster


class _NamedUser(msgspec.Struct, frozen=True):
    name: str
    user: _User | None = None


class _NamedContext(msgspec.Struct, frozen=True):
    name: str
    context: _Context


class _Config(msgspec.Struct, frozen=True, rename="kebab"):
    current_context: str | None = None
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


def load_kubeconfig(path: Path | str, context: str | None = None) -> Connection:
    """Read what a kubeconfig says about its current context, or about the one named.

    Raises:
        KubeconfigError: the file cannot be read, or what it says cannot be used.
    """
    return _Loader(Path(path)).connection(context)


class _Loader:
    """One kubeconfig while it is read: knows the file's name for errors and its folder for relative paths."""

    def __init__(self, path: Path) -> None:
        self._origin = f"kubeconfig {path}"
        self._folder = path.absolute().parent
        self._config = self._parsed(path)

    def connection(self, context: str | None) -> Connection:
        contexts = self._config.contexts or []
        name = context or self._config.current_context
        if not name:
            listed = ", ".join(entry.name for entry in contexts) or "none"
            raise self._error("current-context", f"is not set; the contexts in this file are: {listed}")
        entry, where = self._named(contexts, name, "contexts", "current-context")
        cluster_entry, cluster_at = self._named(
            self._config.clusters or [], entry.context.cluster, "clusters", f"{where}.context.cluster"
        )
        user, user_at = _User(), f"{where}.context.user"
        if entry.context.user:
            user_entry, user_at = self._named(
                self._config.users or [], entry.context.user, "users", f"{where}.context.user"
            )
            user = user_entry.user or user
        return self._assemble(
            cluster_entry.cluster, f"{cluster_at}.cluster", user, f"{user_at}.user", entry.context.namespace
        )

    def _assemble(
        self, cluster: _Cluster, cluster_at: str, user: _User, user_at: str, namespace: str | None
    ) -> Connection:
        insecure = bool(cluster.insecure_skip_tls_verify)
        ca = self._material(
            f"{cluster_at}.certificate-authority",
            cluster.certificate_authority_data,
            cluster.certificate_authority,
        )
        if insecure and ca is not None:
            raise self._error(f"{cluster_at}.insecure-skip-tls-verify", "contradicts certificate-authority")
        certificate, key = self._pair(user, user_at)
        return Connection(
            server=self._server(cluster.server, f"{cluster_at}.server"),
            origin=self._origin,
            namespace=namespace or "default",
            ca=ca,
            insecure=insecure,
            tls_server_name=cluster.tls_server_name or None,
            proxy_url=self._proxy(cluster.proxy_url, f"{cluster_at}.proxy-url"),
            compress=not cluster.disable_compression,
            certificate=certificate,
            key=key,
            token=user.token or None,
            token_file=self._file(user.token_file, f"{user_at}.tokenFile"),
            exec_plugin=self._plugin(user, f"{user_at}.exec", cluster, ca),
        )

    def _pair(self, user: _User, at: str) -> tuple[Material | None, Material | None]:
        for field, why in _UNSUPPORTED.items():
            if getattr(user, {"as": "as_user"}.get(field, field.replace("-", "_"))):
                raise self._error(f"{at}.{field}", why)
        certificate = self._material(
            f"{at}.client-certificate", user.client_certificate_data, user.client_certificate
        )
        key = self._material(f"{at}.client-key", user.client_key_data, user.client_key)
        if certificate and not key:
            raise self._error(f"{at}.client-key", "is missing; a client certificate needs its key")
        if key and not certificate:
            raise self._error(f"{at}.client-certificate", "is missing; a client key needs its certificate")
        return certificate, key

    def _plugin(self, user: _User, at: str, cluster: _Cluster, ca: Material | None) -> ExecPlugin | None:
        plugin = user.exec_plugin
        if plugin is None:
            return None
        if plugin.api_version not in EXEC_VERSIONS:
            raise self._error(
                f"{at}.apiVersion", f"{plugin.api_version!r} is not one of {', '.join(EXEC_VERSIONS)}"
            )
        if not plugin.command:
            raise self._error(f"{at}.command", "is missing")
        if plugin.interactive_mode == "Always":
            raise self._error(f"{at}.interactiveMode", "is Always, but a node agent has nobody to ask")
        bare = "/" not in plugin.command
        return ExecPlugin(
            api_version=plugin.api_version,
            command=plugin.command if bare else str(self._folder / plugin.command),
            args=tuple(plugin.args or ()),
            env=tuple((variable.name, variable.value) for variable in plugin.env or ()),
            install_hint=plugin.install_hint or "",
            cluster_info=self._cluster_info(cluster, ca) if plugin.provide_cluster_info else None,
        )

    def _cluster_info(self, cluster: _Cluster, ca: Material | None) -> dict[str, Any]:
        pem = b""
        if ca is not None:
            pem = ca.path.read_bytes() if ca.path is not None else ca.inline or b""
        extensions = {entry.name: entry.extension for entry in cluster.extensions or ()}
        info = {
            "server": cluster.server,
            "tls-server-name": cluster.tls_server_name,
            "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
            "certificate-authority-data": base64.b64encode(pem).decode(),
            "proxy-url": cluster.proxy_url,
            "config": extensions.get(_EXEC_EXTENSION),
        }
        return {key: value for key, value in info.items() if value}

    def _server(self, server: str, at: str) -> str:
        parts = _split(server)
        if parts is None or parts[0] not in {"http", "https"}:
            raise self._error(at, f"{server!r} is not a URL such as https://192.0.2.1:6443")
        return server.rstrip("/")

    def _proxy(self, proxy: str | None, at: str) -> str | None:
        if not proxy:
            return None
        parts = _split(proxy)
        if parts is None or parts[0] not in {"http", "https"}:
            # The URL itself is not repeated: a password may be in it.
            raise self._error(at, "is not a URL that begins with http:// or https://")
        return proxy

    def _material(self, at: str, data: str | None, file: str | None) -> Material | None:
        if data:  # as kubectl does: data wins over a file
            try:
                return Material(at, inline=base64.b64decode("".join(data.split()), validate=True))
            except (binascii.Error, ValueError):
                raise self._error(f"{at}-data", "is not valid base64") from None
        path = self._file(file, at)
        return Material(at, path=path) if path is not None else None

    def _file(self, file: str | None, at: str) -> Path | None:
        if not file:
            return None
        path = self._folder / file
        try:
            with path.open("rb"):
                return path
        except OSError as error:
            raise self._error(at, f"cannot read {path}: {error.strerror}") from None

    def _parsed(self, path: Path) -> _Config:
        try:
            document = yaml.safe_load(path.read_bytes())
        except OSError as error:
            raise self._error("", f"cannot be read: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or "it cannot be decoded"
            raise self._error(f"line {mark.line + 1}" if mark else "", f"is not YAML: {problem}") from None
        try:
            return msgspec.convert(document, _Config)
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `")
            raise self._error(where.rstrip("`").removeprefix("$").lstrip("."), what) from None

    def _named(self, entries: list[Any], name: str, kind: str, at: str) -> tuple[Any, str]:
        for index, entry in enumerate(entries):
            if entry.name == name:
                return entry, f"{kind}[{index}]"
        known = ", ".join(entry.name for entry in entries) or "none"
        raise self._error(at, f"names {name!r}, which is not among {kind} (there are: {known})")

    def _error(self, field: str, problem: str) -> KubeconfigError:
        return KubeconfigError(self._origin, field, problem)


def _split(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return (parts.scheme, parts.hostname) if parts.hostname else None
