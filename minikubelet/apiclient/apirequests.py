"""Requests to one API server over kept connections: JSON in, JSON out, errors as `apierrors`.

Retrying is left to callers, but for one thing: a 401 is answered once with fresh credentials. Whoever needs
list and watch takes `list_watch`; its logic is in `apiwatch`.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
from yarl import URL

from minikubelet.apiclient.apicredentials import Credentials, Identity
from minikubelet.apiclient.apierrors import ApiUnreachable, error_from_answer
from minikubelet.apiclient.apifailures import plain_words
from minikubelet.apiclient.apiframes import decode_json
from minikubelet.apiclient.apiproxy import proxy_for
from minikubelet.apiclient.apireach import Reach
from minikubelet.apiclient.apisessions import Sessions
from minikubelet.apiclient.apitls import TlsContexts
from minikubelet.apiclient.apiwatch import ByteStream, WatchOptions, list_all, list_watch
from minikubelet.ports.apiport import JsonObject, Listed, PatchKind, WatchItem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping

    from minikubelet.apiclient.apiconnection import Connection

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: for a connection to stand, and for a whole request."""

    connect_seconds: float = 10.0
    request_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    params: Mapping[str, str]
    payload: bytes | None = None
    content_type: str = JSON_TYPE

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class ApiClient:
    """A client of one API server; it is an `Api`. Make it anywhere, use it in one event loop, `aclose` it.

    Making one raises KubeconfigError when HTTPS_PROXY names a proxy of an unsupported kind.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        user_agent: str = "minikubelet",
        timeouts: Timeouts | None = None,
        watch_options: WatchOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.connection = connection
        self._agent = user_agent
        self._timeouts = timeouts or Timeouts()
        self._watch_options = watch_options
        self._credentials = Credentials(connection, clock=clock, now=now)
        self._tls = TlsContexts(connection, clock=clock) if connection.server.startswith("https:") else None
        self._proxy = proxy_for(connection, os.environ)
        self._sessions = Sessions(
            connect_seconds=self._timeouts.connect_seconds, request_seconds=self._timeouts.request_seconds
        )
        self._reach = Reach()
        self._closed = False

    async def get_object(self, path: str) -> JsonObject:
        """Read one object."""
        return self._object(await self.request("GET", path), path)

    async def list_objects(self, path: str, *, params: Mapping[str, str] | None = None) -> Listed:
        """Read a whole collection."""
        return await list_all(self, path, params=params)

    async def create_object(self, collection: str, body: JsonObject) -> JsonObject:
        """Create an object in a collection; answers it as stored."""
        return self._object(await self.request("POST", collection, body=body), collection)

    async def replace_object(self, path: str, body: JsonObject) -> JsonObject:
        """Replace an object; a `metadata.resourceVersion` in it guards against lost updates."""
        return self._object(await self.request("PUT", path, body=body), path)

    async def patch_object(
        self, path: str, patch: JsonObject | list[JsonObject], kind: PatchKind = PatchKind.STRATEGIC
    ) -> JsonObject:
        """Change parts of an object."""
        answer = await self.request("PATCH", path, body=patch, content_type=kind.value)
        return self._object(answer, path)

    async def delete_object(
        self,
        path: str,
        *,
        grace_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> JsonObject:
        """Delete an object if it still is the one meant; answers it, or the server's Status."""
        options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if given := {name: value for name, value in preconditions.items() if value is not None}:
            options["preconditions"] = given
        return self._object(await self.request("DELETE", path, body=options), path)

    def list_watch(
        self, path: str, *, params: Mapping[str, str] | None = None
    ) -> AsyncGenerator[WatchItem, None]:
        """Follow a collection without end, see `apiwatch.list_watch`."""
        options = self._watch_options or WatchOptions(sleep=self._reach.pause)
        return list_watch(self, path, params=params, options=options)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON_TYPE,
        deadline_seconds: float | None = None,
    ) -> Any:
        """Send one request and answer the decoded JSON, None where the answer is empty.

        Raises:
            ApiError: the server refused.
            ApiUnreachable: there was no usable answer in time. Whether the server acted is unknown.
        """
        payload = None if body is None else msgspec.json.encode(body)
        call = _Call(method, path, params or {}, payload, content_type)
        identity = await self._credentials.current()
        deadline = deadline_seconds or self._timeouts.request_seconds
        with self._plain_failures(call, deadline):
            async with asyncio.timeout(deadline):
                response = await self._respond(call, identity)
                async with response:
                    data = await response.read()
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise error_from_answer(response.status, response.headers, data)
        try:
            return decode_json(data) if data else None
        except ValueError:
            raise self._no_json(path) from None

    @asynccontextmanager
    async def open_stream(
        self, path: str, *, params: Mapping[str, str], deadline_seconds: float
    ) -> AsyncIterator[ByteStream]:
        """Open a GET whose body is read as it comes, for at most so many seconds altogether."""
        call = _Call("GET", path, params)
        ends = asyncio.get_running_loop().time() + deadline_seconds
        identity = await self._credentials.current()
        deadline = self._timeouts.request_seconds
        with self._plain_failures(call, deadline):
            async with asyncio.timeout(deadline):
                response = await self._respond(call, identity)
        try:
            if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                with self._plain_failures(call, deadline):
                    async with asyncio.timeout(deadline):
                        data = await response.read()
                raise error_from_answer(response.status, response.headers, data)
            self._sessions.opened(response)
            yield _BodyStream(response, ends, lambda: self._plain_failures(call, deadline_seconds))
        finally:
            self._sessions.ended(response)
            # close, not release: what is still to come of a watch must not be waited for.
            response.close()

    async def aclose(self) -> None:
        """Close all connections; requests after this fail."""
        self._closed = True
        await self._sessions.aclose()

    async def _respond(self, call: _Call, identity: Identity) -> aiohttp.ClientResponse:
        response = await self._send(call, identity)
        self._reach.got_through()
        if response.status != HTTPStatus.UNAUTHORIZED:
            return response
        try:
            fresh = await self._credentials.after_refusal(identity)
        except BaseException:
            response.close()
            raise
        if fresh is None:
            return response
        response.release()
        return await self._send(call, fresh)

    async def _send(self, call: _Call, identity: Identity) -> aiohttp.ClientResponse:
        headers = {"Accept": JSON_TYPE, "User-Agent": self._agent}
        headers["Accept-Encoding"] = "gzip" if self.connection.compress else "identity"
        if identity.token is not None:
            headers["Authorization"] = f"Bearer {_checked(identity.token)}"
        if call.payload is not None:
            headers["Content-Type"] = call.content_type
        context = self._tls.context(identity) if self._tls is not None else True
        if self._closed:
            raise ApiUnreachable(f"the connection to {self.connection.server} has been closed")
        # The path is escaped already; yarl would undo and redo that.
        url = URL(self.connection.server + call.path, encoded=True)
        return await self._sessions.session(context).request(
            call.method,
            url.with_query(call.params) if call.params else url,
            data=call.payload,
            headers=headers,
            ssl=context,
            server_hostname=self.connection.tls_server_name,
            proxy=self._proxy,
            # A redirect would carry the token somewhere else; API servers have no need of them.
            allow_redirects=False,
        )

    @contextmanager
    def _plain_failures(self, call: _Call, deadline: float) -> Iterator[None]:
        server = self.connection.server
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:
            self._reach.lost()
            # One with an errno is the kernel's own, of a peer that is silent on TCP's level.
            if isinstance(error, TimeoutError) and error.errno is None:
                connecting = isinstance(error, aiohttp.ServerTimeoutError)
                seconds = self._timeouts.connect_seconds if connecting else deadline
                raise ApiUnreachable(f"no answer from {server} to {call} within {seconds:g} s") from error
            raise ApiUnreachable(f"cannot reach {server} for {call}: {plain_words(error)}") from error

    def _object(self, answer: Any, path: str) -> JsonObject:
        if not isinstance(answer, dict):
            raise self._no_json(path)
        return answer

    def _no_json(self, path: str) -> ApiUnreachable:
        return ApiUnreachable(
            f"{self.connection.server} answers {path} with no JSON object; is it a Kubernetes API server?"
        )


class _BodyStream:
    """The body of an answer until a moment of the event loop's clock."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        ends: float,
        failures: Callable[[], Any],
    ) -> None:
        self._response = response
        self._ends = ends
        self._failures = failures

    async def read(self) -> bytes:
        """Answer the next bytes, empty at the end."""
        # The time-out covers this wait only: it must not strike the reader while it handles what came.
        with self._failures():
            async with asyncio.timeout_at(self._ends):
                return await self._response.content.readany()


def _checked(token: str) -> str:
    if not token.isascii() or not token.isprintable():
        raise ApiUnreachable("the bearer token holds line breaks or other characters that no token has")
    return token
