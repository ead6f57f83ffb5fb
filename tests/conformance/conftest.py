"""An agent for each file, with the pods of all its tests made at once, and each test's own pod."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conformance.conformance_world import Cluster, Obj, Seen, name_of
from tests.e2e.agent_process import AgentProcess


@dataclass
class Place:
    """What a file's agent starts with: its environment, and words of the manifests that stand for others."""

    env: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def place() -> Place:
    """Nothing special; a file that needs something else has a fixture of this name."""
    return Place()


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, place: Place) -> Iterator[Cluster]:
    """An agent of the file's own, with the pods of the tests that are to run."""
    base = Path(tempfile.mkdtemp(prefix="mk-", dir="/tmp"))
    agent = AgentProcess(base, "docker")
    agent.env = place.env
    config = base / "kubelet.yaml"
    config.write_text(
        f"clusterDomain: cluster.local\nclusterDNS: [10.96.0.10]\n{config.read_text('utf-8')}", "utf-8"
    )
    try:
        made = Cluster(agent.start())
        _create_all(made, request, place.words)
        yield made
    finally:
        agent.remove_everything()
        print(agent.tail())  # noqa: T201 - pytest shows it beside a failure
        shutil.rmtree(base, ignore_errors=True)


def _create_all(cluster: Cluster, request: pytest.FixtureRequest, words: dict[str, str]) -> None:
    ours = [item for item in request.session.items if item.path == request.path]
    marks = [(item, mark) for item in ours for mark in item.iter_markers("pod")]
    objects = {(o["kind"], o["metadata"]["name"]): o for _, mark in marks for o in mark.args[1:]}
    cluster.create(*(_filled(each, words) for each in objects.values()))
    for item, mark in marks:
        manifest = _filled(mark.args[0], words)
        metadata = {"name": name_of(item.name), **manifest["metadata"]}
        cluster.create({**manifest, "metadata": metadata})


def _filled(manifest: Obj, words: dict[str, str]) -> Obj:
    text = json.dumps(manifest)
    for word, meant in words.items():
        text = text.replace(word, meant)
    found: Obj = json.loads(text)
    return found


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
