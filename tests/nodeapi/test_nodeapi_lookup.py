"""Which pod and instance a name means, and when an instance logs no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minikubelet.nodeapi.nodelookup import Lookup, NodeRefusal, container_names, running_containers
from tests.nodeapi.nodeapi_world import FakeView, pod_object
from tests.running import run
from tests.runtimes.contract.contract_world import connected, container_of, sandbox_of, started
from tests.runtimes.simulated.simulated_world import SimulatedWorld


@pytest.mark.parametrize(
    ("shown", "over"),
    [
        ({"restartCount": 1, "state": {"running": {}}}, False),
        ({"restartCount": 1, "state": {"terminated": {}}}, True),
        ({"restartCount": 1, "state": {"waiting": {}}, "lastState": {"terminated": {}}}, True),
        ({"restartCount": 1, "state": {"waiting": {}}}, False),
        ({"restartCount": 1, "state": {}}, False),
        ({"restartCount": 0, "state": {"terminated": {}}}, False),
        ({"restartCount": 2, "state": {"running": {}}}, True),
        ({"restartCount": 2, "state": {"waiting": {}}}, True),
    ],
)
def test_the_log_of_instance_one_is_over_when(state_dir: Path, shown: dict[str, Any], over: bool) -> None:
    view = FakeView()
    pod = pod_object("default", "web")
    pod["status"]["containerStatuses"] = [{"name": "other"}, {"name": "main", **shown}]
    view.items.append(pod)
    lookup = Lookup(view, SimulatedWorld(state_dir).driver())
    assert lookup.log_is_over(pod, "main", 1) is over
    assert not lookup.log_is_over(pod, "not-told-of-yet", 1)
    view.items.clear()
    assert lookup.log_is_over(pod, "main", 1)


def test_a_name_means_the_newest_pod_that_runs(state_dir: Path) -> None:
    """One that is ending is reached as long as its successor has nothing to reach."""

    async def main() -> None:
        world, view = SimulatedWorld(state_dir), FakeView()
        async with connected(world.driver()) as runtime:
            lookup = Lookup(view, runtime)
            ids: list[str] = []
            for attempt in range(2):
                sandbox = sandbox_of(world)
                sandbox_id = await runtime.run_pod_sandbox(sandbox)
                view.items.append(pod_object("default", "web", uid=sandbox.uid))
                if attempt:
                    assert await lookup.running("default", "web", "main") == ids[0]
                config = container_of(world, sandbox, world.sleeps())
                ids.append(await started(runtime, sandbox_id, config))
                assert await lookup.running("default", "web", "main") == ids[-1]
                assert await lookup.sandbox("default", "web") == sandbox_id
                assert await lookup.running("default", "web", "main", sandbox.uid) == ids[-1]
            older = view.items[0]["metadata"]["uid"]
            assert await lookup.running("default", "web", "main", older) == ids[0]
            for container_id in ids:
                await runtime.stop_container(container_id, 0)
            with pytest.raises(NodeRefusal, match="is not running"):
                await lookup.running("default", "web", "main")
            with pytest.raises(NodeRefusal, match="is not on this node"):
                await lookup.sandbox("other", "web")
            with pytest.raises(NodeRefusal, match="is not in pod"):
                lookup.with_container("default", "web", "side")

    run(main())


def test_all_kinds_of_containers_are_found() -> None:
    pod = pod_object("default", "web", container_id="abc")
    pod["spec"]["initContainers"] = [{"name": "first"}]
    pod["spec"]["ephemeralContainers"] = [{"name": "debug"}]
    assert container_names(pod) == ["first", "main", "debug"]
    assert running_containers(pod) == [("main", "abc", "2026-01-02T03:04:05Z")]
    assert container_names({"metadata": {}}) == []
    assert running_containers({"metadata": {}}) == []
