"""Tail shows the newest records, follows what comes, and is resumed by seq without loss."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.replay.replay_world import run_command, shop
from tests.running import eventually, run

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[2]
FOLLOW = """
import signal, sys
from pathlib import Path
from tests.replay.replay_world import parse
from minikubelet.replay.tailing import run
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(run(parse(*sys.argv[1:])))
"""


def test_the_last_records_and_those_from_a_seq(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    world.write_segments(tmp_path / "j")
    last = world.records[-1].seq
    lines = run_command(capsys, "tail", "-n", "3", default=tmp_path / "j").out.splitlines()
    assert [int(line.split()[2]) for line in lines] == [last - 2, last - 1, last]
    ran = run_command(capsys, "tail", "--from", "7", "-o", "json", default=tmp_path / "j")
    assert [json.loads(line)["seq"] for line in ran.out.splitlines()] == list(range(7, last + 1))
    assert run_command(capsys, "tail", "-n", "0", default=tmp_path / "j").out == ""


def test_what_retention_took_is_said(tmp_path: Path, capsys: Capture) -> None:
    shop().write_segments(tmp_path / "j")
    min((tmp_path / "j").iterdir()).unlink()
    ran = run_command(capsys, "tail", "--from", "2", default=tmp_path / "j")
    assert "records before 33 are gone" in ran.err


def test_the_newest_are_found_across_what_is_missing(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    world.write_segments(tmp_path / "j")
    sorted((tmp_path / "j").iterdir())[1].unlink()
    shown = run_command(capsys, "tail", "-n", "40", "-o", "json", default=tmp_path / "j").out.splitlines()
    left = [json.loads(line)["seq"] for line in shown]
    assert len(left) == 40
    assert left[-1] == world.records[-1].seq
    assert left[0] <= 32


def test_a_follower_says_what_is_missing(tmp_path: Path) -> None:
    world = shop()
    world.write_segments(tmp_path / "j")
    sorted((tmp_path / "j").iterdir())[1].unlink()
    run(_follow_until(tmp_path / "j", 1, world.records[-1].seq))
    assert (tmp_path / "err-1").read_text() == "records 33 to 101 are missing\n"


def test_an_export_cannot_be_followed(tmp_path: Path, capsys: Capture) -> None:
    shop().write_export(tmp_path / "x.mkx")
    ran = run_command(capsys, "tail", "-f", "--journal", str(tmp_path / "x.mkx"))
    assert (ran.code, "does not grow" in ran.err) == (2, True)


def test_following_is_resumed_by_seq_without_loss(tmp_path: Path) -> None:
    files = shop().segments(group=1)
    directory = tmp_path / "j"
    directory.mkdir()
    names = sorted(files)
    (directory / names[0]).write_bytes(files[names[0]])
    whole = [record.seq for record in shop().records]

    async def main() -> None:
        seen = await _follow_until(directory, 1, 20)
        assert seen == whole[: len(seen)]
        for name in names[1:]:
            (directory / name).write_bytes(files[name])
        seen += await _follow_until(directory, seen[-1] + 1, whole[-1])
        assert seen == whole

    run(main())


async def _follow_until(directory: Path, start: int, last: int) -> list[int]:
    """The seqs that a follower printed until it had shown `last`; it is then interrupted."""
    out = directory.parent / f"out-{start}"
    words = ("tail", "-f", "--from", str(start), "-o", "json", "--journal", str(directory))
    with out.open("wb") as file, (directory.parent / f"err-{start}").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FOLLOW, *words,
            stdout=file, stderr=errors, stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    try:
        await eventually(lambda: last in _seqs(out), f"record {last}")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _seqs(out)


def _seqs(path: Path) -> list[int]:
    return [
        json.loads(line)["seq"] for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")
    ]
