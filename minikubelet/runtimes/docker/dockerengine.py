"""One connection to a Docker engine: requests in, decoded answers out, failures told apart.

Everything that touches aiodocker's or aiohttp's machinery belongs here. A refusal of the engine leaves as
`DockerError` (status, message) for the caller to word; an engine out of reach is always a RuntimeFault.
Nothing here knows pods.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import aiodocker
import aiohttp
import msgspec
from aiodocker.exceptions import DockerError

from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.runtimes.docker.dockerfacts import EngineFacts

T = TypeVar("T")

CALL_SECONDS: Final = 120.0
"""Until an ordinary call is given up; the kubelet's runtimeRequestTimeout. Long calls name their own."""

_CONNECT_SECONDS: Final = 10.0
_NO_CONNECTION: Final = 900  # aiodocker's own status for an engine that cannot be reached


class Engine:
    """The engine at `host`: `unix:///path`, or `tcp://host:port` with TLS as DOCKER_TLS_VERIFY says."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.call_seconds = CALL_SECONDS
        self._docker: aiodocker.Docker | None = None
        self._connector: aiohttp.BaseConnector | None = None

    @property
    def socket(self) -> Path | None:
        """The Unix socket of the engine, None when it is reached by TCP."""
        return Path(self.host.removeprefix("unix://")) if self.host.startswith("unix://") else None

    async def open(self) -> str:
        """Reach the engine; its version. Opening twice is opening once."""
        if self._docker is None:
            self._connector, url = _connector(self.host)
            self._docker = aiodocker.Docker(url=url, connector=self._connector)
        version = await self.ask("GET", "version")
        return str(version["Version"])

    async def facts(self) -> EngineFacts:
        """What the engine tells of itself; nothing where it refuses to."""
        try:
            return await self.read("info", EngineFacts)
        except DockerError:
            return EngineFacts()

    async def close(self) -> None:
        """Let go of every connection."""
        docker, connector, self._docker, self._connector = self._docker, self._connector, None, None
        if docker is not None:
            await docker.close()
        if connector is not None:
            await connector.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        longer: float = 0.0,
    ) -> Any:
        """One request and its decoded JSON answer, None if there is none.

        `longer` is the seconds that the engine needs beyond what any call may take.
        """
        raw = await self._fetch(method, path, params, body, self.call_seconds + longer)
        return self._decoded(raw, Any) if raw.strip() else None

    async def read(self, path: str, kind: type[T], *, params: Mapping[str, Any] | None = None) -> T:
        """One GET, decoded into `kind`."""
        raw = await self._fetch("GET", path, params, None, self.call_seconds)
        return self._decoded(raw, kind)

    def _decoded(self, raw: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(raw, type=kind)
        except msgspec.MsgspecError as error:
            self._unreachable(f"what answers there speaks another language ({error})")

    async def _fetch(
        self, method: str, path: str, params: Mapping[str, Any] | None, body: Any, seconds: float | None
    ) -> bytes:
        try:
            async with (
                asyncio.timeout(seconds),
                self.stream(method, path, params=params, body=body) as answer,
            ):
                return await answer.read()
        except TimeoutError:
            raise RuntimeFault(
                "EngineUnreachable",
                f"the Docker engine at {self.host} gave no answer to {method} {path}"
                f" within {seconds} s; look at its log, and restart it if it hangs",
                unreachable=True,
            ) from None

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request whose answer is read bit by bit; no time limit but that of connecting.

        `body` is bytes (a tar) or anything that becomes JSON. Left early, the connection is closed.
        """
        if self._docker is None:
            raise RuntimeFault("EngineUnreachable", "the driver is not connected", unreachable=True)
        sent = {"Content-Type": "application/json" if not isinstance(body, bytes) else "application/x-tar"}
        try:
            async with self._docker._query(  # noqa: SLF001 - aiodocker's own wrappers lack half of the calls
                path,
                method,
                params=dict(params or {}),
                data=body if body is None or isinstance(body, bytes) else msgspec.json.encode(body),
                headers={**sent, **(headers or {})},
                timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS),
            ) as answer:
                try:
                    yield answer
                finally:
                    answer.close()
        except DockerError as error:
            if error.status == _NO_CONNECTION:
                self._unreachable(error.message)
            raise
        except (aiohttp.ClientError, ConnectionError, aiohttp.SocketTimeoutError) as error:
            self._unreachable(str(error) or type(error).__name__)
        except msgspec.MsgspecError as error:
            self._unreachable(f"what answers there speaks another language ({error})")

    def _unreachable(self, why: str) -> NoReturn:
        raise RuntimeFault(
            "EngineUnreachable",
            f"the Docker engine at {self.host} does not answer: {one_line(why)}",
            unreachable=True,
        )


def _connector(host: str) -> tuple[aiohttp.BaseConnector, str]:
    """A connector without a limit (stops, waits and logs hold their connections), and aiodocker's URL."""
    if host.startswith("unix://"):
        return aiohttp.UnixConnector(host.removeprefix("unix://"), limit=0), "unix://localhost"
    if host.startswith("tcp://"):
        context = tls_context()
        if context is None:
            return aiohttp.TCPConnector(limit=0), host.replace("tcp://", "http://", 1)
        return aiohttp.TCPConnector(limit=0, ssl=context), host.replace("tcp://", "https://", 1)
    raise RuntimeFault(
        "InvalidEndpoint",
        f"{host!r} is no Docker endpoint: write unix:///path/to/docker.sock or tcp://host:port",
    )


def tls_context() -> ssl.SSLContext | None:
    """How an engine is reached by TCP, as DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say; None: without TLS."""
    if os.environ.get("DOCKER_TLS_VERIFY", "") in {"", "0"}:
        return None
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    try:
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except OSError as error:
        raise RuntimeFault(
            "InvalidEndpoint",
            f"DOCKER_TLS_VERIFY is set, but ca.pem, cert.pem and key.pem in {folder} cannot be used: {error}",
        ) from None
    return context


def one_line(text: str) -> str:
    """An error text on one line."""
    return " ".join(text.split())


def is_gone(error: DockerError) -> bool:
    """The thing asked about is not there."""
    return error.status == HTTPStatus.NOT_FOUND


def is_conflict(error: DockerError) -> bool:
    """The engine is in a state that forbids it: name taken, not running, removal in progress."""
    return error.status == HTTPStatus.CONFLICT


def refused(reason: str, error: DockerError, *, container_id: str = "") -> RuntimeFault:
    """The engine's refusal in the port's terms."""
    return RuntimeFault(reason, one_line(error.message), container_id=container_id)
