"""Usage, metrics, pods and configuration as clients read them."""

from __future__ import annotations

import asyncio
import math
import re
from pathlib import Path
from typing import Any

import msgspec

from minikubelet.model.settings import KubeletSettings
from minikubelet.nodeapi.nodeconfigz import configuration
from minikubelet.nodeapi.nodemetrics import Exposition, RequestCount
from minikubelet.nodeapi.nodestats import Usage, summary
from minikubelet.wire.settingsfile import read_settings
from tests.nodeapi.nodeapi_world import FakeView, pod_object
from tests.nodeapi.served_world import Served, served
from tests.running import run
from tests.runtimes.contract.contract_world import connected, container_of, sandbox_of, started
from tests.runtimes.simulated.simulated_world import SimulatedWorld

LINE = re.compile(r'[a-z_]+(\{([a-z_]+="([^"\\\n]|\\.)*",?)+\})? ([0-9.e+-]+|[+]Inf)')


async def read(node: Served, path: str) -> Any:
    code, body = await node.ask("GET", path)
    assert code == 200, body
    return msgspec.json.decode(body)


def values(text: str) -> dict[str, float]:
    """An exposition's series; every line must be in the format."""
    found = {}
    for line in text.splitlines():
        if line.startswith("# "):
            assert line.split()[1] in {"HELP", "TYPE"}
            continue
        assert LINE.fullmatch(line), line
        name, _, value = line.rpartition(" ")
        assert name not in found
        found[name] = float(value)
    return found


def test_the_summary_tells_what_each_container_uses(state_dir: Path) -> None:
    async def main() -> None:
        async with served(state_dir) as node:
            found = await read(node, "/stats/summary")
            pod = found["pods"][0]
            uid = node.view.items[0]["metadata"]["uid"]
            assert pod["podRef"] == {"name": "web", "namespace": "default", "uid": uid}
            container = pod["containers"][0]
            assert (container["name"], container["startTime"]) == ("main", "2026-01-02T03:04:05Z")
            assert container["memory"]["workingSetBytes"] == 16 << 20
            assert container["cpu"]["usageCoreNanoSeconds"] >= 0
            assert pod["process_stats"] == {"process_count": 1}
            assert found["node"]["nodeName"] == "node1"
            assert found["node"]["cpu"]["usageCoreNanoSeconds"] > 0
            assert found["node"]["memory"]["availableBytes"] > 0

    run(main())


def test_metrics_are_in_prometheus_format_under_upstream_s_names(state_dir: Path) -> None:
    async def main() -> None:
        async with served(state_dir) as node:
            await node.ask("GET", "/nowhere/at/all")
            _, text = await node.ask("GET", "/metrics")
            found = values(text)
            assert found["kubelet_running_pods"] == 1
            assert found['kubelet_running_containers{container_state="running"}'] == 1
            assert found['kubelet_node_name{node="node1"}'] == 1
            assert found["minikubelet_journal_seq"] == 7
            counted = (
                'kubelet_http_requests_total{method="GET",path="other",server_type="readwrite",code="404"}'
            )
            assert found[counted] == 1
            assert found["process_resident_memory_bytes"] > 1_000_000
            assert found["kubelet_certificate_manager_client_ttl_seconds"] == -5.5
            assert found["kubelet_certificate_manager_client_expiration_renew_errors"] == 2
            assert found["kubelet_certificate_manager_server_ttl_seconds"] == math.inf
            assert found["kubelet_server_expiration_renew_errors"] == 0
            _, text = await node.ask("GET", "/metrics/resource")
            found = values(text)
            labels = '{container="main",namespace="default",pod="web"}'
            assert found[f"container_memory_working_set_bytes{labels}"] == 16 << 20
            assert found['pod_memory_working_set_bytes{namespace="default",pod="web"}'] == 16 << 20
            assert found[f"container_start_time_seconds{labels}"] == 1_767_323_045
            assert found["node_memory_working_set_bytes"] > 0
            assert found["resource_scrape_error"] == 0

    run(main())


def test_labels_are_escaped() -> None:
    out = Exposition()
    out.add("name", "gauge", "what", [({"key": 'a"b\\c\nd'}, 1.5)])
    assert out.text().splitlines()[2] == 'name{key="a\\"b\\\\c\\nd"} 1.5'
    count = RequestCount()
    count.done("GET", "pods", 200)
    count.done("GET", "pods", 200)
    assert count.series()[0][1] == 2


def test_pods_and_running_pods(state_dir: Path) -> None:
    async def main() -> None:
        async with served(state_dir) as node:
            node.view.items.append(pod_object("default", "waits"))
            assert [pod["metadata"]["name"] for pod in (await read(node, "/pods"))["items"]] == [
                "web",
                "waits",
            ]
            running = (await read(node, "/runningpods"))["items"]
            assert [pod["metadata"]["name"] for pod in running] == ["web"]

    run(main())


def test_the_configuration_can_be_read_back(state_dir: Path) -> None:
    """What `/configz` shows is a KubeletConfiguration that leads to the same settings."""

    async def main() -> None:
        async with served(state_dir) as node:
            shown = (await read(node, "/configz"))["kubeletconfig"]
            assert (shown["port"], shown["fileCheckFrequency"]) == (10250, "20s")
            assert shown["authentication"]["anonymous"] == {"enabled": False}

    run(main())
    plain = KubeletSettings()
    text = msgspec.json.encode({key: value for key, value in configuration(plain).items() if value != ""})
    assert read_settings(text).settings.kubelet == plain


def test_samples_are_shared_and_rates_come_with_the_second(state_dir: Path) -> None:
    """Ten scrapers at once cost one look at each container."""
    now = [100.0]

    async def main() -> None:
        world, view = SimulatedWorld(state_dir), FakeView()
        async with connected(world.driver()) as runtime:
            sandbox = sandbox_of(world)
            sandbox_id = await runtime.run_pod_sandbox(sandbox)
            main_id = await started(runtime, sandbox_id, container_of(world, sandbox, world.sleeps()))
            view.items.append(pod_object("default", "web", uid=sandbox.uid, container_id=main_id))
            view.items.append(pod_object("default", "gone", container_id="no-such-container"))
            usage = Usage(view, runtime, lambda: now[0])
            samples = await asyncio.gather(*(usage.sample() for _ in range(10)))
            assert all(sample is samples[0] for sample in samples)
            assert [each.pod for each in samples[0].containers] == ["web"]
            assert samples[0].containers[0].cpu_rate is None
            assert "usageNanoCores" not in summary(samples[0], "n", "s")["pods"][0]["cpu"]
            now[0] += 10
            second = await usage.sample()
            rate = second.containers[0].cpu_rate
            assert rate is not None
            assert rate == (second.containers[0].cpu - samples[0].containers[0].cpu) // 10
            assert summary(second, "n", "s")["pods"][0]["cpu"]["usageNanoCores"] == rate
            assert second.node.cpu_rate is not None

    run(main())


def test_requests_in_number_are_answered(state_dir: Path) -> None:
    """Many clients at once, one connection each."""

    async def main() -> None:
        async with served(state_dir) as node:
            paths = ["/pods", "/metrics", "/stats/summary", "/healthz"] * 25
            answers = await asyncio.gather(*(node.ask("GET", path) for path in paths))
            assert {code for code, _ in answers} == {200}
            assert await node.ask("POST", "/run/default/web/main?cmd=exit+0") == (200, "")

    run(main())
