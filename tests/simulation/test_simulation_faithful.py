"""The simulated engine is like a real one: the same stories come to the same events, decisions and statuses.

Timing aside, and the engine's own words. A story that differs is a fault of the simulated engine, and is
mended there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import structlog

from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.runtimes.simulated import simulatedengine
from minikubelet.runtimes.simulated.simulatedengine import SimulatedEngine
from minikubelet.runtimes.simulated.simulatedoptions import SimulationOptions
from minikubelet.runtimes.simulated.simulatedpod import Container
from tests.engine import docker_probe
from tests.running import run
from tests.simulation.faithful_node import Node, docker_node, life_node, on_virtual_time, simulated_node
from tests.simulation.faithful_play import Play
from tests.simulation.faithful_scripts import SCRIPTS
from tests.simulation.faithful_trace import Trace, Tracer, differences

Told: TypeAlias = dict[str, Trace | BaseException]
SHARED_PATIENCE = 240.0


async def play_all(node: Node, names: list[str]) -> Told:
    """Play scripts side by side on one node; what the agent logs would be long."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    async with node.at_work():
        told = await asyncio.gather(*(play_one(node, name) for name in names), return_exceptions=True)
    return dict(zip(names, told, strict=True))


async def play_one(node: Node, name: str) -> Trace:
    play = Play(node, name)
    await SCRIPTS[name](play)
    return Tracer(play).read()


def simulated(
    directory: Path,
    options: SimulationOptions,
    names: list[str] | None = None,
    make: Callable[[Path, str, SimulationOptions], Node] = simulated_node,
) -> Told:
    """What the scripts come to on a simulated engine."""

    async def main() -> Told:
        return await play_all(make(directory, "of-the-simulation", options), names or list(SCRIPTS))

    return on_virtual_time(main())


def trace_of(told: Told, name: str) -> Trace:
    found = told[name]
    if isinstance(found, BaseException):
        raise found
    return found


@pytest.fixture(scope="module")
def on_simulation(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return simulated(tmp_path_factory.mktemp("simulated"), SimulationOptions(latency=0.02))


@pytest.fixture(scope="module")
def on_docker(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """All scripts at once, in one agent: most of what they do is to wait."""
    namespace = f"mk-{secrets.token_hex(4)}"

    async def main() -> Told:
        node = docker_node(docker_probe.docker_host(), tmp_path_factory.mktemp("docker"), namespace)
        return await play_all(node, list(SCRIPTS))

    try:
        return run(main(), patience=SHARED_PATIENCE)
    finally:
        docker_probe.remove_containers(f"{docker_probe.POD_NAMESPACE_LABEL}={namespace}")


@pytest.mark.docker
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_story_is_the_same_on_the_simulated_and_on_a_real_engine(
    name: str, on_simulation: Told, on_docker: Told
) -> None:
    assert differences(trace_of(on_simulation, name), trace_of(on_docker, name)) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_story_comes_to_its_end(name: str, on_simulation: Told) -> None:
    """On any machine, so that what the stories wait for is not only checked where there is Docker."""
    trace = trace_of(on_simulation, name)
    assert trace["decided pod"]
    assert trace["sandbox removed"] or trace["decided sandbox"]


@pytest.mark.parametrize("seed", range(1, 4))
def test_timing_does_not_matter(seed: int, on_simulation: Told, tmp_path: Path) -> None:
    """Slower calls, some much slower, and events late and doubled: what is compared is the same."""
    options = SimulationOptions(seed=seed, latency=0.05, tail=0.02, late=0.3, delay=0.5, doubled=0.3)
    slow = simulated(tmp_path, options)
    for name in SCRIPTS:
        found = differences(trace_of(on_simulation, name), trace_of(slow, name))
        assert found == [], name


@pytest.fixture(scope="module")
def in_a_life(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """On the driver that `minikubelet simulate` has, whose calls outlive the agent and answer late."""
    options = SimulationOptions(latency=0.02)
    return simulated(tmp_path_factory.mktemp("life"), options, make=life_node)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_story_is_the_same_in_the_world_of_the_seeds(
    name: str, on_simulation: Told, in_a_life: Told
) -> None:
    assert differences(trace_of(on_simulation, name), trace_of(in_a_life, name)) == []


def oom_looks_like_any_kill(patch: pytest.MonkeyPatch) -> None:
    plain = Container.end_by
    patch.setattr(Container, "end_by", lambda it, when, code, _reason="": plain(it, when, code))


def sigterm_is_a_good_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(simulatedengine, "TERMINATED", 0)


def last_words_are_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Container, "last_words", lambda _container, _code: "")


def a_sandbox_takes_its_containers_along(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedEngine, "kill_sandbox", SimulatedEngine.stop_sandbox)


def containers_without_a_sandbox_are_not_listed(patch: pytest.MonkeyPatch) -> None:
    pods = SimulatedEngine.pods
    patch.setattr(
        SimulatedEngine, "pods", lambda it, node, uid: [pod for pod in pods(it, node, uid) if pod.sandboxes]
    )


def what_cannot_start_is_not_there(patch: pytest.MonkeyPatch) -> None:
    start = SimulatedEngine.start

    def and_vanish(engine: SimulatedEngine, container_id: str) -> None:
        try:
            start(engine, container_id)
        except RuntimeFault as fault:
            engine.lose(container_id)
            raise RuntimeFault(fault.reason, fault.message) from fault

    patch.setattr(SimulatedEngine, "start", and_vanish)


UNFAITHFUL: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    oom_looks_like_any_kill: "runs-out-of-memory",
    sigterm_is_a_good_end: "runs-and-is-deleted",
    last_words_are_lost: "last-words",
    a_sandbox_takes_its_containers_along: "loses-its-sandbox",
    containers_without_a_sandbox_are_not_listed: "has-its-sandbox-removed",
    what_cannot_start_is_not_there: "finds-no-command-and-gives-up",
}


@pytest.mark.parametrize("flaw", UNFAITHFUL, ids=lambda flaw: str(flaw.__name__))
def test_an_engine_that_is_not_like_a_real_one_is_noticed(
    flaw: Callable[[pytest.MonkeyPatch], None],
    on_simulation: Told,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Each flaw was one of the simulated engine's, or could have been."""
    flaw(monkeypatch)
    name = UNFAITHFUL[flaw]
    told = simulated(tmp_path, SimulationOptions(latency=0.02), [name])[name]
    assert isinstance(told, BaseException) or differences(told, trace_of(on_simulation, name))
