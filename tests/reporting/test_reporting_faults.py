"""An API server that answers badly, and people who delete mirrors: everything converges, nothing piles up."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.reporting.flaky_proxy import FAULTS, FlakyProxy
from tests.reporting.reporting_world import SLOT as WEB
from tests.reporting.reporting_world import a_status, an_outbox
from tests.reporting.test_reporting_outbox import create, publish_static, with_mirror
from tests.reporting.test_reporting_stub import NODE, SLOT, an_agent, static_pod
from tests.running import eventually, run


def _more(proxy: FlakyProxy, than: int) -> bool:
    return proxy.met.total() > than


@pytest.mark.parametrize("seed", range(3))
def test_all_converges_through_an_api_server_that_answers_badly(state_dir: Path, seed: int) -> None:
    """Refusals, errors, stalls, torn and twisted watches, and answers that got lost after the deed."""

    async def main() -> None:
        async with an_agent(state_dir, lambda server: FlakyProxy(server, seed)) as (agent, _):
            proxy = agent.proxy
            assert proxy is not None
            number = 0
            while not set(FAULTS) <= set(proxy.met):
                number += 1
                before = proxy.met.total()
                agent.runs(static_pod(f"busybox:{number}"))
                await eventually(partial(_more, proxy, before), "a call")
            last = static_pod("busybox:last")
            agent.runs(last)
            proxy.calm = True
            await agent.until_mirrored(last.metadata.uid)
            assert await agent.outbox.drain(50)
            listed = await agent.client.list_objects("/api/v1/pods")
            mine = [each for each in listed.items if each["spec"].get("nodeName") == NODE]
            assert [each["metadata"]["name"] for each in mine] == [SLOT.rpartition("/")[2]]

    run(main(), patience=100)


def test_a_mirror_that_is_deleted_a_thousand_times_comes_back_a_thousand_times() -> None:
    async def main() -> None:
        async with an_outbox() as world:
            uid = await with_mirror(world)
            seen = {uid}
            for _ in range(1000):
                del world.api.objects[f"/api/v1/namespaces/default/pods/{WEB.rpartition('/')[2]}"]
                world.outbox.mirror_gone(WEB, uid)
                world.outbox.put(create("h1"))
                world.outbox.put(publish_static("h1", a_status("Running")))
                await world.told()
                uid = world.api.pod()["metadata"]["uid"]
                seen.add(uid)
            assert len(seen) == 1001
            assert world.api.status()["phase"] == "Running"
            assert world.outbox.stats().pending == 0
            assert len(world.api.objects) == 1

    run(main())
