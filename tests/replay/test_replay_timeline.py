"""Timelines show every record once, in order, with what was asked for and nothing else."""

import gzip
import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from minikubelet.core.state import Generation, Slot
from minikubelet.journal.journalreader import JournalReader
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.status import ContainerState, ContainerStateRunning, ContainerStatus, PodStatus
from minikubelet.ports.journalport import Record
from minikubelet.replay.replayhistory import open_journal
from minikubelet.replay.replaymoments import Moment
from minikubelet.replay.timelinebars import Bars
from minikubelet.replay.timelinecommand import bars_of
from minikubelet.replay.timelinerows import Filter, begin_of, rows
from tests.replay.replay_world import Ran, run_command, shop

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    shop().write_segments(tmp_path / "journal")
    return tmp_path / "journal"


def show(capsys: Capture, journal: Path, *words: str) -> Ran:
    return run_command(capsys, "timeline", *words, default=journal)


def test_text_has_a_line_a_record_with_decisions_marked(journal: Path, capsys: Capture) -> None:
    ran = show(capsys, journal)
    lines = ran.out.splitlines()[1:]
    records = shop().records
    assert len(lines) == len(records)
    for line, record in zip(lines, records, strict=True):
        words = line.split()
        assert int(words[1]) == record.seq
        assert words[2] == ("→" if record.kind == "c" else "·")
    assert lines[0].split()[0] == "+0.000"
    assert "+1:18.0" in lines[-1]
    pod = "shop/web-node-a"
    column = {line.index(pod) for line in lines if pod in line[:50]}
    assert len(column) == 1


def test_json_carries_the_record(journal: Path, capsys: Capture) -> None:
    rows = json.loads(show(capsys, journal, "-o", "json", "--kind", "startcontainer").out)
    assert {row["kind"] for row in rows} == {"StartContainer"}
    assert all(row["type"] == "decision" and row["causes"] for row in rows)
    assert rows[0]["record"]["container"] == rows[0]["container"] == "setup"


def test_filters_leave_only_what_is_asked_for(journal: Path, capsys: Capture) -> None:
    job = json.loads(show(capsys, journal, "-o", "json", "--pod", "job").out)
    assert {row["pod"] for row in job} == {"", "default/job-node-a"}
    app = json.loads(show(capsys, journal, "-o", "json", "--pod", "web", "--container", "app").out)
    assert {row["container"] for row in app} == {"app", ""}
    assert all("app" in json.dumps(row["record"]) for row in app)
    some = json.loads(show(capsys, journal, "-o", "json", "--since", "20", "--until", "30").out)
    assert [row["seq"] for row in some] == list(range(20, 31))
    late = json.loads(show(capsys, journal, "-o", "json", "--since", "1s").out)
    assert late[-1]["seq"] == shop().records[-1].seq
    assert late[0]["at"] >= late[-1]["at"] - 1_000_000


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--kind", "StartContaine"), "did you mean StartContainer"),
        (("--pod", "weeb"), "did you mean shop/web?"),
        (("--pod", "web", "--container", "apps"), "did you mean app?"),
        (("--since", "yesterday"), "is no moment"),
        (("--html", "/proc/none/t.html"), "cannot be written"),
    ],
)
def test_what_does_not_occur_is_said(
    journal: Path, capsys: Capture, words: tuple[str, ...], hint: str
) -> None:
    ran = show(capsys, journal, *words)
    assert (ran.code, ran.out) == (2, "")
    assert hint in ran.err


def test_nothing_left_by_the_filters_is_exit_code_1(journal: Path, capsys: Capture) -> None:
    ran = show(capsys, journal, "--since", "900000")
    assert (ran.code, "it reaches from 2026" in ran.err) == (1, True)


