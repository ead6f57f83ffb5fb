"""Admission: which pods the node takes, what it says of the others, and that it never goes back on it."""

from typing import Any

import pytest

from minikubelet.core.behaviours import TODAY, Behaviour, Behaviours
from minikubelet.core.events import NodeSeen
from minikubelet.core.nodefacts import Taint
from minikubelet.core.qos import qos_class
from minikubelet.model.ids import Source
from minikubelet.model.pod import (
    Affinity,
    Container,
    ContainerPort,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ObjectMeta,
    Pod,
    PodOS,
    PodSecurityContext,
    ResourceRequirements,
    Toleration,
)
from tests.core.core_world import World, container, names, sidecar, static_pod

GIB = 1 << 30
LABELS = (("disk", "ssd"), ("gen", "7"), ("kubernetes.io/os", "linux"))
ROOM = {
    "max_pods": 3,
    "allocatable_cpu": 2000,
    "allocatable_memory": 2 * GIB,
    "allocatable_storage": 10 * GIB,
    "labels": LABELS,
}


def node(**changed: Any) -> World:
    """A node with room, both sources and an API server."""
    return World(Source.FILE, Source.API, api=True, node={**ROOM, **changed})


def asks(name: str = "web", init: str = "", **requests: str) -> Container:
    """A container with requests; `storage` is its ephemeral storage."""
    found = {{"storage": "ephemeral-storage"}.get(key, key): value for key, value in requests.items()}
    return container(name, resources=ResourceRequirements(requests=found), restart_policy=init)


def port(number: int, ip: str = "", protocol: str = "TCP") -> Container:
    return container(
        ports=(ContainerPort(container_port=80, host_port=number, host_ip=ip, protocol=protocol),)
    )


def named(name: str, *mains: Container, **spec: Any) -> Pod:
    return static_pod(*mains, uid=name, name=name, **spec)


def verdict(world: World, uid: str) -> tuple[str, str]:
    """Reason and message of the last status; two times nothing for a pod that was taken."""
    status = world.status(uid)
    return status.reason, status.message


def term(*wanted: tuple[str, str, str], fields: tuple[tuple[str, str, str], ...] = ()) -> NodeSelectorTerm:
    def all_of(which: tuple[tuple[str, str, str], ...]) -> tuple[NodeSelectorRequirement, ...]:
        return tuple(
            NodeSelectorRequirement(key=key, operator=operator, values=tuple(values.split()))
            for key, operator, values in which
        )

    return NodeSelectorTerm(match_expressions=all_of(wanted), match_fields=all_of(fields))


def affine(*terms: NodeSelectorTerm) -> Affinity:
    required = NodeSelector(node_selector_terms=terms)
    return Affinity(node_affinity=NodeAffinity(required_during_scheduling_ignored_during_execution=required))


INSUFFICIENT = "Pod was rejected: Node didn't have enough resource: "
FAILED = "Pod was rejected: Predicate "


@pytest.mark.parametrize(
    ("asked", "reason", "message"),
    [
        (asks(cpu="1500m"), "OutOfcpu", "cpu, requested: 1500, used: 1000, capacity: 2000"),
        (
            asks(memory="1536Mi"),
            "OutOfmemory",
            f"memory, requested: {1536 << 20}, used: {GIB}, capacity: {2 * GIB}",
        ),
        (
            asks(storage="11Gi"),
            "OutOfephemeral-storage",
            f"ephemeral-storage, requested: {11 * GIB}, used: 0, capacity: {10 * GIB}",
        ),
    ],
)
def test_requests_beyond_what_is_left_are_refused(asked: Container, reason: str, message: str) -> None:
    world = node()
    world.offer(named("first", asks(cpu="1", memory="1Gi")))
    world.run_until_idle()
    decided = world.offer(named("second", asked), Source.API)
    assert names(decided) == []
    assert verdict(world, "second") == (reason, INSUFFICIENT + message)
    status = world.status("second")
    assert (status.phase, status.conditions, status.container_statuses) == ("Failed", (), ())
    assert (status.start_time, status.qos_class) == (
        "2023-11-14T22:13:20Z",
        qos_class(named("second", asked)),
    )
    assert world.status("first").phase == "Running"


