"""The HTTP face of the stub API server: from a path and a method to a verb, and its answer.

Authentication, the error answers and the streaming of watches are here; rules and storage are not.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import structlog
from aiohttp import hdrs, web

from minikubelet.stubapi import stubrequests
from minikubelet.stubapi.stubdeletion import parse_delete_options
from minikubelet.stubapi.stubdiscovery import (
    OPENAPI_ANSWER_TYPE,
    OPENAPI_JSON,
    OPENAPI_PROTOBUF_TYPE,
    VERSION,
    discovery,
    openapi_protobuf,
)
from minikubelet.stubapi.stubresources import METRICS, REVIEWS, SIGNING_REQUESTS, Obj, Target, find_target
from minikubelet.stubapi.stubrules import require
from minikubelet.stubapi.stubsecurity import Security, stamped
from minikubelet.stubapi.stubselectors import parse_selector
from minikubelet.stubapi.stubstatus import (
    ApiError,
    bad_request,
    internal_error,
    method_not_allowed,
    unknown_path,
)
from minikubelet.stubapi.stubstore import Key, Store, Stored, key_of
from minikubelet.stubapi.stubtables import make_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from minikubelet.stubapi.stubaccess import Caller
    from minikubelet.stubapi.stubfields import FieldCheck
    from minikubelet.stubapi.stubmetrics import Metrics
    from minikubelet.stubapi.stubproxy import PodProxy
    from minikubelet.stubapi.stubwatch import Watches
    from minikubelet.stubapi.stubwrites import Writes

LogHandler: TypeAlias = "Callable[[web.Request, str, str, Mapping[str, str]], Awaitable[web.StreamResponse]]"
"""Answers `pods/log`: request, namespace, pod name and query parameters in; the response out."""

_log = structlog.get_logger(__name__)
_HEALTH = ("/healthz", "/livez", "/readyz")


def json_response(body: Any, code: int = 200) -> web.Response:
    """An answer with a JSON body; bytes are sent as they are."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return web.Response(body=content, status=code, content_type="application/json")


