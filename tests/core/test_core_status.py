"""Statuses: what Kubernetes shows of a pod at each point of its life, as a table, and when it is told."""

from typing import NamedTuple

import pytest

from minikubelet.core.commands import PublishStatus
from minikubelet.core.qos import qos_class
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.pod import Container, Pod, PodReadinessGate, ResourceRequirements
from minikubelet.model.status import ContainerState, PodStatus
from tests.core.core_world import (
    SECOND,
    World,
    container,
    running_world,
    sidecar,
    static_pod,
)


class Short(NamedTuple):
    """A status in a line."""

    phase: str
    conditions: str
    containers: str


def state(shown: ContainerState) -> str:
    if shown.running is not None:
        return "running"
    if shown.terminated is not None:
        return f"{shown.terminated.reason}({shown.terminated.exit_code})"
    return shown.waiting.reason if shown.waiting is not None else "-"


def short(status: PodStatus) -> Short:
    """Conditions that hold by their capitals, containers as state, last state, restarts and readiness."""
    held = "".join(letter for c, letter in zip(status.conditions, "SIRCP", strict=True) if c.status == "True")
    rows = [
        f"{c.name} {state(c.state)} {state(c.last_state)} {c.restart_count} {'ready' if c.ready else '-'}"
        for c in (*status.init_container_statuses, *status.container_statuses)
    ]
    return Short(status.phase, held, "; ".join(rows))


def reasons(status: PodStatus) -> dict[str, tuple[str, str]]:
    return {c.type: (c.reason, c.message) for c in status.conditions if c.reason}


def test_the_statuses_of_a_pod_from_its_start_to_its_removal() -> None:
    pod = static_pod("web", "log", init=[container("one"), sidecar("dns")])
    world = running_world(pod)
    world.exit("one", 0)
    world.run_until_idle()
    world.exit("web", 1)
    world.run_until_idle()
    world.exit("web", 2)
    world.withdraw(pod)
    world.run_until_idle()
    told = list(dict.fromkeys(short(status) for status in world.statuses()))
    new = "one PodInitializing - 0 -; dns PodInitializing - 0 -; "
    wait = "web PodInitializing - 0 -; log PodInitializing - 0 -"
    done = "one Completed(0) - 0 ready; "
    assert told == [
        Short("Pending", "P", new + wait),
        Short("Pending", "SP", new + wait),
        Short("Pending", "SP", "one running - 0 -; dns PodInitializing - 0 -; " + wait),
        Short("Pending", "SP", done + "dns PodInitializing - 0 -; " + wait),
        Short("Pending", "SIP", done + "dns running - 0 ready; " + wait),
        Short(
            "Pending",
            "SIP",
            done + "dns running - 0 ready; web running - 0 ready; log PodInitializing - 0 -",
        ),
        Short(
            "Running",
            "SIRCP",
            done + "dns running - 0 ready; web running - 0 ready; log running - 0 ready",
        ),
        Short("Running", "SIP", done + "dns running - 0 ready; web Error(1) - 0 -; log running - 0 ready"),
        Short(
            "Running",
            "SIRCP",
            done + "dns running - 0 ready; web running Error(1) 1 ready; log running - 0 ready",
        ),
        Short(
            "Running",
            "SIP",
            done + "dns running - 0 ready; web CrashLoopBackOff Error(2) 1 -; log running - 0 ready",
        ),
        Short(
            "Running",
            "SIP",
            done + "dns running - 0 ready; web Error(2) Error(1) 1 -; log running - 0 ready",
        ),
        Short(
            "Running",
            "SIP",
            done + "dns running - 0 ready; web Error(2) Error(1) 1 -; log Error(143) - 0 -",
        ),
        Short(
            "Failed",
            "SIP",
            done + "dns Error(143) - 0 -; web Error(2) Error(1) 1 -; log Error(143) - 0 -",
        ),
        Short("Failed", "IP", done + "dns Error(143) - 0 -; web Error(2) Error(1) 1 -; log Error(143) - 0 -"),
    ]


