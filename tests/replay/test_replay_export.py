"""Exports verify themselves, hold what was asked for, and under aliases name nobody."""

import gzip
import re
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect
from msgspec.structs import replace

from minikubelet.core import events as e
from minikubelet.core.behaviours import TODAY
from minikubelet.core.events import ManifestsJudged
from minikubelet.core.reducer import Snapshot as State
from minikubelet.core.signals import ContainerUse, EvictionRules, Observation, PodUse, Signal, Threshold
from minikubelet.journal.journalreader import JournalReader
from minikubelet.model.ids import PodUid, SlotKey, Source
from minikubelet.model.pod import EphemeralContainer, ProbeKind
from minikubelet.replay.aliases import Aliases
from minikubelet.replay.anonymise import HARMLESS, HARMLESS_LISTS, Anonymiser
from minikubelet.replay.replayhistory import brief_of
from minikubelet.replay.selecting import of_slots
from minikubelet.replay.timelinerows import Filter, rows
from minikubelet.wire.records import decode_snapshot
from tests.replay.replay_world import Ran, run_command, shop
from tests.replay.scripted_pods import NODE, pod_of, pod_set
from tests.replay.scripted_world import World

Capture = pytest.CaptureFixture[str]
NAMES = (
    "corp",
    "team",
    "web",
    "shop",
    "busybox",
    "10.1.0",
    "10.9.8.7",
    "node-a",
    "setup",
    "br0",
    "maxPods",
    "mirror-2",
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    world = shop()
    world.tell(ManifestsJudged(rejected=(("web.yaml", 'line 3: spec.x: Invalid value: "team"'),)))
    world.write_segments(tmp_path / "journal")
    return tmp_path / "journal"


def export(capsys: Capture, journal: Path, *words: str) -> Path:
    path = journal.parent / "out.mkx"
    ran = run_command(capsys, "export", "-o", str(path), *words, default=journal)
    assert ran.code == 0, ran
    assert "every decision matches" in ran.out
    return path


def replay(capsys: Capture, path: Path) -> Ran:
    return run_command(capsys, "replay", str(path))


@pytest.mark.parametrize("pod", [(), ("--pod", "web")])
@pytest.mark.parametrize("last", [(), ("--last", "30s"), ("--last", "1h")])
@pytest.mark.parametrize("alias", [(), ("--anonymise",)])
def test_every_combination_verifies(
    journal: Path, capsys: Capture, pod: tuple[str, ...], last: tuple[str, ...], alias: tuple[str, ...]
) -> None:
    path = export(capsys, journal, *pod, *last, *alias)
    ran = replay(capsys, path)
    assert (ran.code, "damage" in ran.out) == (0, False), ran
    assert path.stat().st_mode & 0o077 == 0


def test_all_of_it_is_all_of_it(journal: Path, capsys: Capture) -> None:
    path = export(capsys, journal)
    assert list(JournalReader(path).records()) == list(JournalReader(journal).records())


def test_one_pod_and_a_time_leave_the_rest_out(journal: Path, capsys: Capture) -> None:
    records = list(JournalReader(export(capsys, journal, "--pod", "web", "--last", "30s")).records())
    whole = list(JournalReader(journal).records())
    assert {brief_of(one.body).slot for one in records} == {"", "shop/web-node-a"}
    assert records[0].at >= whole[-1].at - 30_000_000
    assert all(one in whole for one in records)


def test_aliases_name_nobody_and_keep_the_shape(journal: Path, capsys: Capture) -> None:
    path = export(capsys, journal, "--anonymise")
    text = gzip.decompress(path.read_bytes()).decode()
    assert [name for name in NAMES if re.search(rf"(?<![a-zA-Z0-9]){re.escape(name)}", text)] == []
    before = list(rows(JournalReader(journal), Filter()))
    after = list(rows(JournalReader(path), Filter()))
    assert sorted((r.at, r.kind) for r in before) == sorted((r.at, r.kind) for r in after)
    pods = {old.slot: new.slot for old, new in zip(before, after, strict=True) if not old.decision}
    assert len(set(pods.values())) == len(pods)
    ran = run_command(capsys, "why", "pod-1", "back-off", "--journal", str(path))
    assert "CrashLoopBackOff" in ran.out


def test_what_a_probe_printed_is_gone_under_aliases() -> None:
    probed = e.ContainerProbed(
        slot=SlotKey("shop/web"), uid=PodUid("u"), container="app", container_id="c",
        probe=ProbeKind.LIVENESS, passed=False, message="balance of Alice is 42",
    )  # fmt: skip
    after = Anonymiser([]).event(probed)
    assert isinstance(after, e.ContainerProbed)
    assert (after.probe, after.message) == (probed.probe, "text-1")


def test_error_texts_lose_hosts_and_keep_their_words() -> None:
    names = Aliases(["jupiter"])
    names.image("registry.corp.example:5000/team/app:1")
    said = names.text(
        "cannot pull registry.corp.example:5000/team/app:1: lookup registry.corp.example on 10.0.0.2:53:"
        ' no such host; see https://wiki.corp.example/x and /srv/data/"secret name" on jupiter, mirror.lan:80'
    )
    for name in ("corp", "team", "10.0.0.2", "wiki", "srv", "secret name", "jupiter", "lan"):
        assert name not in said
    assert said.startswith("cannot pull image-1: lookup registry-2 on ")
    assert "no such host; see" in said
    assert names.text("back-off 20s restarting") == "back-off 20s restarting"


def test_a_history_cut_short_is_noticed(journal: Path, capsys: Capture) -> None:
    path = export(capsys, journal)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    ran = replay(capsys, path)
    assert ran.code in (1, 2)
    assert "damaged or cut short" in ran.out


@pytest.fixture
def diverging(tmp_path: Path) -> Path:
    """A journal in which a stop was decided otherwise than this version decides it."""
    world = shop()
    for _, records in world.parts:
        for index, record in enumerate(records):
            body = bytes(record.body).replace(b'"grace":5', b'"grace":9')
            records[index] = replace(record, body=msgspec.Raw(body))
    world.write_segments(tmp_path / "journal")
    return tmp_path / "journal"


def test_recorded_decisions_are_kept_as_they_are(diverging: Path, capsys: Capture) -> None:
    path = diverging.parent / "out.mkx"
    ran = run_command(capsys, "export", "-o", str(path), default=diverging)
    assert (ran.code, "kept as recorded" in ran.out) == (0, True)
    assert "grace: 9 → 5" in replay(capsys, path).out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("-o", "x.tgz"), "name the file x.mkx"),
        (("-o", ""), "names no file"),
        (("-o", "/"), "names no file"),
        (("-o", ".mkx"), "names no file"),
        (("-o", "x.mkx", "--last", "99999999999999999999h"), "hundred years"),
        (("-o", "/proc/none/x.mkx"), "/proc/none/x.mkx"),
        (("-o", "x.mkx", "--pod", "wep"), "did you mean shop/web?"),
        (("-o", "x.mkx", "--last", "soon"), "is no duration"),
    ],
)
def test_wrong_usage_is_said(journal: Path, capsys: Capture, words: tuple[str, ...], hint: str) -> None:
    ran = run_command(capsys, "export", *words, default=journal)
    assert (ran.code, hint in ran.err) == (2, True), ran


