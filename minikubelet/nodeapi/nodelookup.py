"""From the names in a request's path to a pod of this node, its containers, and their ids in the runtime.

Belongs here: finding, and saying that there is none. Names are compared with what the agent knows, never
put into a path before. May not be here: HTTP beyond a code.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Protocol

from minikubelet.model.ids import PodUid
from minikubelet.model.observed import ContainerPhase, ObservedPod
from minikubelet.ports.apiport import JsonObject
from minikubelet.ports.runtimeport import Runtime

_LISTS = ("initContainers", "containers", "ephemeralContainers")
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


class NodeView(Protocol):
    """What the agent shows of itself, as JSON-able values."""

    def pods(self) -> dict[str, Any]:
        """A v1 PodList of all pods that the agent knows, with their statuses."""

    def named(self, namespace: str, name: str) -> Sequence[dict[str, Any]]:
        """The pods of that name, the newest first: one that is ending may still be there."""

    def status(self) -> dict[str, Any]:
        """How the agent is: `journal`, `seq`, `ok`, `problems` …"""


class NodeRefusal(Exception):
    """A request that ends with a `Status`."""

    def __init__(self, code: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message

    def status(self) -> JsonObject:
        """The `Status` object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": int(self.code),
        }


def not_found(message: str) -> NodeRefusal:
    """404."""
    return NodeRefusal(HTTPStatus.NOT_FOUND, "NotFound", message)


def bad_request(message: str) -> NodeRefusal:
    """400."""
    return NodeRefusal(HTTPStatus.BAD_REQUEST, "BadRequest", message)


class Lookup:
    """Finds; every method raises NodeRefusal, those that ask the runtime RuntimeFault too."""

    def __init__(self, view: NodeView, runtime: Runtime) -> None:
        self._view = view
        self._runtime = runtime

    def pods(self, namespace: str, name: str, uid: str = "") -> Sequence[dict[str, Any]]:
        """The pods of that name (and uid), the newest first; at least one."""
        found = [pod for pod in self._view.named(namespace, name) if uid in ("", pod["metadata"].get("uid"))]
        if not found:
            raise not_found(f'pod "{namespace}/{name}" is not on this node')
        return found

    def with_container(self, namespace: str, name: str, container: str) -> dict[str, Any]:
        """The newest pod of that name that has such a container."""
        for pod in self.pods(namespace, name):
            if container in container_names(pod):
                return pod
        raise not_found(f'container "{container}" is not in pod "{namespace}/{name}"')

    async def running(self, namespace: str, name: str, container: str, uid: str = "") -> str:
        """The id of the container's running instance."""
        self.with_container(namespace, name, container)
        for pod in self.pods(namespace, name, uid):
            for observed in await self._observed(pod):
                for instance in observed.containers:
                    if instance.name == container and instance.phase is ContainerPhase.RUNNING:
                        return instance.id
        raise not_found(f'container "{container}" of pod "{namespace}/{name}" is not running')

    async def sandbox(self, namespace: str, name: str, uid: str = "") -> str:
        """The id of the pod's sandbox."""
        for pod in self.pods(namespace, name, uid):
            for observed in await self._observed(pod):
                for sandbox in observed.sandboxes:
                    if sandbox.ready:
                        return sandbox.id
        raise not_found(f'pod "{namespace}/{name}" has no sandbox that is up')

    def log_is_over(self, pod: dict[str, Any], container: str, attempt: int) -> bool:
        """Whether that instance of a container will log no more; in doubt it may."""
        metadata = pod["metadata"]
        now = [each for each in self._view.named(metadata["namespace"], metadata["name"]) if _same(each, pod)]
        if not now:
            return True
        for shown in _statuses(now[0]):
            if shown.get("name") == container:
                restarts = shown.get("restartCount", 0)
                state, last = shown.get("state") or {}, shown.get("lastState") or {}
                ended = "terminated" in state or "terminated" in last
                return restarts > attempt or (restarts == attempt and "running" not in state and ended)
        return False

    async def _observed(self, pod: dict[str, Any]) -> Sequence[ObservedPod]:
        uid = PodUid(str(pod["metadata"].get("uid", "")))
        return [each for each in await self._runtime.list_pods(uid) if each.uid == uid]


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["metadata"].get("uid") == other["metadata"].get("uid"))


def container_names(pod: dict[str, Any]) -> list[str]:
    """The names of all containers of a pod."""
    spec = pod.get("spec") or {}
    return [str(each.get("name")) for key in _LISTS for each in spec.get(key) or ()]


def _statuses(pod: dict[str, Any]) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    return [each for key in _STATUSES for each in status.get(key) or ()]


def running_containers(pod: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, id without its scheme, and start time of the containers whose status says that they run."""
    found = []
    for shown in _statuses(pod):
        running = (shown.get("state") or {}).get("running")
        container_id = str(shown.get("containerID", "")).partition("://")[2]
        if running is not None and container_id:
            found.append((str(shown["name"]), container_id, str(running.get("startedAt", ""))))
    return found
