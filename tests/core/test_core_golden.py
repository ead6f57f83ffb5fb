"""The golden table: a definition and what the runtime shows of it, and the status that Kubernetes documents.

After kubernetes.io/docs/concepts/workloads/pods: pod-lifecycle, init-containers and sidecar-containers. A row
reads: what is wanted, what is seen, what is shown. Seen is `name=instance,instance` with the oldest first, an
instance being `running` or an exit code with its reason. Shown are phase, the conditions that hold by their
letters (Sandbox ready to start containers, Initialized, Ready, Containers ready, Placed on a node), and each
container as `name:state`, after `<` how it ended before, after `#` its restarts, and `!` where it is ready.
"""

from typing import Any, NamedTuple

import pytest

from minikubelet.core.events import PodObserved, PodSet, RuntimeListed, SourceSynced
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.observed import ContainerPhase, ObservedContainer, ObservedPod, ObservedSandbox
from minikubelet.model.pod import Container, HTTPGetAction, Pod, PodReadinessGate, Probe
from minikubelet.model.status import ContainerState, PodStatus
from tests.core.core_world import SECOND, SLOT, START, World, container, sidecar, static_pod

UID = PodUid("a")
PROBE = Probe(http_get=HTTPGetAction(port=80))


class Row(NamedTuple):
    """One line of the table; `age` is the pod's in seconds, `sandbox` is ready, dead or none."""

    wanted: Pod
    seen: str
    shown: str
    age: int = 100
    sandbox: str = "ready"


def pod(*mains: str | Container, **spec: Any) -> Pod:
    return static_pod(*mains, **spec)


def once(*mains: str, **spec: Any) -> Pod:
    return static_pod(*mains, restart_policy="Never", **spec)


def job(*mains: str, **spec: Any) -> Pod:
    return static_pod(*mains, restart_policy="OnFailure", **spec)


ONE, TWO, SIDE = container("one"), container("two"), sidecar("side")