def test_what_asks_for_nothing_is_taken_until_there_are_too_many_pods() -> None:
    world = node(allocatable_cpu=1, allocatable_memory=1)
    for name in ("a", "b", "c", "d"):
        world.offer(named(name), Source.API)
    message = "pods, requested: 1, used: 3, capacity: 3"
    assert [verdict(world, uid)[0] for uid in "abcd"] == ["", "", "", "OutOfpods"]
    assert verdict(world, "d")[1] == INSUFFICIENT + message


@pytest.mark.parametrize(
    ("pod", "cpu"),
    [
        (named("p", asks("a", cpu="300m"), asks("b", cpu="0.2")), 500),
        (named("p", asks(cpu="1"), init=[asks("i", cpu="1500m"), asks("j", cpu="1200m")]), 1500),
        (named("p", asks(cpu="100m"), init=[asks("s", "Always", cpu="1"), asks("i", cpu="500m")]), 1500),
        (named("p", asks(cpu="900m"), init=[asks("i", cpu="500m"), asks("s", "Always", cpu="1")]), 1900),
        (named("p", asks(cpu="1"), overhead={"cpu": "250m"}), 1250),
        (named("p", asks(cpu="1"), resources=ResourceRequirements(requests={"cpu": "1800m"})), 1800),
        (named("p", asks(cpu="1"), resources=ResourceRequirements(limits={"memory": "1Gi"})), 1000),
        (named("p", container(resources=ResourceRequirements(limits={"cpu": "700m"}))), 700),
        (named("p", asks(cpu="much")), 0),
    ],
)
def test_a_pod_asks_for_the_most_it_needs_at_a_time(pod: Pod, cpu: int) -> None:
    world = node()
    world.offer(pod)
    assert world.reducer.node.used.cpu == cpu


SSD, HDD = {"disk": "ssd"}, {"disk": "hdd"}


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ({"node_selector": SSD}, True),
        ({"node_selector": HDD}, False),
        ({"affinity": Affinity()}, True),
        ({"affinity": Affinity(node_affinity=NodeAffinity())}, True),
        ({"affinity": affine()}, False),
        ({"affinity": affine(term())}, False),
        ({"affinity": affine(term(("disk", "In", "ssd nvme")))}, True),
        ({"affinity": affine(term(("disk", "In", "hdd")))}, False),
        ({"affinity": affine(term(("disk", "In", "hdd")), term(("disk", "Exists", "")))}, True),
        ({"affinity": affine(term(("disk", "In", "ssd"), ("gpu", "Exists", "")))}, False),
        ({"affinity": affine(term(("disk", "NotIn", "ssd")))}, False),
        ({"affinity": affine(term(("gpu", "NotIn", "old")))}, True),
        ({"affinity": affine(term(("gpu", "DoesNotExist", "")))}, True),
        ({"affinity": affine(term(("disk", "DoesNotExist", "")))}, False),
        ({"affinity": affine(term(("gen", "Gt", "6")))}, True),
        ({"affinity": affine(term(("gen", "Gt", "7")))}, False),
        ({"affinity": affine(term(("gen", "Lt", "8")))}, True),
        ({"affinity": affine(term(("gen", "Lt", "")))}, False),
        ({"affinity": affine(term(("disk", "Lt", "8")))}, False),
        ({"affinity": affine(term(("none", "Gt", "8")))}, False),
        ({"affinity": affine(term(("gen", "Lt", "9" * 5000)))}, False),
        ({"affinity": affine(term(("disk", "Like", "ssd")))}, False),
        ({"affinity": affine(term(fields=(("metadata.name", "In", "node"),)))}, True),
        ({"affinity": affine(term(fields=(("metadata.name", "In", "other"),)))}, False),
        ({"affinity": affine(term(("disk", "Exists", ""))), "node_selector": HDD}, False),
    ],
)
def test_node_selector_and_required_affinity_have_to_hold(spec: dict[str, Any], *, taken: bool) -> None:
    world = node()
    world.offer(named("p", **spec))
    why = f"{FAILED}NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
    assert verdict(world, "p") == (("", "") if taken else ("NodeAffinity", why))


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (port(8080), port(8080), True),
        (port(8080), port(8081), False),
        (port(8080, "127.0.0.1"), port(8080), True),
        (port(8080, "0.0.0.0"), port(8080, "127.0.0.1"), True),
        (port(8080, "127.0.0.1"), port(8080, "192.0.2.1"), False),
        (port(53, protocol="UDP"), port(53), False),
    ],
)
def test_a_host_port_is_given_once(one: Container, other: Container, *, clash: bool) -> None:
    world = node()
    world.offer(named("first", one))
    world.run_until_idle()
    world.offer(named("second", other))
    why = f"{FAILED}NodePorts failed: node(s) didn't have free ports for the requested pod ports"
    assert verdict(world, "second") == (("NodePorts", why) if clash else ("", ""))


