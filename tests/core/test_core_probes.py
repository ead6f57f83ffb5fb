"""Probes: readiness and start-up in the status, what an unhealthy container has to expect, which are due."""

from __future__ import annotations

import random
from typing import Any

import pytest

from minikubelet.core.commands import Reason, StartContainer, StopContainer
from minikubelet.core.events import AnyEvent, ContainerProbed
from minikubelet.core.probes import Run, due, probe_of
from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Container, Pod, Probe, ProbeKind, TCPSocketAction
from minikubelet.wire.records import decode_event, decode_snapshot, encode_event, encode_snapshot
from tests.core.core_world import SLOT, World, container, running_world, static_pod

STARTUP, READINESS, LIVENESS = ProbeKind.STARTUP, ProbeKind.READINESS, ProbeKind.LIVENESS


def probe(**fields: Any) -> Probe:
    return Probe(tcp_socket=TCPSocketAction(port=80), **fields)


def probed_container(name: str = "web", **fields: Any) -> Container:
    """A container with all three probes, save for those that are given."""
    probes = {"startup_probe": probe(), "readiness_probe": probe(), "liveness_probe": probe()}
    return container(name, **{**probes, **fields})


def result(world: World, kind: ProbeKind, passed: bool, name: str = "web", of: str = "") -> ContainerProbed:
    record = world.generation().containers[name]
    return ContainerProbed(
        slot=SLOT, uid=PodUid("a"), container=name, container_id=of or record.id, probe=kind, passed=passed
    )


def tell(world: World, kind: ProbeKind, passed: bool, name: str = "web", of: str = "") -> list[Any]:
    return world.feed(result(world, kind, passed, name, of))


def condition(world: World, kind: str) -> str:
    return next(c.status for c in world.status().conditions if c.type == kind)


def kinds(world: World, name: str = "web") -> list[ProbeKind]:
    return [one.kind for one in due(world.generation()) if one.container == name]


def test_readiness_is_false_until_the_probe_says_otherwise_and_follows_it() -> None:
    world = running_world(static_pod(container(readiness_probe=probe())))
    assert (world.shown().started, world.shown().ready) == (True, False)
    assert condition(world, "ContainersReady") == "False"
    tell(world, READINESS, True)
    assert world.shown().ready
    assert condition(world, "Ready") == "True"
    tell(world, READINESS, False)
    assert not world.shown().ready
    assert condition(world, "Ready") == "False"
    assert world.stopped() == []


def test_a_container_is_ready_without_a_readiness_probe_once_its_startup_probe_passed() -> None:
    world = running_world(static_pod(container(startup_probe=probe())))
    assert (world.shown().started, world.shown().ready) == (False, False)
    tell(world, STARTUP, True)
    assert (world.shown().started, world.shown().ready) == (True, True)


def test_readiness_told_before_the_startup_probe_passed_counts_only_afterwards() -> None:
    world = running_world(static_pod(probed_container()))
    tell(world, READINESS, True)
    assert not world.shown().ready
    tell(world, STARTUP, True)
    assert world.shown().ready


@pytest.mark.parametrize("kind", [STARTUP, LIVENESS])
@pytest.mark.parametrize(("own", "grace"), [(None, 30), (7, 7)])
def test_a_failed_probe_stops_the_container_within_its_own_grace_and_starts_it_again(
    kind: ProbeKind, own: int | None, grace: int
) -> None:
    fields: dict[str, Any] = {"startup_probe": probe(), "liveness_probe": probe()}
    fields["startup_probe" if kind is STARTUP else "liveness_probe"] = probe(
        termination_grace_period_seconds=own
    )
    world = running_world(static_pod(probed_container(**fields)))
    tell(world, kind, False)
    stop = world.all(StopContainer)[-1]
    assert (stop.reason, stop.grace) == (Reason.UNHEALTHY, grace)
    world.run_until_idle()
    assert world.shown().restart_count == 1
    assert world.shown().state.running
    assert world.generation().containers["web"].unhealthy is None
    assert not world.shown().started


def test_the_next_restarts_of_an_unhealthy_container_wait() -> None:
    world = running_world(static_pod(container(liveness_probe=probe())))
    for _ in range(2):
        tell(world, LIVENESS, False)
        world.run_until_idle()
    waiting = world.shown().state.waiting
    assert waiting is not None
    assert waiting.reason == "CrashLoopBackOff"
    world.advance(10)
    assert world.shown().restart_count == 2


