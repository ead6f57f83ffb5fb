"""Pods that write more to the node's disk than they may are evicted, in upstream's words."""

from typing import Any

import pytest

from minikubelet.core.commands import CleanUpPod, DeleteApiPod, Reason, StopContainer
from minikubelet.core.events import StorageMeasured
from minikubelet.core.nodefacts import Amounts
from minikubelet.core.state import Stage
from minikubelet.core.storage import exceeded, is_limited
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.pod import Container, EmptyDirVolumeSource, Pod, ResourceRequirements, Volume
from tests.core.core_world import SLOT, World, container, sidecar, static_pod

MIB = 1 << 20


def limited(name: str, storage: str, **fields: Any) -> Container:
    return container(name, resources=ResourceRequirements(limits={"ephemeral-storage": storage}), **fields)


def volume(name: str, size: str, medium: str = "") -> Volume:
    return Volume(name=name, empty_dir=EmptyDirVolumeSource(size_limit=size, medium=medium))


OUTGROWN = 'Usage of EmptyDir volume "scratch" exceeds the limit "1Gi". '
SCRATCH = static_pod(
    volumes=(Volume(name="conf"), volume("scratch", "1024Mi"), volume("fast", "1Mi", "Memory"))
)


@pytest.mark.parametrize(
    ("pod", "volumes", "containers", "total", "message"),
    [
        (SCRATCH, (("scratch", 1024 * MIB + 1),), (), 0, OUTGROWN),
        (SCRATCH, (("scratch", 1024 * MIB),), (), 0, None),
        (SCRATCH, (("fast", 9 * MIB),), (), 0, None),
        (
            static_pod(limited("a", "10Mi"), "b"),
            (),
            (("a", 10 * MIB), ("b", 1)),
            10 * MIB + 1,
            "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ",
        ),
        (
            static_pod(limited("a", "10M"), limited("b", "90M")),
            (),
            (("b", 2), ("a", 11 * 1000**2)),
            12 * 1000**2,
            'Container a exceeded its local ephemeral storage limit "10M". ',
        ),
        (static_pod(limited("a", "0"), "b"), (), (("a", 5),), 5, None),
        (static_pod(), (), (("web", 5),), 5, None),
        (static_pod(limited("a", "much")), (), (("a", 5),), 5, None),
        (
            static_pod(limited("a", "1Mi"), init=[sidecar("s"), limited("i", "3Mi"), limited("j", "2Mi")]),
            (),
            (),
            2 * MIB,
            None,
        ),
        (
            static_pod(limited("a", "1Mi"), init=[limited("s", "3Mi", restart_policy="Always")]),
            (),
            (),
            5 * MIB,
            "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ",
        ),
    ],
)  # fmt: skip
def test_the_first_limit_that_is_exceeded_is_said(
    pod: Pod, volumes: Amounts, containers: Amounts, total: int, message: str | None
) -> None:
    assert exceeded(pod, volumes, containers, total) == message


def test_only_pods_with_a_limit_on_disk_have_to_be_measured() -> None:
    assert is_limited(SCRATCH)
    assert is_limited(static_pod(limited("a", "1Mi")))
    assert not is_limited(static_pod(volumes=(volume("fast", "1Mi", "Memory"), volume("free", ""))))


def measured(world: World, size: int, uid: str = "a") -> list[StopContainer]:
    event = StorageMeasured(slot=SLOT, uid=PodUid(uid), volumes=(("scratch", size),), total=size)
    return [c for c in world.feed(event) if isinstance(c, StopContainer)]


def grown(source: Source = Source.API) -> World:
    world = World(Source.FILE, Source.API, api=True)
    world.offer(SCRATCH, source)
    world.run_until_idle()
    return world


def test_a_pod_that_outgrew_its_volume_is_stopped_at_once_and_fails_as_evicted() -> None:
    world = grown()
    (stop,) = measured(world, 2048 * MIB)
    assert (stop.reason, stop.grace) == (Reason.POD_EVICTED, 1)
    assert world.status().phase == "Running"
    assert measured(world, 4096 * MIB) == []
    world.run_until_idle()
    status = world.status()
    assert (status.phase, status.reason) == ("Failed", "Evicted")
    assert status.message == OUTGROWN
    assert "DisruptionTarget" not in [c.type for c in status.conditions]
    world.restart_agent()
    world.run_until_idle()
    assert (world.status().reason, world.runs()) == ("Evicted", [])


def test_an_evicted_pod_gives_its_disk_back_and_stays_to_be_seen() -> None:
    world = grown()
    measured(world, 2048 * MIB)
    world.run_until_idle()
    (clean_up,) = world.all(CleanUpPod)
    assert clean_up.keep_definition
    assert not world.runtime.pods
    assert world.generation().stage is Stage.FINISHED
    assert world.all(DeleteApiPod) == []
    assert world.shown().state.terminated is not None
    world.observe_all()
    world.restart_agent()
    world.run_until_idle()
    assert (world.generation().stage, len(world.all(CleanUpPod))) == (Stage.FINISHED, 1)
    world.delete(SCRATCH)
    world.run_until_idle()
    assert len(world.all(DeleteApiPod)) == 1


def test_a_measurement_that_exceeds_nothing_or_is_of_no_pod_changes_nothing() -> None:
    world = grown()
    assert measured(world, 5) == []
    assert measured(world, 2048 * MIB, "other") == []
    assert world.generation().ending is None


def test_static_pods_are_critical_and_stay() -> None:
    world = grown(Source.FILE)
    assert measured(world, 2048 * MIB) == []
    assert world.runs() == ["web"]


def test_a_deleted_pod_that_was_evicted_goes_with_its_verdict() -> None:
    world = grown()
    measured(world, 2048 * MIB)
    world.delete(SCRATCH)
    world.run_until_idle()
    assert world.status().reason == "Evicted"
