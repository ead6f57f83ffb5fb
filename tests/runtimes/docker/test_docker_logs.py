"""Log copies: nothing lost and nothing twice, whatever is rotated, torn, restarted or renamed."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.runtimes.docker.dockerapilog import Skipper, entry_of
from minikubelet.runtimes.docker.dockercrilog import (
    CriLog,
    Cursor,
    LogEntry,
    cursor_of,
    short_time,
    whole_time,
)
from minikubelet.runtimes.docker.dockerframes import FrameParser, LineParser
from minikubelet.runtimes.docker.dockerjsonlog import JsonLog

_START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def entry(
    number: int, stream: str = "stdout", text: bytes | None = None, *, partial: bool = False
) -> LogEntry:
    moment = (_START + timedelta(microseconds=number * 250_000)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return LogEntry(f"{moment}000Z", stream, b"line %d" % number if text is None else text, partial)


def json_line(made: LogEntry) -> bytes:
    """As the engine's json-file driver writes it."""
    text = made.text.decode() + ("" if made.partial else "\n")
    line = {"log": text, "stream": made.stream, "time": short_time(made.time)}
    return msgspec.json.encode(line) + b"\n"


def cri_line(made: LogEntry) -> bytes:
    tag = b"P" if made.partial else b"F"
    return made.time.encode() + b" " + made.stream.encode() + b" " + tag + b" " + made.text + b"\n"


def copy(engine_log: Path, target: Path) -> None:
    """One life of an agent: resume, copy what is there, go."""
    log = CriLog(target)
    source = JsonLog(engine_log, log.open())
    while (entries := source.read()) is not None:
        log.append(entries)
    source.close()
    log.close()


# A few times for many entries, so that parts of one line, and lines of two streams, share theirs.
_ENTRIES = st.lists(
    st.builds(
        entry,
        st.integers(0, 3),
        st.sampled_from(["stdout", "stderr"]),
        st.sampled_from([b"a", b"b", b'"time":"2026-01-02T03:04:05Z"', "ü€".encode(), b""]),
        partial=st.booleans(),
    ),
    max_size=12,
)


@given(_ENTRIES, st.data())
def test_a_copy_that_is_broken_off_anywhere_ends_up_exact(
    tmp_path_factory: pytest.TempPathFactory, entries: list[LogEntry], data: st.DataObject
) -> None:
    """The agent dies with a torn last line, then another goes on; times grow within each stream."""
    entries = sorted(entries, key=lambda made: made.time)
    folder = tmp_path_factory.mktemp("log")
    engine_log, target = folder / "engine.log", folder / "c" / "0.log"
    expected = b"".join(cri_line(made) for made in entries)
    written = data.draw(st.integers(0, len(expected)), label="bytes written before the crash")
    target.parent.mkdir()
    target.write_bytes(expected[:written])
    engine_log.write_bytes(b"".join(json_line(made) for made in entries))
    copy(engine_log, target)
    assert target.read_bytes() == expected


@given(_ENTRIES, st.integers(0, 12), st.integers(0, 12))
def test_rotations_of_both_logs_lose_nothing(
    tmp_path_factory: pytest.TempPathFactory, entries: list[LogEntry], engine_at: int, ours_at: int
) -> None:
    """The engine's log is rotated, and ours renamed, while no agent looks."""
    entries = sorted(entries, key=lambda made: made.time)
    folder = tmp_path_factory.mktemp("log")
    engine_log, target = folder / "engine.log", folder / "0.log"
    engine_log.write_bytes(b"".join(json_line(made) for made in entries[:ours_at]))
    copy(engine_log, target)
    rotated = target.rename(folder / "0.log.20260102-030405")
    (folder / "engine.log.1").write_bytes(b"".join(json_line(made) for made in entries[:engine_at]))
    engine_log.write_bytes(b"".join(json_line(made) for made in entries[engine_at:]))
    copy(engine_log, target)
    both = rotated.read_bytes() + target.read_bytes()
    assert both == b"".join(cri_line(made) for made in entries)


def test_a_rotation_under_the_reader_is_followed(tmp_path: Path) -> None:
    """Lines that came between the last read and the rotation are in the old file still."""
    path = tmp_path / "engine.log"
    path.write_bytes(json_line(entry(1)))
    log = JsonLog(path, None)
    assert log.read() == [entry(1)]
    with path.open("ab") as file:
        file.write(json_line(entry(2)))
        path.rename(tmp_path / "engine.log.1")
        file.write(json_line(entry(3)))
    path.write_bytes(json_line(entry(4)))
    found = [made for _ in range(3) for made in log.read() or []]
    assert found == [entry(2), entry(3), entry(4)]
    assert log.read() is None
    log.close()