@pytest.mark.parametrize(("policy", "code", "again"), [("OnFailure", 0, True), ("Never", 143, False)])
def test_the_restart_policy_decides_over_an_unhealthy_container(policy: str, code: int, again: bool) -> None:
    world = running_world(static_pod(container(liveness_probe=probe()), restart_policy=policy))
    world.runtime.exit_codes["web"] = code
    tell(world, LIVENESS, False)
    world.run_until_idle()
    assert (len(world.all(StartContainer)) == 2) is again
    assert world.status().phase == ("Running" if again else "Failed")


def test_a_sidecar_holds_the_next_until_its_startup_probe_passed() -> None:
    proxy = container("proxy", restart_policy="Always", startup_probe=probe())
    world = running_world(static_pod(init=[proxy, container("one")]))
    assert world.started() == ["proxy"]
    assert condition(world, "Initialized") == "False"
    tell(world, STARTUP, False, "proxy")
    world.run_until_idle()
    assert world.started() == ["proxy", "proxy"]
    tell(world, STARTUP, True, "proxy")
    world.run_until_idle()
    world.exit("one", 0)
    world.run_until_idle()
    assert world.started() == ["proxy", "proxy", "one", "web"]
    assert condition(world, "Initialized") == "True"


def test_results_of_an_earlier_instance_or_an_unknown_pod_say_nothing() -> None:
    world = running_world(static_pod(container(liveness_probe=probe())))
    assert tell(world, LIVENESS, False, of="other") == []
    event = result(world, LIVENESS, False)
    world.exit()
    assert world.feed(event) == []
    unknown = ContainerProbed(
        slot=SLOT, uid=PodUid("zz"), container="web", container_id="c", probe=LIVENESS, passed=False
    )
    assert world.feed(unknown) == []


def test_results_that_change_nothing_decide_nothing() -> None:
    world = running_world(static_pod(probed_container()))
    assert tell(world, LIVENESS, True) == []
    tell(world, LIVENESS, False)
    assert tell(world, STARTUP, False) == []
    assert world.generation().containers["web"].unhealthy is LIVENESS


def test_what_is_told_or_shown_once_more_leaves_the_pod_as_it_is() -> None:
    world = running_world(static_pod(probed_container()))
    tell(world, STARTUP, True)
    tell(world, READINESS, True)
    before = world.generation()
    assert tell(world, READINESS, True) == []
    assert world.observe() == []
    assert world.generation() is before


def test_a_pod_that_ends_is_not_stopped_once_more_for_its_health() -> None:
    pod = static_pod(container(liveness_probe=probe()))
    world = running_world(pod)
    world.withdraw(pod)
    assert tell(world, LIVENESS, False) == []
    assert [stop.reason for stop in world.all(StopContainer)] == [Reason.POD_REMOVED]


def test_a_restarted_agent_keeps_what_probes_have_told() -> None:
    world = running_world(static_pod(probed_container()))
    tell(world, STARTUP, True)
    tell(world, READINESS, True)
    told = len(world.statuses())
    world.restart_agent()
    world.run_until_idle()
    assert all(s.container_statuses[0].ready for s in world.statuses()[told:])
    assert kinds(world) == [READINESS, LIVENESS]
    assert world.started() == ["web"]


def test_what_probes_have_told_survives_in_snapshots_and_events() -> None:
    world = running_world(static_pod(probed_container()))
    event: AnyEvent = result(world, STARTUP, True)
    assert decode_event(encode_event(event)) == event
    world.feed(event)
    tell(world, LIVENESS, False)
    snapshot = world.reducer.snapshot()
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


def test_startup_is_due_first_and_the_others_after_it() -> None:
    world = running_world(static_pod(probed_container()))
    assert kinds(world) == [STARTUP]
    tell(world, STARTUP, True)
    assert kinds(world) == [READINESS, LIVENESS]
    assert [one.passing for one in due(world.generation())] == [False, False]
    tell(world, READINESS, True)
    assert [one.passing for one in due(world.generation())] == [True, True]


def test_only_readiness_is_due_while_a_container_or_its_pod_ends() -> None:
    pod = static_pod(probed_container(startup_probe=None))
    world = running_world(pod)
    tell(world, LIVENESS, False)
    assert kinds(world) == [READINESS]
    world.run_until_idle()
    assert kinds(world) == [READINESS, LIVENESS]
    world.withdraw(pod)
    assert kinds(world) == [READINESS]
    world.step()
    assert kinds(world) == []


