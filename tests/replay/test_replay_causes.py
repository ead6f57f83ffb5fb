"""Which of two alike it was: causes, guards and differences where containers, events or times match."""

from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from minikubelet.core import events as e
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.pod import EphemeralContainer, ProbeKind
from minikubelet.ports.journalport import Record
from minikubelet.replay.replayhistory import open_journal
from minikubelet.replay.selecting import select
from minikubelet.replay.whatif import Changes, Scenario
from tests.replay.replay_world import run_command
from tests.replay.scripted_pods import NODE, pod_of, pod_set, slot_of
from tests.replay.scripted_world import World

Capture = pytest.CaptureFixture[str]
TWO = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  terminationGracePeriodSeconds: 5
  containers:
  - {name: aaa, image: busybox, livenessProbe: {exec: {command: [x]}}}
  - {name: bbb, image: busybox, livenessProbe: {exec: {command: [x]}}}
"""
SIDECAR = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  initContainers:
  - {name: proxy, image: busybox, restartPolicy: Always, startupProbe: {exec: {command: [x]}}}
  containers:
  - {name: app, image: busybox}
"""
ONE = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
  - {name: app, image: busybox}
"""


@pytest.fixture
def world() -> World:
    made = World()
    made.start()
    return made


def ask(capsys: Capture, world: World, directory: Path, *words: str) -> str:
    world.write_segments(directory)
    return run_command(capsys, *words, default=directory).out


def stop_failed(world: World, pod: Any, name: str) -> None:
    event = e.CommandFailed(
        slot=slot_of(pod), uid=PodUid(pod.metadata.uid), lane=name, command="StopContainer", reason="Timeout",
        message="engine hung",
    )  # fmt: skip
    world.tell(event)
    world.work()


def test_a_failed_stop_leads_back_to_the_stop_of_its_own_container(
    world: World, tmp_path: Path, capsys: Capture
) -> None:
    pod = world.manifest(TWO)
    world.stubborn = ("aaa", "bbb")
    world.withdraw(pod)
    stop_failed(world, pod, "aaa")
    world.pass_time(3)
    told = ask(capsys, world, tmp_path, "why", "web/aaa", "kill")
    assert "StopContainer of aaa failed: Timeout" in told
    assert "stop container aaa" in told
    assert "stop container bbb" not in told


def test_a_sidecar_that_has_not_started_yet_is_named(world: World, tmp_path: Path, capsys: Capture) -> None:
    world.manifest(SIDECAR)
    told = ask(capsys, world, tmp_path, "why-not", "web/app", "start")
    assert "sidecar proxy has to come first: it runs, and its startup probe has not passed yet" in told


def test_a_container_that_cannot_be_stopped_tells_why_it_is_not_restarted(
    world: World, tmp_path: Path, capsys: Capture
) -> None:
    pod = world.manifest(TWO)
    world.stubborn = ("aaa",)
    world.probe(pod, "aaa", ProbeKind.LIVENESS, passed=False, message="dead")
    under_way = ask(capsys, world, tmp_path / "1", "why-not", "web/aaa", "restart")
    assert "its liveness probe has failed" in under_way
    assert "StopContainer is under way since seq" in under_way
    stop_failed(world, pod, "aaa")
    failed = ask(capsys, world, tmp_path / "2", "why-not", "web/aaa", "restart")
    assert "its stop failed once: StopContainer: Timeout: engine hung; tried again in" in failed


def test_an_ephemeral_container_has_guards_of_its_own(world: World, tmp_path: Path, capsys: Capture) -> None:
    pod = pod_of(ONE)
    debug = EphemeralContainer(name="debug", image="busybox")
    pod = replace(pod, spec=replace(pod.spec, ephemeral_containers=(debug,)))
    world.broken_starts["debug"] = deque(["ErrImagePull"])
    world.tell(pod_set(pod, source=Source.API, origin="7"))
    world.work()
    told = ask(capsys, world, tmp_path / "1", "why-not", "web/debug", "start")
    assert "back-off ends in 10s" in told
    world.pass_time(20)
    told = ask(capsys, world, tmp_path / "2", "why-not", "web/debug", "restart")
    assert "it runs since" in told


def test_events_that_are_delayed_to_one_place_keep_their_own_causes(world: World, tmp_path: Path) -> None:
    pod = world.manifest(TWO)
    for _ in range(2):
        world.exit(pod, "aaa", 1, "Error")
        world.exit(pod, "bbb", 1, "Error")
        world.pass_time(100)
    world.write_segments(tmp_path)
    chosen = select(open_journal(tmp_path), since=0, slot="")
    looks = [s.event.seq for s in chosen.steps if b'"PodObserved"' in bytes(s.event.body)]
    first, second = looks[2:4]
    delayed = {first: (5_000_000, "5s"), second: (5_000_000, "5s")}
    causes: dict[str, tuple[int, ...]] = {}
    for outcome in Scenario(chosen.state, chosen.steps, Changes(delayed=delayed), NODE).run():
        for decision in outcome.decisions:
            if type(decision.command).__name__ == "StartContainer":
                causes[str(getattr(decision.command, "container", ""))] = decision.causes
    assert first in causes["aaa"]
    assert second not in causes["aaa"]
    assert second in causes["bbb"]


def test_two_events_of_one_moment_are_told_apart(world: World, tmp_path: Path, capsys: Capture) -> None:
    pod = world.manifest(TWO)
    uid, slot = PodUid(pod.metadata.uid), slot_of(pod)
    generation = world.reducer.slots[slot].find(uid)
    assert generation is not None
    for name in ("aaa", "bbb"):
        container_id = generation.containers[name].id
        world.tell(
            e.ContainerProbed(
                slot=slot,
                uid=uid,
                container=name,
                container_id=container_id,
                probe=ProbeKind.LIVENESS,
                passed=False,
            )
        )
    world.work()
    records = world.parts[0][1]
    probed = [n for n, one in enumerate(records) if b'"ContainerProbed"' in bytes(one.body)]
    moment = records[probed[0]].at
    for index in range(probed[0], probed[1] + 1):
        records[index] = replace(records[index], at=moment)
    world.write_segments(tmp_path / "a")
    stop = next(n for n, one in enumerate(records) if b'"StopContainer"' in bytes(one.body))
    old = records[stop]
    body = msgspec.Raw(bytes(old.body).replace(b'"grace":5', b'"grace":9'))
    records[stop] = Record(old.seq, old.kind, old.at, body, old.causes)
    world.write_segments(tmp_path / "b")
    ran = run_command(capsys, "diff", str(tmp_path / "a"), str(tmp_path / "b"))
    assert ran.code == 1
    assert "1 of them with other decisions" in ran.out
    assert "only in" not in ran.out


def test_a_broken_edit_is_named_where_one_asks_for_its_pod(
    world: World, tmp_path: Path, capsys: Capture
) -> None:
    world.manifest(ONE)
    world.tell(e.ManifestsJudged(rejected=(("web.yaml", "line 7: no mapping"), ("other.yaml", "odd"))))
    world.write_segments(tmp_path)
    why = run_command(capsys, "why", "web", default=tmp_path).out
    assert "web.yaml is rejected since seq" in why
    assert "line 7: no mapping" in why
    assert "other.yaml" not in why
    held = run_command(capsys, "why-not", "web", "restart", default=tmp_path)
    assert (held.code, "web.yaml is rejected" in held.out) == (0, True)
