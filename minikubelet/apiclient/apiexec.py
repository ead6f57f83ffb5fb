"""Credential plugins: run the program a kubeconfig names, read the ExecCredential it prints, keep it.

Follows https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins.
Nothing a plugin prints on its standard output ever reaches a message: it is a secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from minikubelet.apiclient.apierrors import ApiUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from minikubelet.apiclient.apiconnection import ExecPlugin

_END_SECONDS = 2.0


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    expiration_timestamp: datetime | None = None
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None


class _ExecCredential(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    status: _Status | None = None


@dataclass(frozen=True, slots=True)
class PluginCredential:
    """What a plugin gave, good until `expires` (Unix seconds; None: until refused)."""

    token: str | None = field(default=None, repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    expires: float | None = None


class PluginRunner:
    """Runs one plugin when its credential is wanted, expired or refused; never twice at once."""

    def __init__(
        self, plugin: ExecPlugin, *, now: Callable[[], float] = time.time, deadline_seconds: float = 60.0
    ) -> None:
        self._plugin = plugin
        self._now = now
        self._deadline = deadline_seconds
        self._lock = asyncio.Lock()
        self._held: PluginCredential | None = None

    async def credential(self) -> PluginCredential:
        """Answer a credential that has not expired.

        Raises:
            ApiUnreachable: the plugin is missing, fails, hangs or prints no credential.
        """
        async with self._lock:
            held = self._held
            if held is None or (held.expires is not None and held.expires <= self._now()):
                held = self._held = self._decoded(await self._output())
            return held

    def refused(self) -> None:
        """Forget the credential: the server does not accept it."""
        self._held = None

    async def _output(self) -> bytes:
        try:
            process = await self._started()
        except OSError as error:
            hint = f"; {self._plugin.install_hint}" if self._plugin.install_hint else ""
            raise self._error(f"cannot be started: {error.strerror}{hint}") from None
        ended = False
        try:
            async with asyncio.timeout(self._deadline):
                output, complaints = await process.communicate()
            ended = True
        except TimeoutError:
            raise self._error(f"did not end within {self._deadline:g} s") from None
        finally:
            if not ended:
                await _end(process)
        if process.returncode != 0:
            lines = complaints.decode("utf-8", "replace").strip().splitlines() or ["it printed no reason"]
            raise self._error(f"failed with exit code {process.returncode}: {lines[-1][:300]}")
        return output

    async def _started(self) -> asyncio.subprocess.Process:
        """The plugin's process; one that is cancelled while it starts is ended with its group."""
        starting = asyncio.create_task(
            asyncio.create_subprocess_exec(
                self._plugin.command,
                *self._plugin.args,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment(),
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await _end(await starting)
            raise

    def _environment(self) -> dict[str, str]:
        spec: dict[str, object] = {"interactive": False}
        if self._plugin.cluster_info is not None:
            spec["cluster"] = dict(self._plugin.cluster_info)
        question = {"apiVersion": self._plugin.api_version, "kind": "ExecCredential", "spec": spec}
        return {
            **os.environ,
            **dict(self._plugin.env),
            "KUBERNETES_EXEC_INFO": msgspec.json.encode(question).decode(),
        }

    def _decoded(self, output: bytes) -> PluginCredential:
        try:
            answer = msgspec.json.decode(output, type=_ExecCredential)
        except (ValueError, RecursionError):
            raise self._error("did not print an ExecCredential as JSON") from None
        if answer.kind != "ExecCredential" or answer.api_version != self._plugin.api_version:
            raise self._error(
                f"printed {answer.api_version} {answer.kind}, not {self._plugin.api_version} ExecCredential"
            )
        status = answer.status or _Status()
        certificate, key = status.client_certificate_data, status.client_key_data
        if bool(certificate) != bool(key):
            raise self._error("printed only one of clientCertificateData and clientKeyData")
        if not status.token and not certificate:
            raise self._error("printed neither a token nor a client certificate")
        return PluginCredential(
            status.token or None,
            certificate.encode() if certificate else None,
            key.encode() if key else None,
            _seconds(status.expiration_timestamp),
        )

    def _error(self, problem: str) -> ApiUnreachable:
        return ApiUnreachable(f"the credential plugin {self._plugin.command!r} {problem}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the whole group: a plugin's children must not outlive the question."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # asyncio waits for the pipes to close, too, which a child that left the group may keep open.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()


def _seconds(moment: datetime | None) -> float | None:
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