def test_nothing_is_due_of_a_container_that_has_not_started_while_it_ends() -> None:
    pod = static_pod(probed_container())
    world = running_world(pod)
    world.withdraw(pod)
    assert kinds(world) == []


def test_nothing_is_due_of_plain_containers_and_of_pods_that_have_ended() -> None:
    assert due(running_world().generation()) == ()
    world = running_world(static_pod(container(readiness_probe=probe()), restart_policy="Never"))
    world.exit("web", 0)
    world.run_until_idle()
    assert due(world.generation()) == ()


def test_an_init_container_is_never_probed_but_a_sidecar_is() -> None:
    one = container("one", readiness_probe=probe())
    proxy = container("proxy", restart_policy="Always", readiness_probe=probe())
    pod: Pod = static_pod(init=[one, proxy])
    world = running_world(pod)
    assert kinds(world, "one") == []
    world.exit("one", 0)
    world.run_until_idle()
    assert kinds(world, "proxy") == [READINESS]
    assert not world.shown("proxy").ready
    tell(world, READINESS, True, "proxy")
    assert world.shown("proxy").ready


def test_answers_count_only_in_a_row() -> None:
    asked = probe(failure_threshold=2, success_threshold=3)
    run, counted = Run(), []
    for passed in (False, True, False, False, True, True, True):
        run = run.then(passed)
        counted.append(run.counts(asked))
    assert counted == [False, False, False, True, False, False, True]


def test_thresholds_that_are_not_set_are_upstreams() -> None:
    run, counted = Run(), []
    for passed in (False, False, False, True):
        run = run.then(passed)
        counted.append(run.counts(probe()))
    assert counted == [False, False, True, True]


def test_each_kind_has_its_probe() -> None:
    made = [probe(period_seconds=n) for n in (1, 2, 3)]
    one = container(startup_probe=made[0], readiness_probe=made[1], liveness_probe=made[2])
    assert [probe_of(one, kind) for kind in (STARTUP, READINESS, LIVENESS)] == made


def test_a_probe_that_the_definition_no_longer_has_leaves_the_pods_own_grace() -> None:
    """Without hashes a changed definition restarts nothing, so that the probe may be gone."""
    pod = static_pod(container(liveness_probe=probe(termination_grace_period_seconds=5)))
    world = running_world(pod)
    event = result(world, LIVENESS, False)
    world.offer(static_pod(container()))
    world.feed(event)
    assert world.stopped() == [("web", 30)]


def test_a_failed_hook_ends_the_instance_with_its_own_exit_code() -> None:
    """The runtime's answer names the instance, its image and how it ended."""
    world = World()
    world.offer(static_pod())
    world.runtime.fail("web", "PostStartHookError", instance=True)
    world.step()
    command = world.queue.pop(0)
    event = world.runtime.answer(command, world.now)
    world.feed(_with(event, ended="", exit_code=137, image_id="sha256:1", started_at=world.now))
    ended = world.shown().state.terminated or world.last_end()
    assert (ended.reason, ended.exit_code) == ("Error", 137)
    assert world.shown().image_id == "sha256:1"


def _with(event: Any, **fields: Any) -> AnyEvent:
    fresh: AnyEvent = type(event)(**{**{f: getattr(event, f) for f in event.__struct_fields__}, **fields})
    return fresh


@pytest.mark.parametrize("seed", range(25))
def test_whatever_probes_say_and_whenever_planning_again_adds_nothing(seed: int) -> None:
    """Results, ends, restarts of the agent and answers in any order; the world checks every step."""
    dice = random.Random(seed)
    proxy = probed_container("proxy", restart_policy="Always")
    policy = dice.choice(["Always", "OnFailure", "Never"])
    pod = static_pod(probed_container(), init=[proxy], restart_policy=policy)
    world = running_world(pod)
    for _ in range(60):
        name = dice.choice(["web", "proxy"])
        match dice.randrange(8):
            case 0 | 1 | 2 if name in world.generation().containers:
                event = result(world, dice.choice(list(ProbeKind)), dice.random() < 0.6, name)
                world.feed(event)
                assert world.feed(event) == []
            case 3 if name in world.runs():
                world.exit(name, dice.choice([0, 1]))
            case 4:
                world.restart_agent()
            case 5:
                world.advance(dice.choice([1, 11, 400]))
            case _ if world.queue:
                world.step()
            case _:
                pass
        shown = world.status().init_container_statuses + world.status().container_statuses
        assert not [s.name for s in shown if s.ready and not (s.started and s.state.running)]
