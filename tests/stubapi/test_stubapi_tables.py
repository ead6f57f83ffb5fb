"""Tables: the STATUS, READY and RESTARTS of upstream's printer, ages, and every resource's columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.stubapi.stubresources import EVENTS, LEASES, NAMESPACES, NODES, PODS, RESOURCES
from minikubelet.stubapi.stubtables import make_table
from minikubelet.wire.podcells import human_duration, pod_cells

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUNNING: dict[str, Any] = {"running": {}}
EARLIER = (NOW - timedelta(minutes=5)).isoformat()


def _status(name: str, state: dict[str, Any], *, ready: bool = False, **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "ready": ready, **more}


def _pod(
    main: list[dict[str, Any]],
    init: list[dict[str, Any]] | None = None,
    *,
    phase: str = "Running",
    sidecars: tuple[str, ...] = (),
    meta: dict[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    inits = [
        {"name": s["name"], **({"restartPolicy": "Always"} if s["name"] in sidecars else {})}
        for s in init or []
    ]
    return {
        "metadata": {"name": "p", "creationTimestamp": EARLIER, **(meta or {})},
        "spec": {"containers": [{"name": s["name"]} for s in main], "initContainers": inits},
        "status": {
            "phase": phase,
            "containerStatuses": main,
            "initContainerStatuses": init or [],
            **status,
        },
    }


WAITING = {"waiting": {"reason": "PodInitializing"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}
READY = [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True"}]


@pytest.mark.parametrize(
    ("pod", "ready", "status", "restarts"),
    [
        (_pod([_status("a", RUNNING, ready=True)]), "1/1", "Running", "0"),
        (_pod([_status("a", {"waiting": {"reason": "CrashLoopBackOff"}})]), "0/1", "CrashLoopBackOff", "0"),
        (
            _pod(
                [
                    _status(
                        "a",
                        RUNNING,
                        ready=True,
                        restartCount=3,
                        lastState={"terminated": {"finishedAt": EARLIER}},
                    )
                ]
            ),
            "1/1",
            "Running",
            "3 (5m ago)",
        ),
        (_pod([_status("a", DONE)], phase="Succeeded"), "0/1", "Completed", "0"),
        (_pod([_status("a", {"terminated": {"exitCode": 3}})], phase="Failed"), "0/1", "ExitCode:3", "0"),
        (_pod([_status("a", {"terminated": {"signal": 9}})], phase="Failed"), "0/1", "Signal:9", "0"),
        (
            _pod([_status("a", DONE), _status("b", RUNNING, ready=True)], conditions=READY),
            "1/2",
            "Running",
            "0",
        ),
        (_pod([_status("a", DONE), _status("b", RUNNING, ready=True)]), "1/2", "NotReady", "0"),
        (
            _pod([_status("a", WAITING)], [_status("i", DONE), _status("j", RUNNING)], phase="Pending"),
            "0/1",
            "Init:1/2",
            "0",
        ),
        (
            _pod([_status("a", WAITING)], [_status("i", {"terminated": {"exitCode": 1}}, restartCount=2)]),
            "0/1",
            "Init:ExitCode:1",
            "2",
        ),
        (
            _pod([_status("a", WAITING)], [_status("i", {"waiting": {"reason": "CrashLoopBackOff"}})]),
            "0/1",
            "Init:CrashLoopBackOff",
            "0",
        ),
        (
            _pod([_status("a", WAITING)], [_status("i", {"terminated": {"exitCode": 1, "reason": "Error"}})]),
            "0/1",
            "Init:Error",
            "0",
        ),
        (
            _pod(
                [_status("a", RUNNING, ready=True)],
                [_status("s", RUNNING, ready=True, started=True, restartCount=1)],
                sidecars=("s",),
            ),
            "2/2",
            "Running",
            "1",
        ),
        (
            _pod([_status("a", RUNNING, ready=True)], meta={"deletionTimestamp": EARLIER}),
            "1/1",
            "Terminating",
            "0",
        ),
        (
            _pod([_status("a", RUNNING)], meta={"deletionTimestamp": EARLIER}, reason="NodeLost"),
            "0/1",
            "Unknown",
            "0",
        ),
        (_pod([], phase="Failed", reason="Evicted"), "0/0", "Evicted", "0"),
        (_pod([], phase="Pending"), "0/0", "Pending", "0"),
    ],
)
def test_a_pods_cells_are_upstreams(pod: dict[str, Any], ready: str, status: str, restarts: str) -> None:
    cells = pod_cells(pod, NOW)
    assert (cells.ready, cells.status, cells.restarts) == (ready, status, restarts)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (9 * 3600, "9h"),
        (50 * 3600, "2d2h"),
        (48 * 3600, "2d"),
        (10 * 86400, "10d"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_spans_read_as_kubectls(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text


@given(st.integers(0, 10**10))
def test_every_span_has_one_or_two_parts(seconds: int) -> None:
    assert 1 <= sum(letter.isalpha() for letter in human_duration(seconds)) <= 2


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_resource_has_as_many_cells_as_columns(resource: Any) -> None:
    bare = {"metadata": {"name": "x", "creationTimestamp": EARLIER}}
    table = make_table(resource, [bare], {"resourceVersion": "1"}, NOW)
    columns = table["columnDefinitions"]
    row = table["rows"][0]
    assert len(row["cells"]) == len(columns)
    for column, cell in zip(columns, row["cells"], strict=True):
        assert isinstance(cell, int if column["type"] == "integer" else str), column
    assert row["object"]["kind"] == "PartialObjectMetadata"


def _cells(resource: Any, obj: dict[str, Any]) -> list[Any]:
    cells: list[Any] = make_table(resource, [obj], {}, NOW)["rows"][0]["cells"]
    return cells


def test_cells_of_nodes_namespaces_leases_and_events() -> None:
    meta = {"name": "x", "creationTimestamp": EARLIER, "labels": {"node-role.kubernetes.io/worker": ""}}
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1"},
    }
    node = {"metadata": meta, "spec": {"unschedulable": True}, "status": status}
    assert _cells(NODES, node)[:6] == ["x", "Ready,SchedulingDisabled", "worker", "5m", "v1", "10.0.0.1"]
    assert _cells(NAMESPACES, {"metadata": meta, "status": {"phase": "Active"}}) == ["x", "Active", "5m"]
    assert _cells(LEASES, {"metadata": meta, "spec": {"holderIdentity": "n"}}) == ["x", "n", "5m"]
    event = {
        "metadata": meta,
        "type": "Normal",
        "reason": "Started",
        "message": "Started it\n",
        "involvedObject": {"kind": "Pod", "name": "p"},
        "lastTimestamp": EARLIER,
        "count": 4,
    }
    cells = _cells(EVENTS, event)
    assert cells[:4] == ["5m", "Normal", "Started", "pod/p"]
    assert (cells[6], cells[8]) == ("Started it", 4)


def test_include_object_decides_what_a_row_carries() -> None:
    pod = _pod([])
    assert "object" not in make_table(PODS, [pod], {}, NOW, "None")["rows"][0]
    assert make_table(PODS, [pod], {}, NOW, "Object")["rows"][0]["object"] == pod
