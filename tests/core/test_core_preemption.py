"""Preemption: others end so that a critical pod has room, as few and as small as will do."""

from typing import Any

import pytest
from msgspec.structs import replace

from minikubelet.core.commands import Reason, StopContainer
from minikubelet.core.nodefacts import Amounts, Demand
from minikubelet.core.preemption import victims
from minikubelet.core.qos import BEST_EFFORT, BURSTABLE, GUARANTEED
from minikubelet.core.state import Generation, Slot, Stage
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.pod import Pod, PodSpec, ResourceRequirements
from tests.core.core_world import World, container, static_pod

CLUSTER_CRITICAL = 2_000_000_000
NO_ROOM = (
    "Pod was rejected: Unexpected error while attempting to recover from admission failure: preemption: "
    "error finding a set of pods to preempt: no set of running pods found to reclaim resources: "
)


def candidate(
    name: str, qos: str, *, cpu: int = 0, memory: int = 0, priority: int = 0, source: Source = Source.API
) -> Generation:
    """A pod that runs on the node and takes this much."""
    return Generation(
        uid=PodUid(name),
        slot=SlotKey(f"default/{name}"),
        source=source,
        pod=Pod(spec=PodSpec(priority=priority)),
        qos=qos,
        admitted=Demand(cpu, memory),
    )


def chosen(lacking: Amounts, *running: Generation, priority: int = CLUSTER_CRITICAL) -> list[str] | None:
    waiting = Generation(
        uid=PodUid("w"), slot=SlotKey("default/w"), pod=Pod(spec=PodSpec(priority=priority)), lacking=lacking
    )
    found = victims(waiting, [Slot(gen.slot, (gen,)) for gen in running])
    return None if found is None else [gen.uid for gen in found]


SMALL = candidate("small", BURSTABLE, cpu=100, memory=10)
MIDDLE = candidate("middle", BURSTABLE, cpu=300, memory=30)
BIG = candidate("big", BURSTABLE, cpu=1000, memory=5)
GOLD = candidate("gold", GUARANTEED, cpu=2000, memory=200)
IDLE = candidate("idle", BEST_EFFORT)


@pytest.mark.parametrize(
    ("lacking", "running", "expected"),
    [
        ((("cpu", 250),), (SMALL, MIDDLE, BIG), ["big"]),  # both would do alone: the one with less memory
        ((("cpu", 250), ("memory", 20)), (SMALL, MIDDLE, BIG), ["middle"]),
        ((("cpu", 1350),), (SMALL, MIDDLE, BIG, GOLD), ["big", "middle", "small"]),
        ((("cpu", 1500),), (SMALL, MIDDLE, BIG, GOLD), ["gold"]),
        ((("pods", 1),), (GOLD, SMALL, IDLE), ["idle"]),
        ((("pods", 2),), (GOLD, SMALL, IDLE), ["idle", "small"]),
        ((("cpu", 9999),), (SMALL, MIDDLE, BIG, GOLD), None),
        ((("hugepages-2Mi", 1),), (GOLD,), None),
        ((("cpu", 1),), (), None),
    ],
)
def test_the_fewest_of_the_least_guaranteed_that_suffice_end(
    lacking: Amounts, running: tuple[Generation, ...], expected: list[str] | None
) -> None:
    assert chosen(lacking, *running) == expected


@pytest.mark.parametrize(
    ("priority", "victim"),
    [
        (CLUSTER_CRITICAL, candidate("v", BURSTABLE, cpu=9, priority=CLUSTER_CRITICAL)),
        (CLUSTER_CRITICAL, candidate("v", BURSTABLE, cpu=9, priority=CLUSTER_CRITICAL + 1000)),
        (CLUSTER_CRITICAL, candidate("v", BURSTABLE, cpu=9, priority=CLUSTER_CRITICAL, source=Source.FILE)),
    ],
)
def test_no_critical_pod_ends_for_one_that_is_no_more_so(priority: int, victim: Generation) -> None:
    assert chosen((("cpu", 1),), victim, priority=priority) is None
    assert chosen((("cpu", 1),), victim, priority=priority + 2000) == ["v"]


def crowded(**node: Any) -> World:
    """A node with room for two pods and one core, both sources and an API server."""
    room = {"max_pods": 2, "allocatable_cpu": 1000, **node}
    return World(Source.FILE, Source.API, api=True, node=room)


def guest(name: str = "guest", cpu: str = "600m", **spec: Any) -> Pod:
    asks = ResourceRequirements(requests={"cpu": cpu})
    return static_pod(container(resources=asks), uid=name, name=name, **spec)