def test_the_page_holds_all_records_and_no_address(journal: Path, tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "t.html"
    assert show(capsys, journal, "--html", str(page)).code == 0
    text = page.read_text()
    packed = json.loads(text.split("const PACKED = ", 1)[1].split(";\n", 1)[0])
    data = json.loads(gzip.decompress(b64decode(packed["data"])))
    records = shop().records
    assert [row[0] for row in data["rows"]] == [record.seq for record in records]
    kept = [body for block in packed["blocks"] for body in json.loads(gzip.decompress(b64decode(block)))]
    assert kept == [json.loads(bytes(record.body)) for record in records]
    assert ["shop/web-node-a", "app"] in data["lanes"]
    looks = {bar[3] for bar in data["bars"] if data["lanes"][bar[0]] == ["shop/web-node-a", "app"]}
    assert {"waiting", "running", "failed"} <= looks
    for outside in ("http://", "https://", "src=", "href=", "@import"):
        assert outside not in text
    assert page.stat().st_mode & 0o077 == 0


def test_the_trace_binds_decisions_to_their_causes(journal: Path, tmp_path: Path, capsys: Capture) -> None:
    trace = tmp_path / "t.json"
    assert show(capsys, journal, "--perfetto", str(trace)).code == 0
    events = json.loads(trace.read_text())["traceEvents"]
    starts = {e["id"]: e for e in events if e["ph"] == "s"}
    finishes = {e["id"]: e for e in events if e["ph"] == "f"}
    causes = {f"{seq}-{record.seq}" for record in shop().records for seq in record.causes}
    assert set(starts) == set(finishes) == causes
    slices = {(e["pid"], e["tid"], e["ts"]) for e in events if e["ph"] == "X"}
    for flow in (*starts.values(), *finishes.values()):
        assert (flow["pid"], flow["tid"], flow["ts"]) in slices
    names = {e["args"]["name"] for e in events if e["ph"] == "M"}
    assert {"shop/web-node-a", "node node-a", "app phase", "app decisions"} <= names


def test_phases_are_those_of_the_whole_whatever_is_left_out(journal: Path) -> None:
    """A page of the last minutes shows what went on before, and one of a few kinds what nobody asked for."""
    reader = open_journal(journal)
    records = list(reader.records())
    end = records[-1].at
    whole = bars_of(reader, Filter())
    assert min(bar.begins for bar in whole.within(0, end)) > records[0].at, "it began with nothing"
    for since in [record.at for record in records[::7]]:
        for kinds in ((), ("StartContainer",)):
            part = bars_of(reader, Filter(kinds=kinds, since=Moment(at=since)))
            assert sorted(part.within(since, end)) == sorted(whole.within(since, end)), since
    web = bars_of(reader, Filter("shop/web-node-a")).within(0, end)
    assert {bar.slot for bar in web} == {"shop/web-node-a"}


def test_a_moment_is_read_from_a_part_that_holds_it(journal: Path) -> None:
    reader = open_journal(journal)
    firsts = [head.first for head in reader.headers()]
    assert begin_of(reader, None) == 0
    for first in firsts:
        assert begin_of(reader, Moment(seq=first)) == first
        assert begin_of(reader, Moment(seq=first + 3)) == first
    times = [head.created for head in reader.headers()]
    assert [begin_of(reader, Moment(at=at)) for at in times] == [0, firsts[0], firsts[1]]
    for moment in (Moment(seq=firsts[1] + 2), Moment(at=times[2] + 1)):
        found = [row.seq for row in rows(reader, Filter(since=moment))]
        assert found == [r.seq for r in reader.records() if not moment.ahead(r.seq, r.at)]


def test_of_a_long_history_only_the_end_that_is_asked_for_is_read(
    journal: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(rows(open_journal(journal), Filter()))
    read: list[int] = []
    records = JournalReader.records

    def counted(reader: JournalReader, from_seq: int = 0) -> Iterator[Record]:
        read.append(from_seq)
        return records(reader, from_seq)

    monkeypatch.setattr(JournalReader, "records", counted)
    shown = json.loads(show(capsys, journal, "-o", "json", "--since", str(whole[-1].seq)).out)
    assert [one["seq"] for one in shown] == [whole[-1].seq]
    assert min(read) > 1
    first = whole[0].kind
    ran = show(capsys, journal, "--since", str(whole[-1].seq), "--kind", first)
    assert (ran.code, "nothing passes" in ran.err) == (1, True), "what occurred before is known"
    assert min(read) == 0


def test_a_container_for_debugging_has_its_phases_too() -> None:
    seen = ContainerStatus(
        name="debug", ready=False, restart_count=0, image="i", image_id="",
        state=ContainerState(running=ContainerStateRunning(started_at="")),
    )  # fmt: skip
    status = PodStatus(phase="Running", ephemeral_container_statuses=(seen,))
    gen = Generation(uid=PodUid("u"), slot=SlotKey("a/b"), born_at=0, published=status)
    bars = Bars([Slot(SlotKey("a/b"), generations=(gen,))])
    assert [bar.look for bar in bars.within(0, 1) if bar.container == "debug"] == ["running"]
