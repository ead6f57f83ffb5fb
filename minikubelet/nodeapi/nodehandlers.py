"""The endpoints of the node API that are read: pods, logs, usage, metrics, configuration.

Belongs here: one handler per endpoint over what the agent handed in. May not be here: authentication
(`nodeserver`), streams into containers (`nodestreaming`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from minikubelet.model.status import rfc3339
from minikubelet.nodeapi.containerlogs import find_log, microseconds_now, read_log, read_query
from minikubelet.nodeapi.nodelookup import Lookup, NodeView, bad_request
from minikubelet.nodeapi.nodemetrics import (
    CONTENT_TYPE,
    STARTED,
    CertificateFigures,
    RequestCount,
    agent_metrics,
    resource_metrics,
)
from minikubelet.nodeapi.nodestats import Usage, summary


class Reading:
    """Handlers; `logs` is the directory of container logs, `config` the KubeletConfiguration in force."""

    def __init__(
        self,
        lookup: Lookup,
        view: NodeView,
        usage: Usage,
        *,
        node_name: str,
        logs: Path,
        config: Mapping[str, Any],
        requests: RequestCount,
        certificates: Callable[[], Sequence[CertificateFigures]],
    ) -> None:
        self._lookup = lookup
        self._view = view
        self._usage = usage
        self._node_name = node_name
        self._logs = logs
        self._config = config
        self._requests = requests
        self._certificates = certificates

    async def healthz(self, _: web.Request) -> web.Response:
        """`ok` as long as the event loop turns."""
        return web.Response(text="ok")

    async def pods(self, _: web.Request) -> web.Response:
        """All pods that the agent knows, with their statuses."""
        return json_response(self._view.pods())

    async def running_pods(self, _: web.Request) -> web.Response:
        """The pods of which a container runs, in short."""
        pods = self._view.pods()
        return json_response({**pods, "items": [pod for pod in pods["items"] if _runs(pod)]})

    async def configz(self, _: web.Request) -> web.Response:
        """The configuration in force, defaults included."""
        return json_response({"kubeletconfig": self._config})

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """`/containerLogs/{ns}/{pod}/{container}`, as text bit by bit."""
        names = request.match_info
        container = names["container"]
        try:
            query = read_query(request.query, microseconds_now)
        except ValueError as error:
            raise bad_request(str(error)) from None
        pod = self._lookup.with_container(names["namespace"], names["pod"], container)
        metadata = pod["metadata"]
        # These are the agent's own names now, found to be equal to those of the path.
        directory = self._logs / f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}" / container
        path = find_log(directory, previous=query.previous)
        if path is None:
            raise bad_request(_no_log(pod, container, previous=query.previous))
        attempt = int(path.stem)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        try:
            async for piece in read_log(
                path, query, lambda: self._lookup.log_is_over(pod, container, attempt)
            ):
                await response.write(piece)
            await response.write_eof()
        except ConnectionError:
            return response  # the client has seen enough
        return response

    async def stats(self, _: web.Request) -> web.Response:
        """`/stats/summary`."""
        started = rfc3339(int(STARTED * 1_000_000))
        return json_response(summary(await self._usage.sample(), self._node_name, started))

    async def metrics(self, _: web.Request) -> web.Response:
        """`/metrics`."""
        pods, status = self._view.pods(), self._view.status()
        certificates = await asyncio.to_thread(self._certificates)  # which are read from their files
        text = agent_metrics(pods, status, self._node_name, self._requests, certificates)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def resource_metrics(self, _: web.Request) -> web.Response:
        """`/metrics/resource`."""
        text = resource_metrics(await self._usage.sample())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


_KINDS: Final = ("initContainer", "container", "ephemeralContainer")
_WAITING: Final = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


def json_response(body: object, code: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=msgspec.json.encode(body), status=code, content_type="application/json")


def _runs(pod: Mapping[str, Any]) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any("running" in (each.get("state") or {}) for each in statuses)


def _no_log(pod: Mapping[str, Any], container: str, *, previous: bool) -> str:
    """Why there is nothing to read, in upstream's words; they are shown by `kubectl logs`."""
    which = f'container "{container}" in pod "{pod["metadata"]["name"]}"'
    if previous:
        return f"previous terminated {which} not found"
    status = pod.get("status") or {}
    of_kinds = (status.get(f"{kind}Statuses") or () for kind in _KINDS)
    states = [each.get("state") or {} for some in of_kinds for each in some if each["name"] == container]
    reason = (states[0].get("waiting") or {}).get("reason", "") if states else ""
    why = _WAITING.get(reason, reason)
    return f"{which} is waiting to start: {why}" if why else f"{which} has no log"
