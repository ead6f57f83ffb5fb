"""What it takes to reach one API server, as a value; files it names are read by `apicredentials`.

No parsing of kubeconfig files and no sockets. Secrets are left out of every repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Material:
    """PEM, either here or in a file that may be rotated; `name` is its field in the kubeconfig.

    `missing` is what it means that the file is not there yet, in a sentence.
    """

    name: str
    inline: bytes | None = field(default=None, repr=False)
    path: Path | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A program that prints an ExecCredential (client.authentication.k8s.io v1 or v1beta1)."""

    api_version: str
    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    install_hint: str = ""
    cluster_info: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """One API server and who we are to it; `origin` says in errors where this was written down."""

    server: str
    origin: str = "connection"
    namespace: str = "default"
    ca: Material | None = None
    insecure: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = field(default=None, repr=False)
    compress: bool = True
    certificate: Material | None = None
    key: Material | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    exec_plugin: ExecPlugin | None = None
