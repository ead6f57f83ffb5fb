"""What the node is short of: conditions, who is refused and who is evicted then, in upstream's words."""

from typing import Any

import pytest

from minikubelet.core.commands import Reason, StopContainer
from minikubelet.core.events import NodeMeasured
from minikubelet.core.signals import ContainerUse, EvictionRules, Observation, PodUse, Signal, Threshold
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.pod import Pod, ResourceRequirements, Toleration
from tests.core.core_world import SECOND, World, container, static_pod

MIB = 1 << 20
MEMORY = Threshold(signal=Signal.MEMORY_AVAILABLE, amount=100 * MIB)
DISK = Threshold(signal=Signal.NODEFS_AVAILABLE, share=100_000)
IMAGES = Threshold(signal=Signal.IMAGEFS_AVAILABLE, share=100_000)
INODES = Threshold(signal=Signal.NODEFS_INODES_FREE, amount=50)
PIDS = Threshold(signal=Signal.PID_AVAILABLE, amount=10)


def pressed(*thresholds: Threshold, transition: int = 300, most_grace: int = 0, **node: Any) -> World:
    rules = EvictionRules(thresholds, transition * SECOND, most_grace)
    return World(Source.FILE, Source.API, api=True, node={"max_pods": 99, "eviction": rules, **node})


def asks(name: str, memory: str = "", storage: str = "", **spec: Any) -> Pod:
    requests = {"memory": memory, "ephemeral-storage": storage}
    resources = ResourceRequirements(requests={key: text for key, text in requests.items() if text})
    return static_pod(container(resources=resources), uid=name, name=name, **spec)


def guests(world: World, *pods: Pod) -> World:
    for pod in pods:
        world.offer(pod, Source.API)
    world.run_until_idle()
    return world


def measure(
    world: World,
    signal: Signal,
    available: int,
    *uses: PodUse,
    capacity: int = 1000 * MIB,
    split: bool = False,
) -> list[str]:
    """The pods that end after this measurement."""
    seen = (Observation(signal, available, capacity),)
    commands = world.feed(NodeMeasured(signals=seen, pods=uses, split=split))
    return [c.uid for c in commands if isinstance(c, StopContainer)]


def use(name: str, **amounts: Any) -> PodUse:
    return PodUse(uid=PodUid(name), **amounts)


def conditions(world: World) -> list[str]:
    return list(world.reducer.node.pressure.conditions)


def test_a_condition_is_told_at_once_and_for_its_transition_period_after() -> None:
    world = pressed(MEMORY, DISK, INODES, PIDS)
    assert measure(world, Signal.MEMORY_AVAILABLE, 101 * MIB) == []
    assert conditions(world) == []
    measure(world, Signal.MEMORY_AVAILABLE, 99 * MIB)
    measure(world, Signal.NODEFS_AVAILABLE, 99 * MIB)
    measure(world, Signal.PID_AVAILABLE, 9, capacity=100)
    assert conditions(world) == ["MemoryPressure", "DiskPressure", "PIDPressure"]
    world.now += 299 * SECOND
    measure(world, Signal.PID_AVAILABLE, 99, capacity=100)
    assert conditions(world) == ["MemoryPressure", "DiskPressure", "PIDPressure"]
    world.now += 2 * SECOND
    measure(world, Signal.PID_AVAILABLE, 99, capacity=100)
    assert conditions(world) == []


def test_more_has_to_be_there_again_before_it_is_enough() -> None:
    shares = Threshold(signal=Signal.NODEFS_AVAILABLE, share=100_000, reclaim_share=50_000)
    world = pressed(Threshold(signal=Signal.MEMORY_AVAILABLE, amount=100, reclaim=50), shares, transition=0)
    for signal in (Signal.MEMORY_AVAILABLE, Signal.NODEFS_AVAILABLE):
        for available, short in ((120, False), (99, True), (149, True), (151, False), (120, False)):
            measure(world, signal, available, capacity=1000)
            assert bool(conditions(world)) is short


