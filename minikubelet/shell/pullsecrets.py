"""Credentials of registries: which of those in pull secrets and in Docker's own file belong to an image.

Follows upstream's pkg/credentialprovider. May not be here: pulling. Nothing here is ever logged.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from minikubelet.ports.objectport import Secret
from minikubelet.ports.runtimeport import RegistryAuth

DOCKER_CONFIG_JSON: Final = "kubernetes.io/dockerconfigjson"
DOCKER_CFG: Final = "kubernetes.io/dockercfg"
HUB: Final = "index.docker.io"
_HUB_NAMES: Final = ("docker.io", "index.docker.io", "registry-1.docker.io")
_PORTS: Final = re.compile(r":\d+$")

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST: Final = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE: Final = re.compile(
    rf"(?P<name>(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
_ID: Final = re.compile(r"(?:sha256:)?[0-9a-f]{64}")

Entry = tuple[str, RegistryAuth]
"""A registry's address as it is written, and the credentials for it."""


def is_reference(image: str) -> bool:
    """Whether a name is one of an image (github.com/distribution/reference), or an image's id."""
    return bool(_REFERENCE.fullmatch(image) or _ID.fullmatch(image))


def repository(image: str) -> str:
    """`host/path` of an image without tag and digest; short names are Docker Hub's."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = f"{head}{slash}{last.partition(':')[0]}"
    host, slash, path = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost" or host.lower() != host):
        return f"{HUB}/{name}" if slash else f"{HUB}/library/{name}"
    return f"{HUB}/{path}" if host in _HUB_NAMES else name


def credentials_for(image: str, entries: Iterable[Entry]) -> list[RegistryAuth]:
    """The credentials that belong to an image: in the order given, within a file the longest path first."""
    where = repository(image)
    found: dict[RegistryAuth, None] = {}
    for address, auth in entries:
        if _matches(address, where):
            found.setdefault(auth)
    return list(found)


def of_secret(secret: Secret) -> list[Entry]:
    """What a pull secret holds; one that cannot be read holds nothing."""
    if secret.type == DOCKER_CONFIG_JSON:
        return _of_file(secret.data.get(".dockerconfigjson", b""), wrapped=True)
    if secret.type == DOCKER_CFG:
        return _of_file(secret.data.get(".dockercfg", b""), wrapped=False)
    return []


def of_engine(home: Path | None = None) -> list[Entry]:
    """What Docker's own configuration holds (`$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`)."""
    try:
        directory = os.environ.get("DOCKER_CONFIG")
        base = Path(directory) if directory else (home or Path.home()) / ".docker"
        return _of_file((base / "config.json").read_bytes(), wrapped=True)
    except (OSError, RuntimeError):  # RuntimeError: there is no home directory
        return []


def secrets_of(entries: Iterable[Entry]) -> Iterator[str]:
    """The values that no message may show."""
    for _, auth in entries:
        yield auth.password
        yield auth.identity_token


def _of_file(body: bytes, *, wrapped: bool) -> list[Entry]:
    try:
        config = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return []
    servers = config.get("auths") if wrapped and isinstance(config, dict) else config
    if not isinstance(servers, dict):
        return []
    entries = []
    for address, said in servers.items():
        auth = _auth(address, said) if isinstance(said, dict) else None
        if auth is not None:
            entries.append((address, auth))
    return sorted(entries, key=lambda entry: entry[0], reverse=True)


def _auth(address: str, said: Mapping[str, Any]) -> RegistryAuth | None:
    user, password = str(said.get("username") or ""), str(said.get("password") or "")
    token = str(said.get("identitytoken") or "")
    try:
        decoded = base64.b64decode(str(said.get("auth") or ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    if decoded:
        user, _, password = decoded.partition(":")
        password = password.strip("\0")
    if not (user or password or token):
        return None
    return RegistryAuth(username=user, password=password, server=address, identity_token=token)


def _matches(address: str, where: str) -> bool:
    """Whether a written address covers a repository: host by its parts, `*` within one, path by prefix."""
    parts = urlsplit(address if "://" in address else f"https://{address}")
    host, path = parts.netloc, parts.path.strip("/")
    if host in _HUB_NAMES:
        host = HUB
    if path in {"v1", "v2"}:
        path = ""
    asked_host, _, asked_path = where.partition("/")
    if not _same_host(host, asked_host):
        return False
    return not path or asked_path == path or asked_path.startswith(f"{path}/")


def _same_host(pattern: str, host: str) -> bool:
    found, asked = _PORTS.search(pattern), _PORTS.search(host)
    if (found[0] if found else "") != (asked[0] if asked else ""):
        return False
    patterns, labels = _PORTS.sub("", pattern).split("."), _PORTS.sub("", host).split(".")
    pairs = zip(patterns, labels, strict=False)
    return len(patterns) == len(labels) and all(fnmatch.fnmatchcase(label, one) for one, label in pairs)
