"""Ephemeral containers: started once beside what runs, never again, and never counted."""

from typing import Any

from msgspec.structs import replace

from minikubelet.core.commands import StartContainer, StopContainer
from minikubelet.core.events import ContainerStartFailed
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.pod import EphemeralContainer, Pod
from minikubelet.model.status import ContainerStatus
from tests.core.core_world import SLOT, World, container, names, sidecar, static_pod


def debugged(*debuggers: EphemeralContainer, **spec: Any) -> Pod:
    return static_pod(ephemeral_containers=debuggers, **spec)


def debugger(name: str = "debug", target: str = "") -> EphemeralContainer:
    return EphemeralContainer(name=name, image="tools:1", target_container_name=target)


def running(pod: Pod | None = None, **more: Any) -> World:
    world = World(Source.API, api=True, **more)
    world.offer(pod or static_pod(), Source.API)
    world.run_until_idle()
    return world


def told(world: World) -> ContainerStatus:
    (status,) = world.status().ephemeral_container_statuses
    return status


def test_one_that_is_added_starts_beside_its_target_and_nothing_restarts() -> None:
    world = running()
    (start,) = [
        c for c in world.offer(debugged(debugger(target="web")), Source.API) if isinstance(c, StartContainer)
    ]
    target = world.generation().containers["web"].id
    assert (start.container, start.attempt, start.target) == ("debug", 0, target)
    assert told(world).state.waiting is not None
    world.run_until_idle()
    status = told(world)
    assert status.state.running is not None
    assert (status.ready, status.started, status.restart_count) == (False, None, 0)
    assert sorted(world.runs()) == ["debug", "web"]
    assert next(c for c in world.status().conditions if c.type == "Ready").status == "True"


def test_one_that_ended_is_not_started_again() -> None:
    world = running()
    world.offer(debugged(debugger()), Source.API)
    world.run_until_idle()
    assert names(world.exit("debug", 3)) == []
    world.advance(3600)
    ended = told(world).state.terminated
    assert ended is not None
    assert ended.exit_code == 3
    world.restart_agent()
    world.run_until_idle()
    assert world.started().count("debug") == 1


def test_a_start_that_failed_is_tried_again_and_says_why() -> None:
    world = running()
    world.offer(debugged(debugger(target="nobody")), Source.API)
    command = world.queue.pop(0)
    assert isinstance(command, StartContainer)
    assert command.target == ""
    world.feed(
        ContainerStartFailed(
            slot=SLOT, uid=PodUid("a"), container="debug", attempt=0,
            reason="CreateContainerConfigError", message="unable to find target container nobody",
        )
    )  # fmt: skip
    waiting = told(world).state.waiting
    assert waiting is not None
    assert (waiting.reason, waiting.message) == (
        "CreateContainerConfigError",
        "unable to find target container nobody",
    )
    world.observe()
    world.advance(5)
    assert told(world).state.running is not None


def test_it_does_not_wait_for_init_containers() -> None:
    world = World(Source.API, api=True)
    world.offer(debugged(debugger(), init=[container("setup"), sidecar("mesh")]), Source.API)
    world.run_until_idle()
    assert world.started()[:2] == ["debug", "setup"]
    assert world.status().phase == "Pending"


def test_it_keeps_no_pod_from_finishing_and_ends_with_it() -> None:
    world = running(static_pod(restart_policy="Never"))
    world.offer(debugged(debugger(), restart_policy="Never"), Source.API)
    world.run_until_idle()
    stopped = [c.container for c in world.exit("web", 0) if isinstance(c, StopContainer)]
    assert stopped == ["debug"]
    world.run_until_idle()
    assert world.status().phase == "Succeeded"


def test_one_in_a_sandbox_that_died_is_stopped_and_stays_dead() -> None:
    world = running()
    world.offer(debugged(debugger()), Source.API)
    world.run_until_idle()
    world.lose_sandbox(kill=False)
    world.run_until_idle()
    assert world.runs() == ["web"]
    assert told(world).state.terminated is not None


def test_one_that_still_runs_in_an_older_sandbox_is_stopped() -> None:
    world = running()
    world.offer(debugged(debugger()), Source.API)
    world.run_until_idle()
    gen = world.generation()
    record = gen.containers["debug"]
    stale = {**gen.containers, "debug": type(record)(name="debug", life=record.life, id=record.id, attempt=0)}
    slot = world.reducer.slots[SLOT]
    world.reducer.slots[SLOT] = slot.put(replace(gen, containers=stale))
    decided = world.offer(debugged(debugger(), host_pid=True), Source.API)
    assert [c.container for c in decided if isinstance(c, StopContainer)] == ["debug"]


def test_a_journal_of_before_ignores_them() -> None:
    world = running(node={"behaviours": ()})
    assert names(world.offer(debugged(debugger()), Source.API)) == []
    assert world.status().ephemeral_container_statuses == ()


def test_an_agent_of_before_that_comes_after_one_of_today_stops_them_as_it_did() -> None:
    world = running()
    world.offer(debugged(debugger()), Source.API)
    world.run_until_idle()
    world.node["behaviours"] = ()
    world.restart_agent()
    world.run_until_idle()
    assert [name for name, _ in world.stopped()] == ["debug"]
