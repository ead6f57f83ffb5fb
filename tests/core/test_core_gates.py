"""Readiness gates: conditions that others set at the API server, and that Ready waits for."""

from minikubelet.model.ids import Source
from minikubelet.model.pod import PodReadinessGate
from minikubelet.model.status import PodCondition
from tests.core.core_world import World, names, static_pod

GATED = static_pod(
    readiness_gates=(PodReadinessGate(condition_type="x/lb"), PodReadinessGate(condition_type="x/dns"))
)


def gated(*gates: tuple[str, str]) -> World:
    world = World(Source.API, api=True)
    world.offer(GATED, Source.API, gates=gates)
    world.run_until_idle()
    return world


def condition(world: World, kind: str = "Ready") -> PodCondition:
    return next(c for c in world.status().conditions if c.type == kind)


def test_a_gate_that_nobody_has_set_and_one_that_is_closed_are_both_told() -> None:
    world = gated(("x/dns", "False"))
    ready = condition(world)
    assert (ready.status, ready.reason) == ("False", "ReadinessGatesNotReady")
    assert ready.message == (
        'corresponding condition of pod readiness gate "x/lb" does not exist., '
        'the status of pod readiness gate "x/dns" is not "True", but False'
    )
    assert condition(world, "ContainersReady").status == "True"


def test_a_pod_is_ready_once_its_last_gate_opens_and_nothing_restarts() -> None:
    world = gated(("x/lb", "True"))
    decided = world.offer(GATED, Source.API, gates=(("x/lb", "True"), ("x/dns", "True")))
    assert names(decided) == []
    assert (condition(world).status, condition(world).reason) == ("True", "")


def test_a_gate_that_closes_again_makes_the_pod_unready() -> None:
    world = gated(("x/lb", "True"), ("x/dns", "True"))
    assert condition(world).status == "True"
    world.offer(GATED, Source.API, gates=(("x/lb", "Unknown"), ("x/dns", "True")))
    assert condition(world).message == 'the status of pod readiness gate "x/lb" is not "True", but Unknown'
    assert [c.type for c in world.status().conditions if c.type.startswith("x/")] == []
