"""Who we are to the API server, now: tokens and certificates from files or a plugin, re-read as they rotate.

Nothing of TLS or HTTP is here; `apitls` and `apirequests` use what this answers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from minikubelet.apiclient.apierrors import ApiUnreachable
from minikubelet.apiclient.apiexec import PluginCredential, PluginRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from minikubelet.apiclient.apiconnection import Connection, Material

RECHECK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """What one request shows: a bearer token, a client certificate with its key, both or neither."""

    token: str | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)


class WatchedFile:
    """A small file read again when it changed, looked at no more often than every few seconds.

    When it cannot be read any more, what it held last stays valid: rotation may take it away for a moment.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        recheck_seconds: float = RECHECK_SECONDS,
        missing: str = "",
    ) -> None:
        self._path = path
        self._missing = missing or f"cannot read {path}, which the connection needs"
        self._clock = clock
        self._recheck = recheck_seconds
        self._looked: float | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._content: bytes | None = None

    def content(self) -> bytes:
        """Answer what the file holds.

        Raises:
            ApiUnreachable: it could not be read, and never was.
        """
        now = self._clock()
        if self._looked is None or self._content is None or now - self._looked >= self._recheck:
            self._look()
            self._looked = now
        if self._content is None:
            raise ApiUnreachable(self._missing)
        return self._content

    def look_again(self) -> None:
        """Look at the file at the next question, however soon it comes."""
        self._looked = None

    def _look(self) -> None:
        try:
            # The inode tells too: kubelets and cert-manager rotate by renaming, sometimes keeping times.
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp != self._stamp:
                self._content = self._path.read_bytes()
                self._stamp = stamp
        except OSError:
            self._stamp = None


class WatchedMaterial:
    """PEM of a connection, wherever it is kept."""

    def __init__(self, material: Material, clock: Callable[[], float]) -> None:
        self.name = material.name
        self._inline = material.inline or b""
        self._file = (
            WatchedFile(material.path, clock=clock, missing=material.missing)
            if material.path is not None
            else None
        )

    def content(self) -> bytes:
        """Answer the PEM; raises ApiUnreachable when its file was never readable."""
        return self._inline if self._file is None else self._file.content()


class Credentials:
    """The identity of a connection, asked for before each request."""

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._token = connection.token
        self._token_file = (
            WatchedFile(connection.token_file, clock=clock) if connection.token_file is not None else None
        )
        self._certificate = WatchedMaterial(connection.certificate, clock) if connection.certificate else None
        self._key = WatchedMaterial(connection.key, clock) if connection.key else None
        plugin = connection.exec_plugin
        self._plugin = PluginRunner(plugin, now=now) if plugin is not None else None

    async def current(self) -> Identity:
        """Answer the identity to show now.

        Raises:
            ApiUnreachable: a file cannot be read, or the plugin gave nothing.
        """
        given = await self._plugin.credential() if self._plugin is not None else PluginCredential()
        certificate, key = given.certificate, given.key
        if self._certificate is not None and self._key is not None:
            certificate, key = self._certificate.content(), self._key.content()
        return Identity(self._bearer() or given.token, certificate, key)

    async def after_refusal(self, refused: Identity) -> Identity | None:
        """Answer another identity to try once after a 401, or None when there is no other."""
        if self._plugin is not None and await self.current() == refused:
            self._plugin.refused()
        if self._token_file is not None:
            self._token_file.look_again()
        fresh = await self.current()
        return fresh if fresh != refused else None

    def _bearer(self) -> str | None:
        if self._token_file is None:
            return self._token
        try:
            token = self._token_file.content().decode("ascii").strip()
        except UnicodeDecodeError:
            token = ""
        if not token:
            if self._token:
                return self._token
            raise ApiUnreachable("the token file is empty or is no text")
        return token