def test_a_log_emptied_in_place_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_bytes(json_line(entry(1)) * 3)
    log = JsonLog(path, None)
    assert log.read() == [entry(1)] * 3
    path.write_bytes(json_line(entry(2)))
    assert log.read() == [entry(2)]
    log.close()


def test_half_a_line_waits_for_its_rest_and_damage_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    line = json_line(entry(1))
    path.write_bytes(b"\0\0\0 torn\n" + line[:20])
    log = JsonLog(path, None)
    assert log.read() == []
    with path.open("ab") as file:
        file.write(line[20:])
    assert log.read() == [entry(1)]
    log.close()


def test_a_log_that_is_not_there_yet_is_awaited(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / "engine.log", None)
    assert log.read() is None
    (tmp_path / "engine.log").write_bytes(json_line(entry(1)))
    assert log.read() == [entry(1)]
    log.close()


def test_a_place_that_the_engine_has_dropped_goes_on_with_what_is_newer(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    path.write_bytes(json_line(entry(1)) + json_line(entry(3)) + json_line(entry(4)))
    log = JsonLog(path, Cursor(entry(2).time, "stdout", 1))
    assert log.read() == [entry(3), entry(4)]
    log.close()


def test_the_parts_of_one_long_line_are_counted_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    parts = [entry(2, text=b"x" * 16_384, partial=True) for _ in range(40)]
    between = [entry(3, "stderr")]
    made = [entry(1), *parts[:20], *between, *parts[20:]]
    path.write_bytes(b"".join(cri_line(one) for one in made))
    assert cursor_of(path) == Cursor(entry(2).time, "stdout", 40)


def test_parts_of_one_line_on_both_sides_of_our_rotation_are_counted_together(tmp_path: Path) -> None:
    part = cri_line(entry(2, partial=True))
    (tmp_path / "0.log.1").write_bytes(cri_line(entry(1)) + part * 3)
    (tmp_path / "0.log").write_bytes(part * 2)
    assert cursor_of(tmp_path / "0.log", tmp_path / "0.log.1") == Cursor(entry(2).time, "stdout", 5)


def test_directories_can_be_read_by_collectors_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        log = CriLog(tmp_path / "ns_pod_uid" / "main" / "0.log")
        assert log.open() is None
        log.close()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"ns_pod_uid": 0o755, "main": 0o755, "0.log": 0o640 & ~0o077}


def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "0.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        CriLog(tmp_path / "0.log").open()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("whole", "short"),
    [
        ("2026-01-02T03:04:05.000000000Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T03:04:05.120000000Z", "2026-01-02T03:04:05.12Z"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456789Z"),
    ],
)
def test_times_lose_and_regain_their_zeros(whole: str, short: str) -> None:
    assert (short_time(whole), whole_time(short)) == (short, whole)


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=20)), max_size=8), st.data())
def test_frames_come_whole_from_pieces_of_any_size(
    frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(bytes((of, 0, 0, 0)) + len(text).to_bytes(4, "big") + text for of, text in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    parser, found = FrameParser(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += parser.feed(stream[start:end])
    assert found == [({1: "stdout", 2: "stderr"}[of], text) for of, text in frames]


def test_a_terminal_has_lines_of_stdout() -> None:
    parser = LineParser()
    assert parser.feed(b"one\r\ntw") == [("stdout", b"one\r\n")]
    assert parser.feed(b"o\n") == [("stdout", b"two\n")]


def test_through_the_api_what_is_written_is_skipped_by_its_place() -> None:
    """A line of the other stream may stand before the last one written and yet have a later time."""
    skipper = Skipper(Cursor(entry(2).time, "stdout", 2))
    made = [entry(1), entry(2), entry(3, "stderr"), entry(2), entry(1, "stderr"), entry(2), entry(3)]
    assert skipper.take(made[:3]) == []
    assert skipper.take(made[3:]) == made[4:]
    assert skipper.rest() == []


def test_through_the_api_time_decides_where_the_place_is_gone() -> None:
    skipper = Skipper(Cursor(entry(2).time, "stdout", 1))
    made = [entry(1), entry(3), entry(4, "stderr")]
    assert skipper.take(made) == []
    assert skipper.rest() == made[1:]


def test_an_entry_of_the_api_has_a_time_and_a_text() -> None:
    assert entry_of("stderr", b"2026-01-02T03:04:05.5Z a part") == LogEntry(
        "2026-01-02T03:04:05.500000000Z", "stderr", b"a part", partial=True
    )
    assert entry_of("stdout", b"2026-01-02T03:04:05Z \n").text == b""