def test_a_pod_whose_decisions_differ_stands_alone_all_the_same(diverging: Path, capsys: Capture) -> None:
    out = diverging.parent / "bug.mkx"
    ran = run_command(capsys, "export", "-o", str(out), "--pod", "web", default=diverging)
    assert (ran.code, ran.err, "kept as recorded" in ran.out) == (0, "", True)
    assert "grace: 9 → 5" in replay(capsys, out).out


def test_a_difference_that_anonymising_hides_is_said(diverging: Path, capsys: Capture) -> None:
    out = diverging.parent / "bug.mkx"
    ran = run_command(capsys, "export", "-o", str(out), "--anonymise", default=diverging)
    assert ran.code == 0
    assert "this version decides otherwise than was recorded, from seq" in ran.err
    assert replay(capsys, out).code == 0


def test_a_gap_leaves_out_what_is_before_it(journal: Path, capsys: Capture) -> None:
    sorted(journal.iterdir())[1].unlink()
    path = journal.parent / "out.mkx"
    ran = run_command(capsys, "export", "-o", str(path), default=journal)
    assert (ran.code, "before a gap" in ran.err) == (0, True)
    assert replay(capsys, path).code == 0


def test_an_empty_world_can_be_exported(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    world.write_segments(tmp_path / "journal")
    assert replay(capsys, export(capsys, tmp_path / "journal", "--anonymise")).code == 0


SHORT = e.AgentStarted(
    node=NODE, boot="boot-9", sources=(Source.API,), has_api=True, runtime="docker", behaviours=TODAY,
    static_namespace="default", max_pods=9, labels=(("disk", "fast"), ("kubernetes.io/os", "linux")),
    sysctls=("net.ipv4.ip_unprivileged_port_start",), huge_pages=("hugepages-2Mi",),
    eviction=EvictionRules(thresholds=(Threshold(Signal.MEMORY_AVAILABLE, amount=100),)),
)  # fmt: skip
PICKY = """
apiVersion: v1
kind: Pod
metadata: {name: picky}
spec:
  os: {name: linux}
  nodeSelector: {disk: fast}
  readinessGates: [{conditionType: example.com/open}]
  securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "80"}]}
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: disk, operator: In, values: [fast]}]}]
  containers: [{name: main, image: busybox}]
"""


def test_what_decisions_depend_on_stays_under_aliases(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    world.tell(SHORT)
    world.tell(e.SourceSynced(source=Source.API))
    world.list_runtime()
    pod = pod_of(PICKY)
    debug = EphemeralContainer(name="debug", image="busybox", target_container_name="main")
    pod = replace(pod, spec=replace(pod.spec, priority=0, ephemeral_containers=(debug,)))
    told = replace(pod_set(pod, source=Source.API, origin="7"), gates=(("example.com/open", "True"),))
    world.tell(told)
    world.work()
    world.segment()
    usage = (PodUse(uid=told.uid, memory=60, containers=(ContainerUse("main", 60),)),)
    world.tell(e.NodeMeasured(signals=(Observation(Signal.MEMORY_AVAILABLE, 50, 200),), pods=usage))
    world.work()
    world.tell(e.StorageMeasured(slot=told.slot, uid=told.uid, containers=(("main", 9),), total=9))
    world.write_segments(tmp_path / "journal")
    kinds = [row.kind for row in rows(JournalReader(tmp_path / "journal"), Filter())]
    assert kinds.count("StartContainer") == 2
    assert "StopContainer" in kinds
    path = export(capsys, tmp_path / "journal", "--anonymise")
    assert [row.kind for row in rows(JournalReader(path), Filter())] == kinds
    export(capsys, tmp_path / "journal", "--anonymise", "--last", "0s")


def inner(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    match kind:
        case inspect.UnionType(types=types):
            return types
        case inspect.TupleType(item_types=types):
            return types
        case inspect.VarTupleType(item_type=item) | inspect.DictType(value_type=item):
            return (item,)
        case _:
            return ()


def test_no_word_of_a_fixed_meaning_gets_an_alias() -> None:
    found: set[str] = set()
    seen: set[type] = set()
    left = [("", kind) for kind in inspect.multi_type_info((e.AnyEvent, State))]
    while left:
        name, kind = left.pop()
        if isinstance(kind, inspect.EnumType) and not issubclass(kind.cls, int):
            found.add(name)
        elif isinstance(kind, inspect.StructType) and kind.cls not in seen:
            seen.add(kind.cls)
            left += [(field.encode_name, field.type) for field in kind.fields]
        elif not isinstance(kind, inspect.StructType):
            left += [(name, one) for one in inner(kind)]
    assert "signal" in found
    assert found - HARMLESS - HARMLESS_LISTS - {"reason"} == set()


def test_an_export_of_one_pod_waits_for_no_room_of_others(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    world.segment()
    state = decode_snapshot(world.parts[-1][0].body) if world.parts[-1][0] else None
    assert state is not None
    crowded = replace(state, node=replace(state.node, crowded=(SlotKey("default/other"),)))
    kept = of_slots(crowded, ("shop/web-node-a",))
    assert kept.node.crowded == ()
    assert [slot.key for slot in kept.slots] == ["shop/web-node-a"]
