"""An anonymised export tells nothing of whose cluster it is, and what was decided in it was decided so."""

import gzip
from pathlib import Path

import pytest
from msgspec.structs import replace

from minikubelet.core import events as e
from minikubelet.core.behaviours import TODAY
from minikubelet.model.ids import PodUid, Source
from minikubelet.model.observed import ContainerPhase
from minikubelet.model.podmeta import OwnerReference
from tests.replay.replay_world import Ran, run_command
from tests.replay.scripted_pods import NODE, pod_of, pod_set
from tests.replay.scripted_world import World

Capture = pytest.CaptureFixture[str]
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: shop, labels: {app: nginx}}
spec:
  containers:
  - {name: nginx, image: busybox, readinessProbe: {exec: {command: [x]}}}
"""
ACME = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  overhead: {acme.example/overhead: "1"}
  containers:
  - {name: app, image: busybox, resources: {limits: {acme.example/fpga: 1}, requests: {acme.example/fpga: 1}}}
  volumes:
  - {name: v, csi: {driver: x, volumeAttributes: {acmeKey: hush, type: acmetype, apiVersion: acmeversion}}}
"""


def export(capsys: Capture, world: World, base: Path, *words: str) -> tuple[Ran, Path]:
    """The export of a world's last part."""
    world.write_segments(base / "journal")
    for earlier in sorted((base / "journal").iterdir())[:-1]:
        earlier.unlink()
    out = base / "bug.mkx"
    return run_command(capsys, "export", *words, "-o", str(out), default=base / "journal"), out


def started() -> World:
    world = World()
    world.start()
    return world


def test_a_container_may_be_called_as_its_pod_or_a_label(tmp_path: Path, capsys: Capture) -> None:
    """What its status says of it has to be what is said of it under its new name."""
    world = started()
    world.manifest(POD % "nginx")
    world.segment()
    world.tell(e.NodeSeen(labels=(("zone", "a"),)))
    world.tell(e.NodeSeen(labels=(("zone", "b"),)))
    ran, out = export(capsys, world, tmp_path, "--anonymise")
    assert (ran.code, ran.err) == (0, "")
    told = run_command(capsys, "timeline", "-o", "json", default=out).out
    assert "PublishStatus" not in told, "nothing is decided that was not"


def test_a_history_may_begin_while_a_container_starts(tmp_path: Path, capsys: Capture) -> None:
    world = started()
    world.slow = ("nginx",)
    pod = world.manifest(POD % "web")
    world.segment()
    world.come_up()
    world.exit(pod, "nginx", 1, "Error")
    ran, _ = export(capsys, world, tmp_path, "--anonymise")
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize("words", [(), ("--anonymise",)])
def test_a_pod_that_others_decided_about_comes_with_them(
    tmp_path: Path, capsys: Capture, words: tuple[str, ...]
) -> None:
    """There was room for one pod: without it, the export of the other had it run."""
    world = started()
    life = e.AgentStarted(
        node=NODE, boot="boot-9", sources=(Source.API,), has_api=True, runtime="docker", behaviours=TODAY,
        static_namespace="default", max_pods=1,
    )  # fmt: skip
    world.tell(life)
    world.tell(e.SourceSynced(source=Source.API))
    world.list_runtime()
    for name in ("one", "two"):
        pod = pod_of(POD % name)
        pod = replace(pod, metadata=replace(pod.metadata, uid=f"api-{name}", annotations={}))
        world.tell(pod_set(pod, source=Source.API, origin="7"))
        world.work()
    ran, out = export(capsys, world, tmp_path, "--pod", f"two-{NODE}", *words)
    assert ran.code == 0
    assert "depends on others: all of them are in the export" in ran.err
    assert "(res: pods, q: 1)" in run_command(capsys, "timeline", default=out).out


def test_names_of_resources_owners_and_files_go_and_so_does_what_a_program_says(
    tmp_path: Path, capsys: Capture
) -> None:
    world = started()
    pod = pod_of(ACME)
    owner = OwnerReference(api_version="acme.example/v1", kind="AcmeJob", name="own", uid="u1")
    meta = replace(pod.metadata, owner_references=(owner,), annotations={})
    event = pod_set(replace(pod, metadata=meta), source=Source.API, origin="7")
    world.tell(event)
    world.work()
    generation = world.reducer.slots[event.slot].find(PodUid(event.uid))
    assert generation is not None
    running = generation.containers["app"].id
    end = {"phase": ContainerPhase.EXITED, "exit_code": 1, "finished_at": world.at, "reason": "Error"}
    world.containers[running] = replace(world.containers[running], message="Alice Miller has 42", **end)
    world.look(event.uid)
    world.work()
    world.tell(e.ManifestsJudged(rejected=(("acme#1customer.yaml", "bad"),)))
    ran, out = export(capsys, world, tmp_path, "--anonymise")
    assert ran.code == 0
    told = gzip.decompress(out.read_bytes()).decode().lower()
    assert [word for word in ("acme", "alice", "customer") if word in told] == []
