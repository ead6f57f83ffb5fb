"""What every request to the node API passes first: who it is, whether it may, and errors as `Status`.

May not be here: finding out a name (`nodeidentity`) or a right (`nodepermission`), or what endpoints answer.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from minikubelet.apiclient.apierrors import ApiError, ApiUnreachable
from minikubelet.nodeapi.nodehandlers import json_response
from minikubelet.nodeapi.nodeidentity import Identities
from minikubelet.nodeapi.nodelookup import NodeRefusal
from minikubelet.nodeapi.nodemetrics import RequestCount
from minikubelet.nodeapi.nodepermission import Permissions
from minikubelet.ports.runtimeport import RuntimeFault

_log = structlog.get_logger()


class Guard:
    """Asks of every request who it is and whether it may, before its handler sees it."""

    def __init__(self, identities: Identities, permissions: Permissions, requests: RequestCount) -> None:
        self.requests = requests
        self._under_way: set[asyncio.Task[Any]] = set()
        self._identities = identities
        self._permissions = permissions

    @web.middleware
    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The answer, every failure of which is a `Status`."""
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
        self.requests.under_way += 1
        code = 0
        try:
            answer = await self._answer(request, handler)
            code = answer.status
        finally:
            self._under_way -= {task}
            self.requests.under_way -= 1
            self.requests.done(request.method[:8], _route(request), code)
        return answer

    async def end(self) -> None:
        """End all requests that are under way: streams and followed logs would go on for ever."""
        left = list(self._under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            await self._admit(request)
            return await handler(request)
        except NodeRefusal as refusal:
            return _refused(refusal)
        except RuntimeFault as fault:
            return _refused(NodeRefusal(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", fault.message))
        except web.HTTPException as problem:
            reason = HTTPStatus(problem.status).phrase.replace(" ", "")
            return _refused(NodeRefusal(HTTPStatus(problem.status), reason, problem.reason))
        except ConnectionError:
            raise
        except Exception as problem:  # noqa: BLE001 - a bug in one handler must not end the server
            _log.error("a request to the node API failed", path=request.path, problem=repr(problem))
            text = f"{type(problem).__name__} while {request.method} {request.path}"
            return _refused(NodeRefusal(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", text))

    async def _admit(self, request: web.Request) -> None:
        certificate = request.get_extra_info("peercert")
        try:
            caller = await self._identities.identify(certificate, request.headers.get(hdrs.AUTHORIZATION, ""))
            if caller is None:
                raise NodeRefusal(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")
            allowed = await self._permissions.allows(caller, request.method, request.path)
        except (ApiError, ApiUnreachable) as error:
            _log.warning("the API server cannot say who may call the node API", problem=str(error))
            text = "the API server cannot be asked who you are or what you may do; try again later"
            raise NodeRefusal(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", text) from error
        if not allowed:
            text = f'"{caller.name}" may not {request.method} {request.path} of this node'
            raise NodeRefusal(HTTPStatus.FORBIDDEN, "Forbidden", text)


def _refused(refusal: NodeRefusal) -> web.Response:
    answer = json_response(refusal.status(), refusal.code)
    # What is left of a body that was not read would be taken for the next request.
    answer.force_close()
    return answer


def _route(request: web.Request) -> str:
    """The first part of the route, of which there is a fixed number."""
    resource = request.match_info.route.resource
    return (resource.canonical if resource is not None else "").strip("/").partition("/")[0] or "other"
