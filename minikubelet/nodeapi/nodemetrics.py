"""Metrics of the node in Prometheus' text format, under upstream's names where they mean the same.

Belongs here: counters of requests, the exposition format, which values are told. May not be here: where
usage comes from (`nodestats`). Format: prometheus.io, exposition formats 0.0.4.
"""

from __future__ import annotations

import math
import os
import resource
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import minikubelet
from minikubelet.model.status import from_rfc3339
from minikubelet.nodeapi.nodelookup import running_containers
from minikubelet.nodeapi.nodestats import Sample

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
STARTED: Final = time.time()

Series = tuple[Mapping[str, str], float]


class RequestCount:
    """How many requests came, by method, first part of the path, and answer; and how many are under way."""

    def __init__(self) -> None:
        self.under_way = 0
        self._done: Counter[tuple[str, str, int]] = Counter()

    def done(self, method: str, path: str, code: int) -> None:
        """Count one; `path` is the route's own, so that callers cannot make series up."""
        self._done[method, path, code] += 1

    def series(self) -> list[Series]:
        """All counts."""
        return [
            ({"method": method, "path": path, "server_type": "readwrite", "code": str(code)}, float(count))
            for (method, path, code), count in sorted(self._done.items())
        ]


class CertificateFigures(NamedTuple):
    """One that the agent keeps fresh: whether it is the `client` or the `server` that shows it, the seconds
    until it is over, and how often the next one could not be had.
    """

    use: str
    ttl: float
    errors: int


class Exposition:
    """Collects metrics and spells them."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, kind: str, what: str, series: Iterable[Series]) -> None:
        """One metric; `kind` is gauge or counter."""
        self._lines += [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]
        for labels, value in series:
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            self._lines.append(f"{name}{{{inner}}} {_number(value)}" if inner else f"{name} {_number(value)}")

    def text(self) -> str:
        """The whole."""
        return "\n".join(self._lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if value == math.inf:
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)


def agent_metrics(
    pods: Mapping[str, Any],
    status: Mapping[str, Any],
    node_name: str,
    requests: RequestCount,
    certificates: Iterable[CertificateFigures] = (),
) -> str:
    """`/metrics`: the agent itself."""
    items = pods["items"]
    running = [each for pod in items for each in running_containers(pod)]
    out = Exposition()
    out.add(
        "kubernetes_build_info",
        "gauge",
        "A metric with a constant '1' value labeled by version.",
        [({"git_version": f"v{minikubelet.__version__}", "platform": f"linux/{os.uname().machine}"}, 1)],
    )
    out.add(
        "kubelet_node_name", "gauge", "The node's name. The count is always 1.", [({"node": node_name}, 1)]
    )
    phases = Counter(str((pod.get("status") or {}).get("phase") or "Unknown") for pod in items)
    out.add("kubelet_running_pods", "gauge", "Number of running pods.", [({}, phases["Running"])])
    out.add(
        "kubelet_running_containers",
        "gauge",
        "Number of running containers.",
        [({"container_state": "running"}, len(running))],
    )
    by_phase: list[Series] = [({"phase": phase}, count) for phase, count in sorted(phases.items())]
    out.add("minikubelet_pods", "gauge", "Pods that the agent knows, by phase.", by_phase)
    out.add("minikubelet_journal_seq", "counter", "Number of the last event.", [({}, status.get("seq", 0))])
    healthy = float(bool(status.get("ok")))
    out.add("minikubelet_healthy", "gauge", "1 while nothing needs a person.", [({}, healthy)])
    out.add("kubelet_http_requests_total", "counter", "Number of HTTP requests.", requests.series())
    out.add(
        "kubelet_http_inflight_requests", "gauge", "Requests being served now.", [({}, requests.under_way)]
    )
    for each in certificates:
        _certificate(out, each)
    _process(out)
    return out.text()


_RENEW_ERRORS: Final = {
    "client": "kubelet_certificate_manager_client_expiration_renew_errors",
    "server": "kubelet_server_expiration_renew_errors",
}


def _certificate(out: Exposition, figures: CertificateFigures) -> None:
    what = f"Seconds until the {figures.use} certificate expires, negative if it has, +Inf without one."
    out.add(f"kubelet_certificate_manager_{figures.use}_ttl_seconds", "gauge", what, [({}, figures.ttl)])
    what = f"Counter of renewals of the {figures.use} certificate that failed."
    out.add(_RENEW_ERRORS[figures.use], "counter", what, [({}, figures.errors)])


def _process(out: Exposition) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a pathlib object per descriptor is of no use
    out.add(
        "process_cpu_seconds_total", "counter", "CPU time in seconds.", [({}, used.ru_utime + used.ru_stime)]
    )
    out.add("process_resident_memory_bytes", "gauge", "Resident memory in bytes.", [({}, memory)])
    out.add("process_open_fds", "gauge", "Open file descriptors.", [({}, files)])
    out.add("process_start_time_seconds", "gauge", "Start of the process, since the epoch.", [({}, STARTED)])


def resource_metrics(sample: Sample) -> str:
    """`/metrics/resource`: what metrics-server reads."""
    out = Exposition()
    containers, node = sample.containers, sample.node
    per_container = [
        ({"container": each.name, "namespace": each.namespace, "pod": each.pod}, each) for each in containers
    ]
    pods: dict[tuple[str, str], tuple[float, float]] = {}
    for each in containers:
        cpu, memory = pods.get((each.namespace, each.pod), (0.0, 0.0))
        pods[each.namespace, each.pod] = (cpu + each.cpu / 1e9, memory + each.memory)
    per_pod = [({"namespace": key[0], "pod": key[1]}, both) for key, both in pods.items()]
    cpu_text, memory_text = (
        "Cumulative cpu time of the {} in core-seconds",
        "Current working set of the {} in bytes",
    )
    out.add("node_cpu_usage_seconds_total", "counter", cpu_text.format("node"), [({}, node.cpu / 1e9)])
    out.add("node_memory_working_set_bytes", "gauge", memory_text.format("node"), [({}, node.memory)])
    out.add(
        "container_cpu_usage_seconds_total",
        "counter",
        cpu_text.format("container"),
        [(labels, each.cpu / 1e9) for labels, each in per_container],
    )
    out.add(
        "container_memory_working_set_bytes",
        "gauge",
        memory_text.format("container"),
        [(labels, each.memory) for labels, each in per_container],
    )
    out.add(
        "container_start_time_seconds",
        "gauge",
        "Start time of the container since the epoch in seconds",
        [(labels, from_rfc3339(each.started) / 1e6) for labels, each in per_container if each.started],
    )
    out.add(
        "pod_cpu_usage_seconds_total",
        "counter",
        cpu_text.format("pod"),
        [(labels, both[0]) for labels, both in per_pod],
    )
    out.add(
        "pod_memory_working_set_bytes",
        "gauge",
        memory_text.format("pod"),
        [(labels, both[1]) for labels, both in per_pod],
    )
    out.add(
        "resource_scrape_error",
        "gauge",
        "1 if there was an error while getting metrics",
        [({}, sample.failed)],
    )
    return out.text()