@pytest.mark.parametrize(
    ("signal", "threshold", "pod", "taken"),
    [
        (Signal.MEMORY_AVAILABLE, MEMORY, asks("p"), "[MemoryPressure]"),
        (Signal.MEMORY_AVAILABLE, MEMORY, asks("p", memory="1Mi"), ""),
        (
            Signal.MEMORY_AVAILABLE,
            MEMORY,
            asks("p", tolerations=(Toleration(key="node.kubernetes.io/memory-pressure", operator="Exists"),)),
            "",
        ),
        (Signal.MEMORY_AVAILABLE, MEMORY, asks("p", priority=2_000_000_000), ""),
        (Signal.NODEFS_AVAILABLE, DISK, asks("p", memory="1Mi"), "[DiskPressure]"),
        (Signal.PID_AVAILABLE, PIDS, asks("p", memory="1Mi"), "[PIDPressure]"),
    ],
)
def test_a_node_under_pressure_refuses_what_it_cannot_bear(
    signal: Signal, threshold: Threshold, pod: Pod, taken: str
) -> None:
    world = pressed(threshold)
    measure(world, signal, 1)
    world.offer(pod, Source.API)
    status = world.status("p")
    wanted = f"Pod was rejected: The node had condition: {taken}. " if taken else ""
    assert (status.reason, status.message) == ("Evicted" if taken else "", wanted)


def test_static_pods_are_taken_and_kept_whatever_the_node_is_short_of() -> None:
    world = pressed(DISK)
    measure(world, Signal.NODEFS_AVAILABLE, 1)
    world.offer(asks("host"))
    world.run_until_idle()
    assert measure(world, Signal.NODEFS_AVAILABLE, 1, use("host", local=9)) == []
    assert world.runs("host") == ["web"]


@pytest.mark.parametrize(
    ("threshold", "split", "victim"),
    [
        (MEMORY, False, "greedy"),
        (DISK, False, "layers"),
        (DISK, True, "files"),
        (IMAGES, True, "layers"),
        (IMAGES, False, "layers"),
        (INODES, False, "inodes"),
        (PIDS, False, "forks"),
    ],
)
def test_who_uses_most_beyond_its_request_ends(threshold: Threshold, split: bool, victim: str) -> None:
    pods = (asks("modest", "900Mi", "900Mi"), *(asks(n, "1Mi", "1Mi") for n in ("greedy", "files", "layers")))
    world = guests(pressed(threshold), *pods, asks("inodes", "1Mi", "1Mi"), asks("forks", "1Mi", "1Mi"))
    uses = (
        use("modest", memory=500 * MIB, local=500 * MIB, root=100),
        use("greedy", memory=400 * MIB, local=1, root=1),
        use("files", memory=2 * MIB, local=5 * MIB, root=1, local_inodes=9),
        use("layers", local=3 * MIB, root=6 * MIB),
        use("inodes", local_inodes=10),
        use("forks", pids=99),
    )
    assert measure(world, threshold.signal, 1, *uses, split=split) == [victim]


def test_priority_goes_before_use_and_an_unknown_pod_before_all() -> None:
    world = guests(pressed(MEMORY), asks("high", priority=10), asks("low", priority=1))
    uses = (use("high", memory=900), use("low", memory=5))
    assert measure(world, Signal.MEMORY_AVAILABLE, 1, *uses) == ["low"]
    world = guests(pressed(MEMORY), asks("known", priority=1), asks("unknown", priority=10))
    assert measure(world, Signal.MEMORY_AVAILABLE, 1, use("known", memory=900)) == ["unknown"]


def test_memory_goes_before_the_disk() -> None:
    world = guests(pressed(DISK, MEMORY), asks("files"), asks("greedy"))
    signals = (
        Observation(Signal.NODEFS_AVAILABLE, 1, 100),
        Observation(Signal.MEMORY_AVAILABLE, 1, 1000 * MIB),
    )
    world.feed(NodeMeasured(signals=signals, pods=(use("files", local=9), use("greedy", memory=9))))
    assert world.generation("greedy").ending is not None
    assert world.generation("files").ending is None


