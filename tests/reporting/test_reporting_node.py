"""The Node and its lease: registered, kept, and nobody else's words overwritten."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from minikubelet.apiclient.apierrors import ApiError
from minikubelet.ports.apiport import JsonObject
from minikubelet.reporting.machinefacts import Machine, own_addresses, read_machine
from minikubelet.reporting.nodelease import NodeLease
from minikubelet.reporting.nodeobject import NodeSetup
from minikubelet.reporting.noderegistrar import NodeRegistrar
from tests.reporting.reporting_world import FAST, MemoryApi, at_work, refusal
from tests.running import eventually, run

NODE = "/api/v1/nodes/node-1"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1"
GIB = 1 << 30
SOUND = Machine(
    addresses=("10.0.0.5",),
    architecture="amd64",
    cpus=4,
    memory=8 * GIB,
    memory_available=4 * GIB,
    disk=100 * GIB,
    disk_available=50 * GIB,
    inodes=1000,
    inodes_free=900,
    tasks=100,
    tasks_max=1000,
)


class NodeWorld:
    """A registrar over an API server in memory, a machine and a clock that tests set."""

    def __init__(self, api: MemoryApi | None = None, **options: Any) -> None:
        self.api = api or MemoryApi()
        self.now = 1_700_000_000_000_000
        self.machine = SOUND
        self.problem = ""
        self.journal = ""
        self.pressures: tuple[str, ...] = ()
        self.events: list[tuple[str, str, str]] = []
        self.registrar = NodeRegistrar(
            self.api,
            NodeSetup(name="node-1", port=10250),
            state_dir=Path("/"),
            now=lambda: self.now,
            runtime=lambda: "docker://20.10.24",
            problem=lambda: self.problem,
            journal=lambda: self.journal,
            pressures=lambda: self.pressures,
            record=lambda *event: self.events.append(event),
            read=lambda _: self.machine,
            backoff=FAST,
            **options,
        )

    def look(self) -> None:
        run(self.registrar.look())

    @property
    def node(self) -> dict[str, Any]:
        return self.api.objects[NODE]

    def condition(self, kind: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = [c for c in self.node["status"]["conditions"] if c["type"] == kind]
        return found[0]

    def tells(self) -> int:
        return self.api.calls.count(("PATCH", f"{NODE}/status"))


def test_a_node_is_registered_with_what_the_machine_has() -> None:
    world = NodeWorld()
    world.look()
    node = world.node
    assert node["metadata"]["labels"] == {
        "kubernetes.io/hostname": "node-1",
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }
    status = node["status"]
    assert status["addresses"] == [
        {"type": "InternalIP", "address": "10.0.0.5"},
        {"type": "Hostname", "address": "node-1"},
    ]
    assert status["capacity"] == {
        "cpu": "4",
        "memory": "8388608Ki",
        "ephemeral-storage": "104857600Ki",
        "pods": "110",
    }
    assert status["nodeInfo"]["containerRuntimeVersion"] == "docker://20.10.24"
    assert status["nodeInfo"]["kubeletVersion"].startswith("v1.36.")
    assert status["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 10250}}
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "JournalDegraded": "False",
        "Ready": "True",
    }
    assert world.registrar.uid == node["metadata"]["uid"]


def test_each_condition_that_changes_has_its_event() -> None:
    world = NodeWorld()
    world.look()
    fresh = ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady"]
    assert [reason for _, reason, _ in world.events] == fresh
    assert world.events[0][2] == "Node node-1 status is now: NodeHasSufficientMemory"
    world.events.clear()
    world.pressures, world.problem = ("DiskPressure",), "the engine does not answer"
    for _ in range(2):
        world.look()
    assert [reason for _, reason, _ in world.events] == ["NodeHasDiskPressure", "NodeNotReady"]
    assert world.condition("DiskPressure")["reason"] == "KubeletHasDiskPressure"
    world.events.clear()
    world.pressures, world.problem, world.journal = (), "", "the disk is full"
    world.look()
    assert [reason for _, reason, _ in world.events] == ["NodeHasNoDiskPressure", "NodeReady"]


@pytest.mark.parametrize(("before", "now", "told"), [("a", "b", True), ("a", "a", False), ("", "b", False)])
def test_a_machine_that_was_started_anew_is_told_of(before: str, now: str, *, told: bool) -> None:
    world = NodeWorld()
    world.api.put(NODE, status={"nodeInfo": {"bootID": before}, "conditions": []})
    world.machine = replace(SOUND, boot_id=now)
    world.look()
    rebooted = ("Warning", "Rebooted", f"Node node-1 has been rebooted, boot id: {now}")
    assert (rebooted in world.events) is told


def test_what_others_said_of_a_node_stays() -> None:
    world = NodeWorld()
    world.api.put(
        NODE,
        metadata={"labels": {"zone": "a", "kubernetes.io/os": "old"}, "annotations": {"x": "y"}},
        spec={"podCIDR": "10.1.0.0/24", "taints": [{"key": "t", "effect": "NoSchedule"}]},
        status={
            "addresses": [
                {"type": "InternalIP", "address": "old"},
                {"type": "InternalIP", "address": "old6"},
            ],
            "conditions": [{"type": "NetworkUnavailable", "status": "False"}],
            "capacity": {"example.com/gpu": "2"},
        },
    )
    world.look()
    node = world.node
    assert node["metadata"]["labels"]["zone"] == "a"
    assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"
    assert node["metadata"]["annotations"] == {"x": "y"}
    assert node["spec"] == {"podCIDR": "10.1.0.0/24", "taints": [{"key": "t", "effect": "NoSchedule"}]}
    assert [each["address"] for each in node["status"]["addresses"]] == ["10.0.0.5", "node-1"]
    assert world.condition("NetworkUnavailable")["status"] == "False"
    assert node["status"]["capacity"]["example.com/gpu"] == "2"


def test_the_status_is_told_on_change_and_now_and_then() -> None:
    world = NodeWorld()
    world.look()
    world.now += 10_000_000
    world.look()
    assert world.tells() == 1
    world.problem = "the engine does not answer"
    world.look()
    assert world.tells() == 2
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "KubeletNotReady")
    assert ready["message"] == "the engine does not answer"
    world.now += 300_000_000
    world.look()
    assert world.tells() == 3


def test_a_heartbeat_moves_with_each_report_and_a_transition_only_with_a_change() -> None:
    world = NodeWorld()
    world.look()
    first = world.condition("Ready")
    world.now += 300_000_000
    world.look()
    second = world.condition("Ready")
    assert second["lastHeartbeatTime"] != first["lastHeartbeatTime"]
    assert second["lastTransitionTime"] == first["lastTransitionTime"]
    world.journal = "no space left on device"
    world.now += 10_000_000
    world.look()
    journal = world.condition("JournalDegraded")
    assert (journal["status"], journal["message"]) == ("True", "no space left on device")
    assert journal["lastTransitionTime"] == journal["lastHeartbeatTime"]
    assert world.condition("Ready")["lastTransitionTime"] == first["lastTransitionTime"]


def test_what_the_node_is_short_of_is_told_and_taken_back() -> None:
    world = NodeWorld()
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure")
    world.pressures = kinds
    world.look()
    assert [world.condition(kind)["status"] for kind in kinds] == ["True", "True", "True"]
    assert world.condition("MemoryPressure")["reason"] == "KubeletHasInsufficientMemory"
    world.pressures = ("DiskPressure",)
    world.look()
    assert [world.condition(kind)["status"] for kind in kinds] == ["False", "True", "False"]
    world.pressures = ()
    world.look()
    assert world.condition("DiskPressure")["reason"] == "KubeletHasNoDiskPressure"


def test_a_deleted_node_is_registered_again_and_outages_are_waited_out() -> None:
    async def main() -> None:
        world = NodeWorld()
        world.api.down = True
        async with at_work(world.registrar.run):
            await eventually(lambda: len(world.api.calls) > 2, "some tries")
            world.api.down = False
            await eventually(lambda: world.tells() == 1, "the first report")
            before = world.registrar.uid
            del world.api.objects[NODE]
            world.problem = "changed"
            world.registrar.changed()
            await eventually(lambda: NODE in world.api.objects, "the node")
            await eventually(lambda: world.registrar.uid not in ("", before), "its new uid")

    run(main())


def test_without_registering_only_a_node_that_is_there_is_told_of() -> None:
    world = NodeWorld(register=False)
    world.look()
    assert world.api.objects == {}
    world.api.put(NODE, metadata={"labels": {}})
    world.look()
    assert world.condition("Ready")["status"] == "True"
    assert world.node["metadata"]["labels"] == {}


class OvertakenApi(MemoryApi):
    """Another agent creates each object a moment earlier."""

    async def create_object(self, collection: str, body: JsonObject) -> JsonObject:
        self.put(f"{collection}/{body['metadata']['name']}")
        return await super().create_object(collection, body)


def test_two_agents_of_one_name_racing_to_register_agree() -> None:
    world = NodeWorld(OvertakenApi())
    world.look()
    assert world.condition("Ready")["status"] == "True"


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    assert machine.memory > machine.memory_available > 0
    assert machine.disk > 0
    assert machine.cpus > 0
    assert machine.boot_id
    assert machine.tasks > 0
    assert own_addresses()


def test_a_machine_that_shows_nothing_is_read_all_the_same(tmp_path: Path) -> None:
    machine = read_machine(tmp_path / "missing", root=tmp_path)
    assert (machine.memory, machine.disk, machine.boot_id, machine.os_image) == (0, 0, "", "Linux")


def test_a_lease_is_made_renewed_and_made_again() -> None:
    api = MemoryApi()
    clock = [1_700_000_000_000_000]
    lease = NodeLease(api, "node-1", now=lambda: clock[0], node_uid=lambda: "nu", backoff=FAST)
    run(lease.renew())
    stored = api.objects[LEASE]
    assert stored["spec"] == {
        "holderIdentity": "node-1",
        "leaseDurationSeconds": 40,
        "renewTime": "2023-11-14T22:13:20.000000Z",
    }
    assert stored["metadata"]["ownerReferences"][0]["uid"] == "nu"
    clock[0] += 10_000_000
    run(lease.renew())
    assert api.objects[LEASE]["spec"]["renewTime"] == "2023-11-14T22:13:30.000000Z"


def test_a_lease_survives_outages_conflicts_and_deletion() -> None:
    async def main() -> None:
        api = MemoryApi()
        api.faults = [refusal(404, "NotFound"), refusal(404, "NotFound"), refusal(500, "InternalError")]
        clock = iter(range(1_700_000_000_000_000, 1_800_000_000_000_000, 1_000_000))
        lease = NodeLease(api, "node-1", now=lambda: next(clock), node_uid=str, duration=0, backoff=FAST)
        async with at_work(lease.run):
            await eventually(lambda: LEASE in api.objects, "the lease")
            api.objects[LEASE]["metadata"]["resourceVersion"] = "99999"
            overtaken = api.objects[LEASE]["spec"]["renewTime"]
            await eventually(lambda: api.objects[LEASE]["spec"]["renewTime"] > overtaken, "a renewal")
            del api.objects[LEASE]
            await eventually(lambda: LEASE in api.objects, "the lease again")

    run(main())


def test_a_refused_report_is_raised_to_whoever_asked_for_it() -> None:
    world = NodeWorld()
    world.api.faults = [refusal(403, "Forbidden")]
    with pytest.raises(ApiError, match="Forbidden"):
        world.look()


def test_a_node_taken_for_lost_speaks_up_at_the_next_look() -> None:
    """A control plane marks a silent node's conditions Unknown and waits to be told again."""
    world = NodeWorld()
    world.look()
    world.look()
    before = world.tells()
    world.condition("Ready")["status"] = "Unknown"
    world.look()
    assert world.tells() == before + 1
    assert world.condition("Ready")["status"] == "True"
    world.look()
    assert world.tells() == before + 1
