"""Certificates with their keys on disk, as upstream's kubelet keeps them.

`NAME-current.pem` is a link to the newest `NAME-<time>.pem`, 0600, certificate and key in one. No requests.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_STAMP: Final = "%Y-%m-%d-%H-%M-%S"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, which belong together; both in PEM too."""

    certificate: x509.Certificate
    chain: bytes
    key: bytes = field(repr=False)

    @property
    def hosts(self) -> frozenset[x509.GeneralName]:
        """The names and addresses that it is for."""
        try:
            found = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return frozenset()
        return frozenset(found.value)

    def is_over(self, now: datetime) -> bool:
        """Whether nobody believes it any more."""
        return now >= self.certificate.not_valid_after_utc


def read_pair(certificate: bytes, key: bytes) -> Pair | None:
    """A pair from PEM, None where there is no certificate with its key."""
    try:
        parsed = x509.load_pem_x509_certificate(certificate)
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError):
        return None
    return Pair(parsed, certificate, key) if private.public_key() == parsed.public_key() else None


class PairStore:
    """The newest pair of one name in a directory, which is made (0700) when it is needed."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self.path = directory / f"{name}-current.pem"

    def load(self) -> Pair | None:
        """The pair that is in use, None where there is none."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return None
        return read_pair(content, content)

    def store(self, chain: bytes, key: bytes, now: datetime) -> None:
        """Put a pair into use and forget the one before; raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._directory / f"{self._name}-{now.strftime(_STAMP)}-{secrets.token_hex(2)}.pem"
        write_private(file, chain.rstrip() + b"\n" + key)
        link = self._directory / f"{self._name}-{secrets.token_hex(4)}.new"
        link.symlink_to(file.name)
        link.replace(self.path)
        for old in self._directory.glob(f"{self._name}-[0-9]*.pem"):
            if old != file:
                old.unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all; raises OSError."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