def test_the_message_names_threshold_and_containers_beyond_their_request() -> None:
    pod = static_pod(
        container("big", resources=ResourceRequirements(requests={"memory": "1024Ki"})),
        container("small", resources=ResourceRequirements(requests={"memory": "1Gi"})),
        uid="p",
        name="p",
    )
    world = guests(pressed(MEMORY), pod)
    containers = (ContainerUse("big", 3 * MIB), ContainerUse("small", 5), ContainerUse("gone", 7))
    used = use("p", memory=3 * MIB, containers=containers)
    assert set(measure(world, Signal.MEMORY_AVAILABLE, 50 * MIB + 1024, used)) == {"p"}
    world.run_until_idle()
    status = world.status("p")
    message = (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51201Ki. "
        "Container big was using 3Mi, request is 1Mi, has larger consumption of memory. "
    )
    assert (status.phase, status.reason, status.message) == ("Failed", "Evicted", message)
    told = status.conditions[-1]
    assert (told.type, told.reason, told.message) == ("DisruptionTarget", "TerminationByKubelet", message)


def test_the_message_of_inodes_has_plain_numbers_and_of_the_disk_what_containers_wrote() -> None:
    world = guests(pressed(INODES), asks("p"))
    measure(world, Signal.NODEFS_INODES_FREE, 7, use("p", local_inodes=3), capacity=100)
    world.run_until_idle()
    assert world.status("p").message == (
        "The node was low on resource: inodes. Threshold quantity: 50, available: 7. "
    )
    world = guests(pressed(DISK), asks("p"))
    measure(
        world, Signal.NODEFS_AVAILABLE, 1, use("p", containers=(ContainerUse("web", 0, 5),)), capacity=1000
    )
    world.run_until_idle()
    assert world.status("p").message.endswith(
        "Container web was using 5, request is 0, has larger consumption of ephemeral-storage. "
    )


def test_a_soft_threshold_waits_for_its_grace_and_leaves_the_pod_some() -> None:
    soft = Threshold(signal=Signal.MEMORY_AVAILABLE, amount=100 * MIB, grace=60 * SECOND)
    world = guests(
        pressed(soft, most_grace=20), asks("p", termination_grace_period_seconds=7), asks("q", "1Gi")
    )
    uses = (use("p", memory=9), use("q", memory=1))
    assert measure(world, Signal.MEMORY_AVAILABLE, 1, *uses) == []
    assert conditions(world) == ["MemoryPressure"]
    world.now += 61 * SECOND
    assert measure(world, Signal.MEMORY_AVAILABLE, 1, *uses) == ["p"]
    assert world.stopped() == [("web", 7)]


def test_one_pod_ends_at_a_time_and_the_next_once_it_has_gone_or_takes_too_long() -> None:
    world = guests(pressed(MEMORY), asks("p"), asks("q"), asks("r"))
    uses = (use("p", memory=9), use("q", memory=8), use("r", memory=7))
    (stop,) = [c for c in world.feed(_short(*uses)) if isinstance(c, StopContainer)]
    assert (stop.uid, stop.reason, stop.grace) == ("p", Reason.POD_EVICTED, 1)
    assert measure(world, Signal.MEMORY_AVAILABLE, 1, *uses) == []
    world.now += 31 * SECOND
    assert measure(world, Signal.MEMORY_AVAILABLE, 1, *uses) == ["q"]
    world.run_until_idle()
    assert measure(world, Signal.MEMORY_AVAILABLE, 1, *uses) == ["r"]


def _short(*uses: PodUse) -> NodeMeasured:
    return NodeMeasured(signals=(Observation(Signal.MEMORY_AVAILABLE, 1, 1000 * MIB),), pods=uses)


def test_nothing_ends_before_the_runtime_was_listed_and_a_new_life_begins_without_pressure() -> None:
    world = guests(pressed(MEMORY), asks("p"))
    measure(world, Signal.MEMORY_AVAILABLE, 1000 * MIB)
    world.start_agent(observe=False)
    assert measure(world, Signal.MEMORY_AVAILABLE, 1, use("p", memory=9)) == []
    world.start_agent()
    assert conditions(world) == []


def test_what_is_not_measured_is_not_missed() -> None:
    world = guests(pressed(IMAGES, MEMORY), asks("p"))
    assert measure(world, Signal.MEMORY_AVAILABLE, 1000 * MIB, use("p")) == []
    assert conditions(world) == []