class Handlers:
    """Answers every request of one server."""

    def __init__(
        self,
        store: Store,
        writes: Writes,
        watches: Watches,
        *,
        security: Security,
        clock: Callable[[], datetime],
        log_handler: LogHandler | None,
        pod_proxy: PodProxy,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._writes = writes
        self._watches = watches
        self._security = security
        self._clock = clock
        self._log_handler = log_handler
        self._pod_proxy = pod_proxy
        self._metrics = metrics

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer to a request; every failure is a `Status`.

        Once the server ends there is none: a connection whose handshake was still under way when the others
        were closed would otherwise be served by what is no longer there.
        """
        if self._watches.closed:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionAbortedError
        try:
            return await self._route(request)
        except ApiError as problem:
            answer = json_response(problem.status(), problem.code)
        except ConnectionError:
            raise
        except (RecursionError, OverflowError):
            refused = bad_request("the object is nested too deeply or holds a number beyond 64 bits")
            answer = json_response(refused.status(), refused.code)
        except Exception as problem:  # noqa: BLE001 - a bug in one handler must not end the server
            await _log.aerror("a request failed", path=request.path, problem=repr(problem))
            failed = internal_error(f"{type(problem).__name__} while {request.method} {request.path}")
            answer = json_response(failed.status(), failed.code)
        if not request.content.is_eof():
            # What was not read of the body would be taken for the next request.
            answer.force_close()
        return answer

    async def _route(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path in _HEALTH:
            return web.Response(text="ok")
        if path == "/version":
            return json_response(VERSION)
        caller = self._security.admit(request)
        if request.method == hdrs.METH_GET:
            if path == "/openapi/v2":
                return _openapi(request)
            if (found := discovery(path, request.host)) is not None:
                return json_response(found)
        target = find_target(path)
        if target is None:
            raise unknown_path()
        watch = not target.name and stubrequests.flag(request.query, "watch")
        self._security.check(caller, request.method, target, watch=watch)
        if target.resource in REVIEWS:
            return await self._review(request, target, caller)
        if target.resource in METRICS:
            return json_response(await self._metrics.answer(request.method, target, request.query))
        answer = await self._serve(request, target, caller, watch=watch)
        if target.resource == SIGNING_REQUESTS and request.method != hdrs.METH_GET and target.name:
            await self._security.signer.look(target.name)
        return answer

    async def _review(self, request: web.Request, target: Target, caller: Caller) -> web.Response:
        if request.method != hdrs.METH_POST or target.name:
            raise method_not_allowed()
        body = await stubrequests.read_object(request)
        return json_response(self._security.reviews.answer(target.resource, body, caller), 201)

    async def _serve(
        self, request: web.Request, target: Target, caller: Caller, *, watch: bool
    ) -> web.StreamResponse:
        if target.subresource not in ("", "status", "approval", "ephemeralcontainers"):
            return await self._serve_extra(request, target)
        match request.method, bool(target.name):
            case hdrs.METH_GET, True:
                return self._get(request, target)
            case hdrs.METH_GET, False if watch:
                return await self._watch(request, target)
            case hdrs.METH_GET, False:
                return self._list(request, target)
            case hdrs.METH_POST, False if bool(target.namespace) == target.resource.namespaced:
                return await self._create(request, target, caller)
            case hdrs.METH_PUT, True:
                return await self._update(request, target)
            case hdrs.METH_PATCH, True:
                return await self._patch(request, target)
            case hdrs.METH_DELETE, _ if not target.subresource:
                return await self._delete(request, target)
            case _:
                raise method_not_allowed()

    async def _create(self, request: web.Request, target: Target, caller: Caller) -> web.Response:
        fields, dry = stubrequests.write_options(request.query, "CreateOptions")
        body = stamped(target, await stubrequests.read_object(request, fields), caller)
        made = await self._writes.create(target, body, dry_run=dry, fields=fields)
        if target.resource == SIGNING_REQUESTS and not dry:
            await self._security.signer.look(made["metadata"]["name"])
        return _warned(json_response(made, 201), fields)

    async def _update(self, request: web.Request, target: Target) -> web.Response:
        fields, dry = stubrequests.write_options(request.query, "UpdateOptions")
        body = await stubrequests.read_object(request, fields)
        changed = await self._writes.update(target, body, dry_run=dry, fields=fields)
        return _warned(json_response(changed), fields)

    async def _patch(self, request: web.Request, target: Target) -> web.Response:
        fields, dry = stubrequests.write_options(request.query, "PatchOptions")
        media_type, patch = await stubrequests.read_patch(request)
        changed = await self._writes.patch(target, media_type, patch, dry_run=dry, fields=fields)
        return _warned(json_response(changed), fields)

    async def _serve_extra(self, request: web.Request, target: Target) -> web.StreamResponse:
        match request.method, target.subresource:
            case hdrs.METH_GET, "log" if self._log_handler is not None:
                self._find(target)
                return await self._log_handler(request, target.namespace, target.name, request.query)
            case (hdrs.METH_GET, "log") | (
                hdrs.METH_GET | hdrs.METH_POST,
                "exec" | "attach" | "portforward",
            ):
                return await self._pod_proxy.handle(request, self._find(target).obj, target.subresource)
            case hdrs.METH_POST, "binding":
                _, dry = stubrequests.write_options(request.query, "CreateOptions")
                body = await stubrequests.read_object(request)
                return json_response(await self._writes.bind(target, body, dry_run=dry), 201)
            case hdrs.METH_POST, "token":
                body = await stubrequests.read_object(request)
                return json_response(self._security.tokens.issue(target, body), 201)
            case _:
                raise method_not_allowed()

    def _find(self, target: Target) -> Stored:
        stored = self._store.get(target.resource, Key(target.namespace, target.name))
        require(target.resource, target.name, stored.obj if stored else None)
        if stored is None:
            raise unknown_path()
        return stored

    def _get(self, request: web.Request, target: Target) -> web.Response:
        stored = self._find(target)
        if not stubrequests.wants_table(request):
            return json_response(stored.raw)
        meta = {"resourceVersion": stored.obj["metadata"]["resourceVersion"]}
        return self._table(request, target, [stored.obj], meta)

    def _table(self, request: web.Request, target: Target, objects: list[Obj], meta: Obj) -> web.Response:
        include = request.query.get("includeObject", "Metadata")
        return json_response(make_table(target.resource, objects, meta, self._clock(), include))

    def _list(self, request: web.Request, target: Target) -> web.Response:
        query = request.query
        stubrequests.check_list_version(query, self._store.version)
        selector = parse_selector(target.resource, query)
        token = stubrequests.parse_page_token(query)
        found = [
            stored
            for stored in self._store.select(target.resource, target.namespace)
            if selector.matches(stored.obj)
            and (token is None or key_of(stored.obj) > Key(token.namespace, token.name))
        ]
        # A later page keeps the first one's version: a watch from there repeats what changed meanwhile.
        version = self._store.version if token is None else token.version
        items, left = stubrequests.page(found, stubrequests.number(query, "limit"))
        meta: Obj = {"resourceVersion": str(version)}
        if left:
            last = key_of(items[-1].obj)
            meta["continue"] = stubrequests.PageToken(version, last.namespace, last.name).encode()
            if selector.selects_all:
                meta["remainingItemCount"] = left
        if stubrequests.wants_table(request):
            return self._table(request, target, [stored.obj for stored in items], meta)
        return json_response(_list_body(target, meta, [stored.raw for stored in items]))

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        wanted = stubrequests.parse_watch(request, target)
        answer = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "application/json"})
        answer.enable_chunked_encoding()
        try:
            async with aclosing(self._watches.stream(wanted)) as chunks:
                await answer.prepare(request)
                async for chunk in chunks:
                    if chunk:
                        await answer.write(chunk)
            await answer.write_eof()
        except ConnectionError:
            # The client is gone, which is how most watches end.
            await _log.adebug("a watch's client went away", path=request.path)
        return answer

    async def _delete(self, request: web.Request, target: Target) -> web.Response:
        body = await stubrequests.read_optional(request)
        options = parse_delete_options(body, request.query)
        if target.name:
            return json_response(await self._writes.delete(target, options))
        if bool(target.namespace) != target.resource.namespaced:
            raise method_not_allowed()
        selector = parse_selector(target.resource, request.query)
        deleted = await self._writes.delete_collection(target, selector, options)
        meta = {"resourceVersion": str(self._store.version)}
        return json_response(_list_body(target, meta, [msgspec.json.encode(obj) for obj in deleted]))


def _warned(answer: web.Response, fields: FieldCheck) -> web.Response:
    answer.headers.extend(fields.headers())
    return answer


def _list_body(target: Target, meta: Obj, raws: list[bytes]) -> bytes:
    head = {
        "kind": f"{target.resource.kind}List",
        "apiVersion": target.resource.api_version,
        "metadata": meta,
    }
    return msgspec.json.encode(head)[:-1] + b',"items":[' + b",".join(raws) + b"]}"


def _openapi(request: web.Request) -> web.Response:
    if OPENAPI_PROTOBUF_TYPE in request.headers.get("Accept", ""):
        return web.Response(body=openapi_protobuf(), headers={hdrs.CONTENT_TYPE: OPENAPI_ANSWER_TYPE})
    return json_response(OPENAPI_JSON)
