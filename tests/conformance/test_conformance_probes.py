"""Probes with real containers: kinds, handlers, thresholds, and what an answer leads to."""

from typing import Any

import pytest

from tests.conformance.conformance_world import STAYS, Obj, Seen, fields, pod, runs

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

SERVES = f"mkdir /w; echo fine > /w/healthz; httpd -p 8080 -h /w; {STAYS}"
FAST = {"periodSeconds": 1, "timeoutSeconds": 5}
PORTS = [{"name": "web", "containerPort": 8080}]


def probed(script: str, *, always: bool = False, grace: int = 2, **probes: Obj) -> Obj:
    """A container with probes."""
    given = {kind: {**FAST, **probe} for kind, probe in probes.items()}
    policy = "Always" if always else "Never"
    return runs(
        script, main={**given, "ports": PORTS}, restartPolicy=policy, terminationGracePeriodSeconds=grace
    )


def ready(seen: Seen) -> None:
    """Wait until the pod is ready."""
    seen.until(_is_ready, "to be ready")


def _is_ready(status: Obj) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())


def restarted(seen: Seen) -> Obj:
    """Wait until the container has been started again; how the first one ended."""

    def again(status: Obj) -> Any:
        told = (status.get("containerStatuses") or [{}])[0]
        return told.get("restartCount", 0) >= 1 and told

    ended: Obj = seen.until(again, "to be restarted")["lastState"]["terminated"]
    return ended


@pod(probed(f"touch /ok; {STAYS}", livenessProbe={"exec": {"command": ["cat", "/ok"]}}, readinessProbe={
    "exec": {"command": ["cat", "/ok"]}, "initialDelaySeconds": 1,
}))  # fmt: skip
@fields("Probe.exec", "Container.readinessProbe", "Probe.initialDelaySeconds", "Probe.periodSeconds")
def test_a_container_that_answers_is_ready_and_stays(seen: Seen) -> None:
    ready(seen)
    assert seen.container()["restartCount"] == 0


@pod(probed(f"touch /ok; sleep 2; rm /ok; {STAYS}", always=True, livenessProbe={
    "exec": {"command": ["cat", "/ok"]}, "failureThreshold": 1,
}))  # fmt: skip
@fields("Container.livenessProbe", "Probe.exec", "Probe.failureThreshold")
def test_a_container_that_stops_answering_is_restarted(seen: Seen) -> None:
    assert restarted(seen)["exitCode"] in {0, 137, 143}
    assert seen.told("Unhealthy")
    assert any("will be restarted" in said for said in seen.told("Killing"))


@pod(probed(SERVES, livenessProbe={"httpGet": {"path": "/healthz", "port": 8080}}, readinessProbe={
    "httpGet": {"path": "/healthz", "port": "web", "scheme": "HTTP",
                "httpHeaders": [{"name": "X-Who", "value": "me"}]},
}))  # fmt: skip
@fields("Probe.httpGet", "HTTPGetAction.path", "HTTPGetAction.port", "HTTPGetAction.scheme",
        "HTTPGetAction.httpHeaders", "HTTPHeader.name", "HTTPHeader.value", "ContainerPort.name")  # fmt: skip
def test_a_page_that_is_served_makes_ready(seen: Seen) -> None:
    ready(seen)


@pod(probed(SERVES, always=True, livenessProbe={
    "httpGet": {"path": "/no-such", "port": 8080}, "failureThreshold": 1, "initialDelaySeconds": 1,
}))  # fmt: skip
@fields("Probe.httpGet")
def test_a_page_that_is_missing_restarts(seen: Seen) -> None:
    restarted(seen)
    assert any("HTTP probe failed with statuscode: 404" in said for said in seen.told("Unhealthy"))


@pod(
    probed(SERVES, livenessProbe={"tcpSocket": {"port": 8080}}, readinessProbe={"tcpSocket": {"port": "web"}})
)
@fields("Probe.tcpSocket", "TCPSocketAction.port")
def test_a_port_that_is_open_makes_ready(seen: Seen) -> None:
    ready(seen)


@pod(probed(STAYS, always=True, livenessProbe={"tcpSocket": {"port": 8081}, "failureThreshold": 1}))
@fields("Probe.tcpSocket")
def test_a_port_that_is_closed_restarts(seen: Seen) -> None:
    restarted(seen)


@pod(probed(STAYS, always=True, livenessProbe={"exec": {"command": ["sleep", "30"]}, "timeoutSeconds": 1,
                                               "failureThreshold": 1}))  # fmt: skip
@fields("Probe.timeoutSeconds")
def test_an_answer_that_takes_too_long_is_a_failure(seen: Seen) -> None:
    restarted(seen)
    assert any("timed out" in said for said in seen.told("Unhealthy"))


@pod(probed(f"sleep 3; touch /up; {STAYS}", always=True,
            startupProbe={"exec": {"command": ["cat", "/up"]}, "failureThreshold": 60},
            livenessProbe={"exec": {"command": ["cat", "/up"]}, "failureThreshold": 1}))  # fmt: skip
@fields("Container.startupProbe")
def test_a_slow_start_holds_back_the_liveness_probe(seen: Seen) -> None:
    seen.until(lambda s: (s.get("containerStatuses") or [{}])[0].get("started"), "to have started")
    ready(seen)
    assert seen.container()["restartCount"] == 0


@pod(probed(STAYS, always=True, startupProbe={"exec": {"command": ["false"]}, "failureThreshold": 1}))
@fields("Container.startupProbe", "Probe.failureThreshold")
def test_a_start_that_never_succeeds_is_tried_again(seen: Seen) -> None:
    restarted(seen)


@pod(probed(f"touch /ok; {STAYS}", readinessProbe={
    "exec": {"command": ["cat", "/ok"]}, "successThreshold": 2, "failureThreshold": 1,
}))  # fmt: skip
@fields("Probe.successThreshold", "Container.readinessProbe")
def test_readiness_comes_goes_and_restarts_nothing(seen: Seen) -> None:
    ready(seen)
    seen.says("rm /ok")
    seen.until(lambda status: not _is_ready(status), "not to be ready")
    seen.says("touch /ok")
    ready(seen)
    assert seen.container()["restartCount"] == 0


@pod(probed("trap '' TERM; while :; do sleep 0.1; done", always=True, grace=600, livenessProbe={
    "exec": {"command": ["false"]}, "failureThreshold": 1, "terminationGracePeriodSeconds": 1,
}))  # fmt: skip
@fields("Probe.terminationGracePeriodSeconds")
def test_a_probe_may_have_a_grace_period_of_its_own(seen: Seen) -> None:
    assert restarted(seen)["exitCode"] == 137
    seen.cluster.delete("pods", seen.name, grace=0)


@pod(probed(STAYS, readinessProbe={"exec": {"command": ["false"]}}))
def test_what_never_answers_is_never_ready_and_runs_on(running: Seen) -> None:
    assert any("Readiness probe failed" in said for said in running.cluster.agent.until(
        lambda: running.told("Unhealthy"), "the Event"))  # fmt: skip
    assert not _is_ready(running.status)
    assert running.container()["restartCount"] == 0