TABLE = {
    # ── before anything runs ──
    "new": Row(pod(), "", "Pending IP | web:ContainerCreating", sandbox="none"),
    "sandboxed": Row(pod(), "", "Pending SIP | web:ContainerCreating"),
    "new with init containers": Row(
        pod(init=[ONE]), "", "Pending P | one:PodInitializing web:PodInitializing", sandbox="none"
    ),
    # ── main containers ──
    "running": Row(pod(), "web=running", "Running SIRCP | web:running!"),
    "one of two created": Row(
        pod("a", "b"), "a=running", "Pending SIP | a:running! b:ContainerCreating"
    ),
    "both run": Row(pod("a", "b"), "a=running b=running", "Running SIRCP | a:running! b:running!"),
    "restarted": Row(pod(), "web=1,running", "Running SIRCP | web:running<Error(1)#1!"),
    "one of two ended": Row(pod("a", "b"), "a=running b=1", "Running SIP | a:running! b:Error(1)"),
    # ── restartPolicy ──
    "Always starts what failed": Row(pod(), "web=1", "Running SIP | web:Error(1)"),
    "Always starts what succeeded": Row(pod(), "web=0", "Running SIP | web:Completed(0)"),
    "OnFailure starts what failed": Row(job(), "web=1", "Running SIP | web:Error(1)"),
    "OnFailure leaves what succeeded": Row(job(), "web=0", "Succeeded IP | web:Completed(0)", sandbox="dead"),
    "OnFailure waits for the other": Row(
        job("a", "b"), "a=0 b=running", "Running SIP | a:Completed(0) b:running!"
    ),
    "Never succeeds": Row(once(), "web=0", "Succeeded IP | web:Completed(0)", sandbox="dead"),
    "Never fails": Row(once(), "web=3", "Failed IP | web:Error(3)", sandbox="dead"),
    "Never fails by one of two": Row(
        once("a", "b"), "a=0 b=1", "Failed IP | a:Completed(0) b:Error(1)", sandbox="dead"
    ),
    "Never waits for the other": Row(
        once("a", "b"), "a=1 b=running", "Running SIP | a:Error(1) b:running!"
    ),
    "killed for memory": Row(once(), "web=137OOMKilled", "Failed IP | web:OOMKilled(137)", sandbox="dead"),
    "ended with its sandbox": Row(
        once("a", "b"), "a=137 b=137", "Failed IP | a:Error(137) b:Error(137)", sandbox="dead"
    ),
    # ── init containers ──
    "first of two inits": Row(
        pod(init=[ONE, TWO]),
        "one=running",
        "Pending SP | one:running two:PodInitializing web:PodInitializing"
    ),
    "second of two inits": Row(
        pod(init=[ONE, TWO]),
        "one=0 two=running",
        "Pending SP | one:Completed(0)! two:running web:PodInitializing"
    ),
    "inits are done": Row(
        pod(init=[ONE, TWO]),
        "one=0 two=0",
        "Pending SIP | one:Completed(0)! two:Completed(0)! web:PodInitializing",
    ),
    "an init failed, to be tried again": Row(
        pod(init=[ONE]), "one=1", "Pending SP | one:Error(1) web:PodInitializing"
    ),
    "an init failed under OnFailure": Row(
        job(init=[ONE]), "one=1", "Pending SP | one:Error(1) web:PodInitializing"
    ),
    "an init failed for good": Row(
        once(init=[ONE]), "one=1", "Failed P | one:Error(1) web:PodInitializing", sandbox="dead"
    ),
    "inits of a pod that runs": Row(
        pod(init=[ONE]), "one=0 web=running", "Running SIRCP | one:Completed(0)! web:running!"
    ),
    "inits of a pod that runs, forgotten by the engine": Row(
        pod(init=[ONE]), "web=running", "Running SIRCP | one:PodInitializing web:running!"
    ),
    # ── sidecars ──
    "a sidecar runs first": Row(
        pod(init=[SIDE]), "side=running", "Pending SIP | side:running! web:PodInitializing"
    ),
    "a sidecar ended before the main container": Row(
        pod(init=[SIDE]), "side=1", "Pending SP | side:Error(1) web:PodInitializing"
    ),
    "a sidecar ended beside the main container": Row(
        pod(init=[SIDE]), "side=1 web=running", "Running SIP | side:Error(1) web:running!"
    ),
    "a sidecar between inits": Row(
        pod(init=[ONE, SIDE, TWO]),
        "one=0 side=running two=running",
        "Pending SP | one:Completed(0)! side:running! two:running web:PodInitializing",
    ),
    "a job is done though its sidecar runs": Row(
        job(init=[SIDE]), "side=running web=0", "Running SIP | side:running! web:Completed(0)"
    ),
    "a job is done and its sidecar was ended": Row(
        job(init=[SIDE]), "side=137 web=0", "Succeeded IP | side:Error(137) web:Completed(0)", sandbox="dead"
    ),
    # ── readiness ──
    "not yet ready": Row(pod(container(readiness_probe=PROBE)), "web=running", "Running SIP | web:running"),
    "not yet started": Row(pod(container(startup_probe=PROBE)), "web=running", "Running SIP | web:running"),
    "a readiness gate is closed": Row(
        pod(readiness_gates=(PodReadinessGate(condition_type="x/y"),)),
        "web=running",
        "Running SICP | web:running!"
    ),
    # ── deadline ──
    "before the deadline": Row(
        pod(active_deadline_seconds=101), "web=running", "Running SIRCP | web:running!"
    ),
    "past the deadline, ending": Row(
        pod(active_deadline_seconds=100), "web=running", "Running SIRCP | web:running!"
    ),
    "past the deadline, ended": Row(
        pod(active_deadline_seconds=100),
        "web=137",
        "Failed DeadlineExceeded IP | web:Error(137)", sandbox="dead"
    ),
    "past the deadline, never run": Row(
        pod(active_deadline_seconds=100), "", "Failed DeadlineExceeded IP | web:ContainerStatusUnknown(137)",
        sandbox="none",
    ),
}  # fmt: skip


def instances(name: str, text: str) -> list[ObservedContainer]:
    found = []
    for attempt, one in enumerate(text.split(",")):
        code = "".join(c for c in one if c.isdigit())
        shown = ObservedContainer(
            id=f"{name}{attempt}",
            name=name,
            attempt=attempt,
            phase=ContainerPhase.EXITED if code else ContainerPhase.RUNNING,
            sandbox_id="s0",
            image_id=f"sha256:{name}",
            started_at=START,
            finished_at=START if code else 0,
            exit_code=int(code) if code else None,
            reason=one.removeprefix(code) if code else "",
        )
        found.append(shown)
    return found


