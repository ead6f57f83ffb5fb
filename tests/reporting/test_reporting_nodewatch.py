"""Following the Node: labels and taints are told when they change, and only then."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest

from minikubelet.core.events import NodeSeen
from minikubelet.core.nodefacts import Taint
from minikubelet.ports.apiport import Bookmark, Changed, ChangeType, Disconnected, Listed, WatchItem
from minikubelet.reporting.machinefacts import Machine
from minikubelet.reporting.nodeobject import Allocatable, allocatable
from minikubelet.reporting.nodewatch import NodeWatch
from tests.reporting.reporting_world import MemoryApi
from tests.running import run


class WatchedApi(MemoryApi):
    """An API server whose watches show these items and end."""

    def __init__(self, *items: WatchItem) -> None:
        super().__init__()
        self.items = items
        self.asked: list[tuple[str, Mapping[str, str] | None]] = []

    async def list_watch(
        self, path: str, *, params: Mapping[str, str] | None = None
    ) -> AsyncGenerator[WatchItem, None]:
        self.asked.append((path, params))
        for item in self.items:
            yield item


def node(labels: dict[str, str] | None = None, *taints: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": "n", "labels": labels}, "spec": {"taints": list(taints)}}


def test_labels_and_taints_are_told_in_order_and_once() -> None:
    labels = {"zone": "a", "disk": "ssd"}
    gone = {"key": "gone", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
    late = {"key": "late", "effect": "NoSchedule", "value": "very"}
    api = WatchedApi(
        Listed((node(labels, late, gone),), "1"),
        Bookmark("2"),
        Disconnected("away", 1.0),
        Changed(ChangeType.MODIFIED, node(labels, gone, late)),
        Changed(ChangeType.DELETED, node()),
        Changed(ChangeType.ADDED, {"metadata": {"name": "n"}}),
    )
    told: list[NodeSeen] = []
    run(NodeWatch(api, "n", told.append).run())
    assert api.asked == [("/api/v1/nodes", {"fieldSelector": "metadata.name=n"})]
    taints = (Taint("gone", "NoExecute"), Taint("late", "NoSchedule", "very"))
    assert told == [NodeSeen(labels=(("disk", "ssd"), ("zone", "a")), taints=taints), NodeSeen()]


@pytest.mark.parametrize(
    ("reserved", "left"),
    [
        ({}, Allocatable(2000, 4096, 8192)),
        ({"cpu": "250m", "memory": "1Ki", "ephemeral-storage": "2Ki"}, Allocatable(1750, 3072, 6144)),
        ({"cpu": "3", "memory": "1Gi", "ephemeral-storage": "1Gi"}, Allocatable(1, 1, 1)),
    ],
)
def test_what_is_reserved_is_not_for_pods(reserved: dict[str, str], left: Allocatable) -> None:
    """Numbers, not truth values that look alike: these would make the journal unreadable."""
    found = allocatable(Machine(cpus=2, memory=4096, disk=8192), reserved)
    assert found == left
    assert {type(number) for number in (found.cpu, found.memory, found.storage)} == {int}


def test_what_could_not_be_read_of_the_machine_is_not_known_rather_than_used_up() -> None:
    found = allocatable(Machine(cpus=1), {"memory": "1Gi"})
    assert found == Allocatable(1000, 0, 0)
    assert {type(number) for number in (found.memory, found.storage)} == {int}
