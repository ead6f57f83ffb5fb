"""What a caller of the node API may do: everything, or what the API server says.

Belongs here: a request's verb and sub-resources of the Node, and asking. May not be here: who calls.
As pkg/kubelet/server/auth.go, but one thing: what runs or reaches into a container is `create` whatever the
HTTP method is, so that leave to read (`get` on nodes/proxy) is never leave to exec over a WebSocket.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from minikubelet.model.settings import AuthorizationMode, AuthorizationSettings
from minikubelet.nodeapi.answercache import AnswerCache
from minikubelet.nodeapi.nodeidentity import Caller
from minikubelet.ports.apiport import Api, JsonObject

REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_VERBS: Final = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch"}
_SUBRESOURCES: Final = {
    "stats": ("stats",),
    "metrics": ("metrics",),
    "logs": ("log",),
    "healthz": ("healthz", "proxy"),
    "pods": ("pods", "proxy"),
    "runningpods": ("pods", "proxy"),
    "configz": ("configz", "proxy"),
}
_REACHING: Final = frozenset({"exec", "attach", "portForward", "run"})


class Permissions:
    """Decides. `api` None: nobody can be asked, so that only the trusted may do anything under Webhook."""

    def __init__(
        self,
        settings: AuthorizationSettings,
        api: Api | None,
        node: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._api = api
        self._node = node
        self._answers: AnswerCache[bool] = AnswerCache(clock)

    async def allows(self, caller: Caller, method: str, path: str) -> bool:
        """Whether the caller may; raises ApiError and ApiUnreachable."""
        if caller.trusted or self._settings.mode == AuthorizationMode.ALWAYS_ALLOW:
            return True
        verb, subresources = attributes(method, path)
        for subresource in subresources:
            if await self._asked(caller, verb, subresource):
                return True
        return False

    async def _asked(self, caller: Caller, verb: str, subresource: str) -> bool:
        if self._api is None:
            return False
        key = repr((caller.name, caller.uid, caller.groups, sorted(caller.extra.items()), verb, subresource))
        found, allowed = self._answers.get(key)
        if found:
            return bool(allowed)
        answer = await self._api.create_object(REVIEWS, self._review(caller, verb, subresource))
        status = answer.get("status")
        allowed = isinstance(status, dict) and status.get("allowed") is True and not status.get("denied")
        webhook = self._settings.webhook
        seconds = webhook.cache_authorized_ttl if allowed else webhook.cache_unauthorized_ttl
        self._answers.put(key, allowed, seconds)
        return allowed

    def _review(self, caller: Caller, verb: str, subresource: str) -> JsonObject:
        resource = {
            "verb": verb,
            "version": "v1",
            "resource": "nodes",
            "subresource": subresource,
            "name": self._node,
        }
        spec: JsonObject = {"user": caller.name, "resourceAttributes": resource}
        if caller.groups:
            spec["groups"] = list(caller.groups)
        if caller.uid:
            spec["uid"] = caller.uid
        if caller.extra:
            spec["extra"] = caller.extra
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def attributes(method: str, path: str) -> tuple[str, tuple[str, ...]]:
    """The verb, and the sub-resources of which one is enough."""
    first = path.strip("/").partition("/")[0]
    verb = "create" if first in _REACHING else _VERBS.get(method.upper(), method.lower())
    return verb, _SUBRESOURCES.get(first, ("proxy",))
