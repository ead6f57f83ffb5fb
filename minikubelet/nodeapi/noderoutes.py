"""Every route of the node API, and what the whole is made from.

Belongs here: paths, and which handler answers each. May not be here: who is let in (`nodeserver`), answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import hdrs, web

from minikubelet.model.settings import KubeletSettings
from minikubelet.nodeapi.nodeconfigz import configuration
from minikubelet.nodeapi.nodeguard import Guard
from minikubelet.nodeapi.nodehandlers import Reading
from minikubelet.nodeapi.nodeinsight import NodeInsight, Telling
from minikubelet.nodeapi.nodelookup import Lookup, NodeView
from minikubelet.nodeapi.nodemetrics import CertificateFigures
from minikubelet.nodeapi.nodestats import Usage
from minikubelet.nodeapi.nodestreaming import Streaming
from minikubelet.ports.runtimeport import Runtime
from minikubelet.ports.streamport import StreamRuntime

_BODY_MAX: Final = 64 * 1024


class NodeApiSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What the node API is made from.

    `directory` holds the serving certificate (0700) unless `issued` is one with its key, `logs` the container
    logs. `port` None takes the
    settings' own; 0 takes a free one. With `any_port`, a port that is busy is no reason not to start.
    `certificates` are those that the agent keeps fresh.
    """

    node_name: str
    node_ips: Sequence[str]
    directory: Path
    logs: Path
    issued: Path | None = None
    kubelet: KubeletSettings
    port: int | None = None
    any_port: bool = False
    certificates: Callable[[], Sequence[CertificateFigures]] = tuple


def node_routes(
    setup: NodeApiSetup,
    view: NodeView,
    runtime: Runtime,
    streams: StreamRuntime | None,
    *,
    guard: Guard,
    insight: NodeInsight,
) -> web.Application:
    """The application, every request of which passes the guard first."""
    lookup = Lookup(view, runtime)
    reading = Reading(
        lookup,
        view,
        Usage(view, runtime),
        node_name=setup.node_name,
        logs=setup.logs,
        config=configuration(setup.kubelet),
        requests=guard.requests,
        certificates=setup.certificates,
    )
    telling = Telling(insight)
    idle = setup.kubelet.streaming_connection_idle_timeout
    streaming = Streaming(lookup, runtime, streams, idle_seconds=idle)
    app = web.Application(middlewares=[guard.__call__], client_max_size=_BODY_MAX)
    for path, handler in (
        ("/healthz", reading.healthz),
        ("/pods", reading.pods),
        ("/pods/", reading.pods),
        ("/runningpods", reading.running_pods),
        ("/runningpods/", reading.running_pods),
        ("/configz", reading.configz),
        ("/containerLogs/{namespace}/{pod}/{container}", reading.logs),
        ("/stats/summary", reading.stats),
        ("/metrics", reading.metrics),
        ("/metrics/resource", reading.resource_metrics),
        ("/metrics/probes", telling.probe_metrics),
        ("/manifests", telling.manifests),
        ("/journal", telling.journal),
        ("/why", telling.why),
    ):
        app.router.add_get(path, handler)
    named, with_uid = "{namespace}/{pod}", "{namespace}/{pod}/{uid}"
    for pod in (named, with_uid):
        app.router.add_post(f"/run/{pod}/{{container}}", streaming.run)
        for method in (hdrs.METH_GET, hdrs.METH_POST):
            app.router.add_route(method, f"/exec/{pod}/{{container}}", streaming.exec)
            app.router.add_route(method, f"/attach/{pod}/{{container}}", streaming.attach)
            app.router.add_route(method, f"/portForward/{pod}", streaming.port_forward)
    return app