def test_a_status_in_full() -> None:
    world = running_world(static_pod(container(image="busybox:1")))
    status = world.status()
    assert (status.host_ip, status.pod_ip) == ("192.0.2.1", "10.0.0.1")
    assert [ip.ip for ip in status.host_ips] == ["192.0.2.1"]
    assert [ip.ip for ip in status.pod_ips] == ["10.0.0.1"]
    assert status.start_time == "2023-11-14T22:13:20Z"
    assert status.qos_class == "BestEffort"
    (shown,) = status.container_statuses
    assert (shown.image, shown.image_id) == ("busybox:1", "sha256:web")
    assert shown.container_id == "model://c2"
    assert shown.started is True
    assert shown.state.running is not None
    assert shown.state.running.started_at == "2023-11-14T22:13:20Z"


def test_an_end_in_full() -> None:
    world = running_world()
    world.now += 5 * SECOND
    world.exit("web", 137, reason="OOMKilled", message="too much")
    ended = world.shown().state.terminated
    assert ended is not None
    assert (ended.exit_code, ended.reason, ended.message) == (137, "OOMKilled", "too much")
    assert (ended.started_at, ended.finished_at) == ("2023-11-14T22:13:20Z", "2023-11-14T22:13:25Z")
    assert ended.container_id == "model://c2"


def test_a_pod_in_the_hosts_network_has_the_hosts_addresses() -> None:
    assert running_world(static_pod(host_network=True)).status().pod_ip == "192.0.2.1"


def test_reasons_and_messages_of_conditions() -> None:
    world = running_world(static_pod("web", "log", init=[container("one"), sidecar("dns")]))
    unready = ("ContainersNotReady", "containers with unready status: [dns web log]")
    assert reasons(world.status()) == {
        "Initialized": ("ContainersNotInitialized", "containers with incomplete status: [one dns]"),
        "Ready": unready,
        "ContainersReady": unready,
    }
    world.exit("one", 0)
    world.run_until_idle()
    assert reasons(world.status()) == {}


@pytest.mark.parametrize(("code", "reason"), [(0, "PodCompleted"), (1, "PodFailed")])
def test_conditions_of_a_finished_pod(code: int, reason: str) -> None:
    world = running_world(static_pod(restart_policy="Never"))
    world.exit("web", code)
    world.run_until_idle()
    told = reasons(world.status())
    assert told["Ready"] == told["ContainersReady"] == (reason, "")
    assert told.get("Initialized", ("", ""))[0] == ("PodCompleted" if code == 0 else "")


def test_a_readiness_gate_that_nobody_sets_keeps_a_pod_unready() -> None:
    world = running_world(static_pod(readiness_gates=(PodReadinessGate(condition_type="example.com/lb"),)))
    message = 'corresponding condition of pod readiness gate "example.com/lb" does not exist.'
    assert reasons(world.status()) == {"Ready": ("ReadinessGatesNotReady", message)}


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    world = running_world()
    ready = {c.type: c.last_transition_time for c in world.status().conditions}
    world.now += 60 * SECOND
    world.exit("web", 1)
    later = {c.type: c.last_transition_time for c in world.status().conditions}
    changed = {kind for kind in later if later[kind] != ready[kind]}
    assert changed == {"Ready", "ContainersReady"}
    world.restart_agent()
    assert {c.type: c.last_transition_time for c in world.status().conditions}["Initialized"] == (
        ready["Initialized"]
    )


def test_a_pod_is_pending_until_every_container_has_begun_once() -> None:
    world = World()
    world.runtime.fail("log", "ErrImagePull", times=99)
    world.offer(static_pod("web", "log"))
    world.run_until_idle()
    assert world.status().phase == "Pending"
    world.exit("web", 1)
    world.run_until_idle()
    assert world.status().phase == "Pending"