EVICT = Taint("gone", "NoExecute", "soon")


@pytest.mark.parametrize(
    ("taint", "tolerations", "taken"),
    [
        (EVICT, (), False),
        (Taint("gone", "NoSchedule"), (), True),
        (EVICT, (Toleration(operator="Exists"),), True),
        (EVICT, (Toleration(key="gone", operator="Exists"),), True),
        (EVICT, (Toleration(key="gone", value="soon"),), True),
        (EVICT, (Toleration(key="gone", operator="Equal", value="late"),), False),
        (EVICT, (Toleration(key="gone", operator="Exists", effect="NoSchedule"),), False),
        (EVICT, (Toleration(key="other", operator="Exists"), Toleration(value="soon")), False),
    ],
)
def test_only_no_execute_taints_are_the_nodes_business(
    taint: Taint, tolerations: tuple[Toleration, ...], *, taken: bool
) -> None:
    world = node()
    world.feed(NodeSeen(labels=LABELS, taints=(taint,)))
    world.offer(named("p", tolerations=tolerations), Source.API)
    world.offer(named("static"))
    why = f"{FAILED}TaintToleration failed: node(s) had taints that the pod didn't tolerate"
    assert verdict(world, "p") == (("", "") if taken else ("TaintToleration", why))
    assert verdict(world, "static") == ("", ""), "static pods bear every taint"


@pytest.mark.parametrize(
    ("runtime", "policy", "behaviours", "reason"),
    [
        ("docker", "Strict", TODAY, "SupplementalGroupsPolicyNotSupported"),
        ("docker", "Strict", (Behaviour.FULL_GRACE_WHEN_LATE,), ""),
        ("docker", "Merge", TODAY, ""),
        ("process", "Strict", TODAY, ""),
    ],
)
def test_strict_groups_are_refused_where_the_engine_adds_those_of_the_image(
    runtime: str, policy: str, behaviours: Behaviours, reason: str
) -> None:
    world = node(runtime=runtime, behaviours=behaviours)
    world.offer(named("p", security_context=PodSecurityContext(supplemental_groups_policy=policy)))
    assert verdict(world, "p")[0] == reason


def test_pods_of_another_system_are_refused_first_of_all() -> None:
    world = node(max_pods=1)
    world.offer(named("first"))
    world.offer(named("os", os=PodOS(name="windows")))
    labelled = Pod(
        metadata=ObjectMeta(
            name="l", namespace="kube-system", uid="l", labels={"kubernetes.io/os": "windows"}
        ),
        spec=named("l").spec,
    )
    world.offer(labelled)
    assert verdict(world, "os")[0] == "PodOSNotSupported"
    assert verdict(world, "l")[0] == "PodOSSelectorNodeLabelDoesNotMatch"


def test_room_comes_back_when_a_pod_has_ended_or_is_wanted_no_more() -> None:
    world = node(max_pods=1)
    job = named("job", restart_policy="Never")
    world.offer(job)
    world.run_until_idle()
    world.exit("web", 0, "job")
    world.run_until_idle()
    web = named("web", port(80))
    world.offer(web)
    world.run_until_idle()
    assert world.runs("web") == ["web"]
    world.withdraw(web)
    world.offer(named("next", port(80)))
    assert verdict(world, "next") == ("", ""), "what no source holds is not in the way"
    world.run_until_idle()
    assert world.runs("next") == ["web"]
    assert (world.reducer.node.used.pods, len(world.reducer.node.used.ports)) == (1, 1)


def test_an_edited_pod_takes_the_place_of_the_one_before() -> None:
    world = node(max_pods=1, allocatable_cpu=1000)
    world.offer(static_pod(asks(cpu="800m"), uid="old"))
    world.run_until_idle()
    world.offer(static_pod(asks(cpu="900m"), uid="new"))
    world.run_until_idle()
    assert world.runs("new") == ["web"]
    assert world.reducer.node.used.cpu == 900


