"""The judge of statuses in themselves: each contradiction is found, and what Kubernetes shows is none."""

from typing import Any

import pytest

from minikubelet.simulation.simcoherence import contradictions, misdated

RUNS = {"running": {"startedAt": "2026-01-01T00:00:05Z"}}
WAITS = {"waiting": {"reason": "ContainerCreating"}}
BACKS_OFF = {"waiting": {"reason": "CrashLoopBackOff"}}


def ended(code: int) -> dict[str, Any]:
    times = {"startedAt": "2026-01-01T00:00:05Z", "finishedAt": "2026-01-01T00:00:06Z"}
    return {"terminated": {"exitCode": code, **times}}


def box(
    name: str, state: Any, *, ready: bool = False, started: bool = False, last: Any = None, made: bool = True
) -> dict[str, Any]:
    shown = {"name": name, "state": state, "ready": ready, "started": started, "lastState": last or {}}
    return shown | ({"containerID": f"simulated://{name}"} if made else {})


def status(phase: str, *mains: Any, inits: Any = (), ready: bool = False, **changed: Any) -> dict[str, Any]:
    conditions = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    given = conditions | changed
    return {
        "phase": phase,
        "containerStatuses": list(mains),
        "initContainerStatuses": list(inits),
        "conditions": [{"type": kind, "status": str(holds)} for kind, holds in given.items()],
    }


A = {"containers": [{"name": "a"}]}
SETUP = {"containers": [{"name": "a"}], "initContainers": [{"name": "setup"}]}
PROXY = {"containers": [{"name": "a"}], "initContainers": [{"name": "proxy", "restartPolicy": "Always"}]}
READY_A = box("a", RUNS, ready=True, started=True)
NEW_A = box("a", WAITS, made=False)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (A, status("Pending", NEW_A)),
        (A, status("Running", READY_A, ready=True)),
        (A, status("Running", box("a", BACKS_OFF, last=ended(1)))),
        (A, status("Succeeded", box("a", ended(0)))),
        (A, status("Failed", box("a", ended(1)))),
        (A, {"phase": "Failed", "reason": "OutOfcpu"}),
        (A, {**status("Failed", box("a", ended(0))), "reason": "DeadlineExceeded"}),
        (SETUP, status("Pending", NEW_A, inits=[box("setup", RUNS)], Initialized=False)),
        (SETUP, status("Running", READY_A, inits=[box("setup", ended(0), ready=True)], ready=True)),
        (PROXY, status("Running", READY_A, inits=[box("proxy", RUNS, ready=True, started=True)], ready=True)),
        (
            {**A, "readinessGates": [{"conditionType": "x"}]},
            status("Running", READY_A, ready=False, ContainersReady=True),
        ),
    ],
)
def test_what_kubernetes_shows_is_no_contradiction(spec: Any, told: Any) -> None:
    assert [*contradictions(spec, told), *misdated(told)] == []


@pytest.mark.parametrize(
    ("spec", "told", "wrong"),
    [
        (A, status("Running", READY_A, box("b", RUNS), ready=True), "tells of containers ['a', 'b']"),
        (A, status("Succeeded", READY_A), "its containers have not"),
        (A, status("Succeeded", box("a", ended(1))), "its containers have not"),
        (A, status("Running", NEW_A), "['a'] have not begun"),
        (A, status("Pending", READY_A, ready=True), "each of its containers has begun"),
        (A, status("Unknown", READY_A, ready=True), "no phase Unknown"),
        (A, status("Running", READY_A), "ContainersReady is False"),
        (A, status("Running", READY_A, ready=True, Ready=False), "Ready is False"),
        (A, status("Pending", box("a", WAITS, ready=True), ready=True), "a is ready and does not run"),
        (A, status("Running", box("a", RUNS, ready=True), ready=True), "has not started"),
        (A, status("Running", READY_A, ready=True, PodScheduled=False), "not told to be scheduled"),
        (A, status("Running", READY_A, ready=True, Initialized=False), "a main container has begun"),
        (SETUP, status("Pending", NEW_A, inits=[box("setup", RUNS)]), "['setup'] are not done"),
        (PROXY, status("Pending", NEW_A, inits=[box("proxy", RUNS)]), "['proxy'] are not done"),
        (A, status("Running", box("a", RUNS | ended(0))), "at once"),
        (A, status("Pending", box("a", BACKS_OFF)), "its last end is not told"),
    ],
)
def test_a_contradiction_is_found(spec: Any, told: Any, wrong: str) -> None:
    assert any(wrong in found for found in contradictions(spec, told)), list(contradictions(spec, told))


def test_an_end_before_its_beginning_is_found() -> None:
    state = ended(0)
    state["terminated"]["finishedAt"] = "2026-01-01T00:00:04Z"
    assert list(misdated(status("Running", box("a", RUNS, last=state)))) == [
        "a ended at 2026-01-01T00:00:04Z, before it began"
    ]