def test_a_static_pod_without_room_runs_once_another_has_ended_in_its_own_grace() -> None:
    world = crowded()
    world.offer(guest(termination_grace_period_seconds=7), Source.API)
    world.run_until_idle()
    decided = world.offer(guest("host"))
    (stop,) = [c for c in decided if isinstance(c, StopContainer)]
    assert (stop.reason, stop.uid, stop.grace) == (Reason.POD_PREEMPTED, "guest", 7)
    assert world.generation("host").lacking == (("cpu", 200),)
    assert world.status("guest").phase == "Running"
    assert "DisruptionTarget" not in [c.type for c in world.status("guest").conditions]
    world.run_until_idle()
    status = world.status("guest")
    assert (status.phase, status.reason) == ("Failed", "Preempting")
    assert status.message == "Preempted in order to admit critical pod"
    told = status.conditions[-1]
    assert (told.type, told.status, told.reason) == ("DisruptionTarget", "True", "TerminationByKubelet")
    assert told.message == "Pod was preempted by Kubelet to accommodate a critical pod."
    assert world.runs("host") == ["web"]
    assert not world.reducer.node.crowded


def test_a_critical_pod_of_the_api_makes_room_too_and_others_never_do() -> None:
    world = crowded()
    world.offer(guest(), Source.API)
    world.run_until_idle()
    world.offer(guest("other"), Source.API)
    assert world.status("other").reason == "OutOfcpu"
    world.offer(guest("critical", priority=CLUSTER_CRITICAL), Source.API)
    world.run_until_idle()
    assert (world.runs("critical"), world.status("guest").reason) == (["web"], "Preempting")


def test_a_pod_that_has_begun_nothing_gives_way_at_once() -> None:
    world = crowded(max_pods=1)
    world.offer(static_pod(uid="guest", name="guest"), Source.API)
    world.queue.clear()
    gen = world.generation("guest")
    world.reducer.slots[gen.slot] = world.reducer.slots[gen.slot].put(replace(gen, pending={}))
    world.offer(static_pod(uid="host", name="host"))
    assert world.status("guest").reason == "Preempting"
    assert world.generation("host").admitted is not None


def test_what_ends_anyway_is_waited_for_before_anything_else_ends() -> None:
    world = crowded()
    world.offer(guest(), Source.API)
    world.offer(guest("small", "100m"), Source.API)
    world.run_until_idle()
    world.delete(guest())
    world.offer(guest("host"))
    assert world.generation("small").ending is None
    world.run_until_idle()
    assert sorted((*world.runs("small"), *world.runs("host"))) == ["web", "web"]


@pytest.mark.parametrize(("offered", "expected"), [(True, []), (False, ["big"])])
def test_what_is_counted_no_more_gives_nothing_back_when_it_has_ended(
    offered: bool, expected: list[str]
) -> None:
    ending = replace(MIDDLE, stage=Stage.ENDING, offered=offered)
    assert chosen((("cpu", 250),), BIG, ending) == expected


def test_a_critical_pod_is_refused_where_nothing_gives_way() -> None:
    world = crowded()
    world.offer(guest("first"))
    world.run_until_idle()
    world.offer(guest("second"))
    status = world.status("second")
    assert (status.phase, status.reason) == ("Failed", "UnexpectedAdmissionError")
    assert status.message == f"{NO_ROOM}[(res: cpu, q: 200), ]"
    assert world.runs("first") == ["web"]


def test_what_room_cannot_mend_is_said_first_and_ends_nothing() -> None:
    world = crowded()
    world.offer(guest(), Source.API)
    world.run_until_idle()
    world.offer(guest("host", node_selector={"disk": "gold"}))
    assert world.status("host").reason == "NodeAffinity"
    assert world.generation("guest").ending is None


def test_a_pod_that_goes_while_it_waits_is_waited_for_no_more() -> None:
    world = crowded()
    world.offer(guest(), Source.API)
    world.run_until_idle()
    world.offer(guest("host"))
    assert list(world.reducer.node.crowded) == ["kube-system/host"]
    world.withdraw(guest("host"))
    assert not world.reducer.node.crowded
    world.run_until_idle()
    assert world.started() == ["web"]


def test_a_restarted_agent_goes_on_with_what_it_had_begun() -> None:
    world = crowded()
    world.offer(guest(), Source.API)
    world.run_until_idle()
    world.offer(guest("host"))
    world.restart_agent()
    world.advance(60)
    assert (world.runs("host"), world.runs("guest")) == (["web"], [])
    assert world.status("guest").reason == "Preempting"
    assert world.generation("guest").stage is Stage.FINISHED


def test_what_ended_while_the_agent_was_away_is_room_enough() -> None:
    world = crowded()
    world.offer(guest(), Source.API)
    world.offer(guest("small", "100m"), Source.API)
    world.run_until_idle()
    world.offer(guest("host"))
    world.runtime.break_sandbox(PodUid("guest"), world.now)
    world.restart_agent()
    world.run_until_idle()
    assert world.generation("small").ending is None
    assert sorted((*world.runs("small"), *world.runs("host"))) == ["web", "web"]


def test_a_journal_of_before_refuses_critical_pods_as_others() -> None:
    world = crowded(behaviours=())
    world.offer(guest(), Source.API)
    world.run_until_idle()
    world.offer(guest("host"))
    assert world.status("host").reason == "OutOfcpu"
