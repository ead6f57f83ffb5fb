"""An agent for each file, with the pods of all its tests made at once, and each test's own pod."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.conformance_world import Cluster, Seen, name_of
from tests.e2e.agent_process import AgentProcess


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """An agent of the file's own, with the pods of the tests that are to run."""
    base = Path(tempfile.mkdtemp(prefix="mk-", dir="/tmp"))
    agent = AgentProcess(base, "docker")
    config = base / "kubelet.yaml"
    config.write_text(
        f"clusterDomain: cluster.local\nclusterDNS: [10.96.0.10]\n{config.read_text('utf-8')}", "utf-8"
    )
    try:
        made = Cluster(agent.start())
        _create_all(made, request)
        yield made
    finally:
        agent.remove_everything()
        print(agent.tail())  # noqa: T201 - pytest shows it beside a failure
        shutil.rmtree(base, ignore_errors=True)


def _create_all(cluster: Cluster, request: pytest.FixtureRequest) -> None:
    ours = [item for item in request.session.items if item.path == request.path]
    marks = [(item, mark) for item in ours for mark in item.iter_markers("pod")]
    objects = {(o["kind"], o["metadata"]["name"]): o for _, mark in marks for o in mark.args[1:]}
    cluster.create(*objects.values())
    for item, mark in marks:
        manifest = mark.args[0]
        metadata = {"name": name_of(item.name), **manifest["metadata"]}
        cluster.create({**manifest, "metadata": metadata})


@pytest.fixture
def seen(cluster: Cluster, request: pytest.FixtureRequest) -> Seen:
    """The pod of the test."""
    return cluster.seen(name_of(request.node.name))


@pytest.fixture
def ended(seen: Seen) -> Seen:
    """The pod of the test, once it has ended."""
    return seen.ended()


@pytest.fixture
def running(seen: Seen) -> Seen:
    """The pod of the test, once its containers run."""
    return seen.running()