def test_a_pod_stays_running_while_its_sandbox_is_made_anew() -> None:
    world = running_world(static_pod("web", init=[container("one")]))
    world.exit("one", 0)
    world.run_until_idle()
    before = len(world.statuses())
    world.lose_sandbox()
    world.run_until_idle()
    assert {s.phase for s in world.statuses()[before:]} == {"Running"}


def test_a_finished_init_container_does_not_wait_to_run_again() -> None:
    world = running_world(static_pod("web", init=[container("one")]))
    world.exit("one", 1)
    world.run_until_idle()
    world.exit("one", 1)
    assert state(world.shown("one").state) == "CrashLoopBackOff"
    world.advance(10)
    world.exit("one", 0)
    world.run_until_idle()
    assert state(world.shown("one").state) == "Completed(0)"
    assert state(world.shown("one").last_state) == "Error(1)"


def test_under_on_failure_a_container_that_succeeded_does_not_wait_to_run_again() -> None:
    world = running_world(static_pod("web", "job", restart_policy="OnFailure"))
    world.exit("job", 1)
    world.run_until_idle()
    world.exit("job", 0)
    assert state(world.shown("job").state) == "Completed(0)"


def test_a_sidecar_in_back_off_says_so_whatever_the_policy() -> None:
    world = running_world(static_pod("web", init=[sidecar("dns")], restart_policy="Never"))
    world.exit("dns", 0)
    world.run_until_idle()
    world.exit("dns", 0)
    assert state(world.shown("dns").state) == "CrashLoopBackOff"


def test_a_pod_deleted_before_it_ran_has_failed_and_so_have_its_containers() -> None:
    world = World(Source.API, api=True)
    world.runtime.fail("web", "ErrImagePull", times=9)
    world.offer(static_pod(), Source.API)
    world.run_until_idle()
    world.delete(static_pod(), 30)
    world.run_until_idle()
    assert world.status().phase == "Failed"
    assert state(world.shown().state) == "ContainerStatusUnknown(137)"


def test_an_unchanged_status_is_not_told_again() -> None:
    world = running_world()
    before = len(world.statuses())
    world.now += 60 * SECOND
    world.observe()
    assert len(world.statuses()) == before


def test_every_status_is_told_again_after_a_restart() -> None:
    world = running_world()
    before = world.status()
    count = len(world.statuses())
    world.restart_agent()
    assert world.statuses()[count:] == [before]


def test_statuses_are_told_without_an_api_server_too() -> None:
    world = running_world()
    assert world.all(PublishStatus)[-1].uid == PodUid("a")


# ── QoS ──


def needs(**amounts: str) -> Container:
    limits = {name.removeprefix("max_"): v for name, v in amounts.items() if name.startswith("max_")}
    requests = {name: v for name, v in amounts.items() if not name.startswith("max_")}
    return container(resources=ResourceRequirements(limits=limits, requests=requests))


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (static_pod(), "BestEffort"),
        (static_pod(needs(cpu="0", memory="0Mi")), "BestEffort"),
        (static_pod(needs(cpu="nonsense")), "BestEffort"),
        (static_pod(needs(cpu="1")), "Burstable"),
        (static_pod(needs(max_cpu="1")), "Burstable"),
        (static_pod(needs(max_cpu="1", max_memory="1Gi")), "Guaranteed"),
        (static_pod(needs(max_cpu="1", max_memory="1Gi", cpu="1000m", memory="1024Mi")), "Guaranteed"),
        (static_pod(needs(max_cpu="1", max_memory="1Gi", cpu="500m")), "Burstable"),
        (static_pod(needs(max_cpu="1", max_memory="1Gi"), "log"), "Burstable"),
        (static_pod(needs(max_cpu="1", max_memory="1Gi"), init=[container("one")]), "Burstable"),
    ],
)
def test_qos_class(pod: Pod, expected: str) -> None:
    assert qos_class(pod) == expected