def test_an_edited_pod_that_never_ran_takes_no_room_from_its_successor() -> None:
    world = node(max_pods=1, allocatable_cpu=1000)
    world.runtime.fail("StartSandbox", "CreatePodSandboxError")
    world.offer(static_pod(asks(cpu="800m"), uid="old"))
    world.run_until_idle()
    world.offer(static_pod(asks(cpu="900m"), uid="new"))
    world.run_until_idle()
    assert world.runs("new") == ["web"]


def test_an_admitted_pod_stays_whatever_becomes_of_the_node() -> None:
    world = node()
    pod = named("p", asks(cpu="1"), node_selector=SSD)
    world.offer(pod, Source.API)
    world.run_until_idle()
    world.feed(NodeSeen(labels=(("disk", "hdd"),), taints=(EVICT,)))
    world.node |= {"max_pods": 1, "allocatable_cpu": 1, "labels": ()}
    world.restart_agent()
    world.run_until_idle()
    assert world.runs("p") == ["web"]
    assert world.reducer.node.used.pods == 1


def test_a_pod_that_ran_before_admission_was_known_counts_as_admitted() -> None:
    world = World(Source.FILE)
    world.offer(named("p", asks(cpu="64")))
    world.run_until_idle()
    assert world.reducer.node.used.pods == 0
    world.node = ROOM
    world.restart_agent()
    world.run_until_idle()
    assert world.runs("p") == ["web"]
    assert world.reducer.node.used.cpu == 64000


def test_a_refused_pod_stays_refused_until_it_is_deleted() -> None:
    world = node()
    pod = named("p", asks(cpu="3"))
    world.offer(pod, Source.API)
    world.node |= {"allocatable_cpu": 64000}
    world.restart_agent()
    world.run_until_idle()
    assert verdict(world, "p")[0] == "OutOfcpu"
    world.delete(pod)
    assert "DeleteApiPod" in names(world.run_until_idle())
    assert world.status("p").phase == "Failed"
    assert world.started() == []


def test_a_refused_static_pod_is_judged_again_in_the_next_life() -> None:
    world = node()
    pod = named("p", asks(cpu="3"))
    world.offer(pod)
    assert verdict(world, "p")[0] == "UnexpectedAdmissionError"
    world.node |= {"allocatable_cpu": 4000}
    world.restart_agent()
    world.run_until_idle()
    assert world.runs("p") == ["web"]


def test_a_refused_static_pod_goes_with_its_file() -> None:
    world = node()
    pod = named("p", asks(cpu="3"))
    world.offer(pod)
    world.withdraw(pod)
    world.start_agent()
    world.sync_sources()
    world.run_until_idle()
    assert not any(slot.generations for slot in world.reducer.slots.values())


def test_a_pod_of_the_api_server_waits_a_moment_for_labels_on_their_way() -> None:
    world = node()
    pod = named("p", node_selector={"zone": "a"})
    assert names(world.offer(pod, Source.API)) == []
    assert verdict(world, "p") == ("", "")
    world.feed(NodeSeen(labels=(("zone", "a"),)))
    world.run_until_idle()
    assert world.runs("p") == ["web"]


def test_labels_that_do_not_come_refuse_the_pod() -> None:
    world = node()
    world.offer(named("p", node_selector={"zone": "a"}), Source.API)
    world.advance(4)
    assert verdict(world, "p") == ("", "")
    world.advance(2)
    assert verdict(world, "p")[0] == "NodeAffinity"


def test_labels_are_remembered_in_the_next_life_of_the_same_node() -> None:
    world = node()
    world.feed(NodeSeen(labels=(("zone", "a"),), taints=(EVICT,)))
    world.restart_agent()
    world.offer(named("p", node_selector={"zone": "a"}))
    assert verdict(world, "p") == ("", "")
    assert world.reducer.node.taints == (EVICT,)


def test_sidecars_and_init_containers_hold_ports_too() -> None:
    world = node()
    held = container("dns", restart_policy="Always", ports=port(53).ports)
    world.offer(named("first", init=[held, sidecar("other")]))
    world.offer(named("second", port(53)))
    assert verdict(world, "second")[0] == "NodePorts"