def status_of(row: Row) -> PodStatus:
    """The status that is told once the runtime has been looked at."""
    world = World(started=False)
    world.feed(PodSet(source=Source.FILE, slot=SLOT, uid=UID, pod=row.wanted))
    world.now += row.age * SECOND
    world.start_agent(observe=False)
    world.feed(PodSet(source=Source.FILE, slot=SLOT, uid=UID, pod=row.wanted))
    world.feed(SourceSynced(source=Source.FILE, present=(UID,)))
    sandbox = ObservedSandbox("s0", 0, ready=row.sandbox == "ready", ips=("10.0.0.9",))
    parts = [part.partition("=") for part in row.seen.split()]
    containers = [one for name, _, text in parts for one in instances(name, text)]
    seen = ObservedPod(
        UID, "kube-system", "web-node", () if row.sandbox == "none" else (sandbox,), tuple(containers)
    )
    world.feed(PodObserved(slot=SLOT, pod=seen, after=world.seq))
    world.feed(RuntimeListed(pods=1))
    return world.status()


def told(state: ContainerState) -> str:
    if state.running is not None:
        return "running"
    if state.terminated is not None:
        return f"{state.terminated.reason}({state.terminated.exit_code})"
    return state.waiting.reason if state.waiting is not None else ""


def spelt(status: PodStatus) -> str:
    """A status as the table spells it."""
    held = "".join(letter for c, letter in zip(status.conditions, "SIRCP", strict=True) if c.status == "True")
    shown = []
    for one in (*status.init_container_statuses, *status.container_statuses):
        before = f"<{told(one.last_state)}" if told(one.last_state) else ""
        restarts = f"#{one.restart_count}" if one.restart_count else ""
        shown.append(f"{one.name}:{told(one.state)}{before}{restarts}{'!' if one.ready else ''}")
    return " ".join(word for word in (status.phase, status.reason, held, "|", *shown) if word)


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
def test_the_table(row: Row) -> None:
    assert spelt(status_of(row)) == row.shown


REASONS = {
    "sandboxed": {"Ready": "containers with unready status: [web]"},
    "one of two ended": {"ContainersReady": "containers with unready status: [b]"},
    "second of two inits": {"Initialized": "containers with incomplete status: [two]"},
    "a sidecar ended beside the main container": {"Ready": "containers with unready status: [side]"},
    "a readiness gate is closed": {
        "Ready": 'corresponding condition of pod readiness gate "x/y" does not exist.'
    },
}


@pytest.mark.parametrize(("name", "expected"), REASONS.items())
def test_conditions_say_which_containers_they_wait_for(name: str, expected: dict[str, str]) -> None:
    status = status_of(TABLE[name])
    messages = {c.type: c.message for c in status.conditions}
    assert {kind: messages[kind] for kind in expected} == expected


@pytest.mark.parametrize(
    ("name", "ready", "initialized"),
    [
        ("Never succeeds", "PodCompleted", "PodCompleted"),
        ("Never fails", "PodFailed", ""),
        ("an init failed for good", "PodFailed", "ContainersNotInitialized"),
        ("running", "", ""),
        ("not yet ready", "ContainersNotReady", ""),
        ("a readiness gate is closed", "ReadinessGatesNotReady", ""),
    ],
)
def test_conditions_give_upstreams_reasons(name: str, ready: str, initialized: str) -> None:
    reasons = {c.type: c.reason for c in status_of(TABLE[name]).conditions}
    assert (reasons["Ready"], reasons["Initialized"]) == (ready, initialized)


def test_what_else_a_status_tells() -> None:
    status = status_of(TABLE["restarted"])
    (shown,) = status.container_statuses
    assert (shown.container_id, shown.image_id, shown.started) == ("model://web1", "sha256:web", True)
    assert shown.last_state.terminated is not None
    assert shown.last_state.terminated.container_id == "model://web0"
    assert (status.pod_ip, status.host_ip) == ("10.0.0.9", "192.0.2.1")
    assert [ip.ip for ip in status.pod_ips] == ["10.0.0.9"]
    late = status_of(TABLE["past the deadline, ended"])
    assert late.message == "Pod was active on the node longer than the specified deadline"
