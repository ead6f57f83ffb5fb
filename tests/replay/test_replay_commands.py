"""Every command is there, is cheap until it is called, and meets damage with words."""

import argparse
import functools
import gzip
import importlib
import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest

from minikubelet.replay.replaycommands import add_parsers
from tests.replay.replay_world import run_command, shop
from tests.replay.scripted_world import World

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "replay": ("replay", "{journal}"),
    "compare": ("replay", "{journal}", "--compare-core"),
    "why": ("why", "web"),
    "why-not": ("why-not", "web", "restart"),
    "timeline": ("timeline",),
    "timeline-html": ("timeline", "--html", "{out}.html"),
    "timeline-perfetto": ("timeline", "--perfetto", "{out}.json"),
    "state": ("state",),
    "diff-at": ("diff", "--at", "10", "60"),
    "diff": ("diff", "{journal}", "{journal}"),
    "export": ("export", "-o", "{out}.mkx"),
    "export-anonymise": ("export", "-o", "{out}.mkx", "--anonymise", "--pod", "web"),
    "tail": ("tail",),
    "what-if": ("what-if", "--drop", "5"),
    "shrink": ("shrink", "{journal}", "--decision", "6", "-o", "{out}.mkx"),
}


@functools.cache
def recorded() -> dict[str, bytes]:
    return shop().segments(group=5)


def write(journal: Path) -> None:
    journal.mkdir()
    for name, data in recorded().items():
        (journal / name).write_bytes(data)


def damaged(directory: Path, how: str) -> None:
    """Damage a journal: its tail, its middle, its head, a whole segment, or everything."""
    segments = sorted(directory.iterdir())
    if how == "tail":
        segments[-1].write_bytes(segments[-1].read_bytes()[:-9])
    elif how == "middle":
        data = bytearray(segments[0].read_bytes())
        data[len(data) // 2] ^= 1
        segments[0].write_bytes(bytes(data))
    elif how == "head":
        segments[1].write_bytes(b"x" + segments[1].read_bytes()[1:])
    elif how == "gap":
        segments[1].unlink()
    elif how == "all":
        for path in segments:
            path.write_bytes(b"\0" * 100)


@pytest.mark.parametrize("how", ["nothing", "tail", "middle", "head", "gap", "all"])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_stumbles_over_damage(tmp_path: Path, capsys: Capture, name: str, how: str) -> None:
    journal = tmp_path / "journal"
    write(journal)
    damaged(journal, how)
    words = [word.format(journal=journal, out=tmp_path / "out") for word in COMMANDS[name]]
    ran = run_command(capsys, *words, default=journal)
    assert ran.code in ((0,) if how in ("nothing", "tail") and name != "diff-at" else (0, 1, 2)), ran
    if ran.code == 2:
        assert ran.err.startswith("minikubelet: ") or ran.out, ran
    if how in ("middle", "head", "gap") and name.startswith("replay"):
        assert "damage: " in ran.out


@pytest.mark.parametrize("name", [one for one in COMMANDS if one != "diff"])
def test_a_state_directory_names_a_journal_as_well(tmp_path: Path, capsys: Capture, name: str) -> None:
    write(tmp_path / "journal")
    words = [w.format(out=tmp_path / "out", journal="") for w in COMMANDS[name] if w != "{journal}"]
    by_root = run_command(capsys, *words, "--root-dir", str(tmp_path))
    assert by_root.code in (0, 1)
    by_path = run_command(capsys, *words, "--journal", str(tmp_path / "journal"))
    assert by_root.code == by_path.code
    if not name.startswith(("replay", "compare")):  # these tell how long they took
        assert by_root == by_path


@pytest.mark.parametrize("name", ["timeline", "state", "tail", "export", "what-if", "why-not"])
def test_a_path_without_its_option_is_met_with_the_option(tmp_path: Path, capsys: Capture, name: str) -> None:
    head, *rest = [word.format(out=tmp_path / "out") for word in COMMANDS[name]]
    words = (head, *rest, "some/journal") if name == "why-not" else (head, "some/journal", *rest)
    ran = run_command(capsys, *words)
    assert (ran.code, ran.out) == (2, "")
    assert "a journal is named as --journal some/journal" in ran.err


def test_two_journals_for_one_command_are_refused(tmp_path: Path, capsys: Capture) -> None:
    ran = run_command(capsys, "replay", str(tmp_path), "--root-dir", str(tmp_path))
    assert (ran.code, "two journals are named" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("nothing", 0, "every decision matches"),
        ("tail", 0, "every decision matches"),
        ("middle", 1, "the journal is damaged in "),
        ("gap", 1, "the journal is damaged in "),
    ],
)
def test_the_last_line_of_a_verification_gives_the_reason_of_its_exit_code(
    tmp_path: Path, capsys: Capture, how: str, code: int, said: str
) -> None:
    write(tmp_path / "journal")
    damaged(tmp_path / "journal", how)
    ran = run_command(capsys, "replay", "--verify", str(tmp_path / "journal"))
    last = ran.out.splitlines()[-1]
    assert (ran.code, said in last) == (code, True)
    assert last.startswith(f"exit code {code}: ") == (code != 0)
    told = json.loads(run_command(capsys, "replay", str(tmp_path / "journal"), "-o", "json").out)
    assert (told["exitCode"], told["verdict"]) == (code, last)


@pytest.mark.parametrize("how", ["tail", "middle", "gap"])
def test_jobs_find_the_same_in_damaged_journals(tmp_path: Path, capsys: Capture, how: str) -> None:
    journal = tmp_path / "journal"
    write(journal)
    damaged(journal, how)
    reports = []
    for jobs in ("1", "3"):
        report = json.loads(run_command(capsys, "replay", str(journal), "-o", "json", "--jobs", jobs).out)
        reports.append({key: value for key, value in report.items() if key != "seconds"})
    assert reports[0] == reports[1]


def test_every_handler_exists() -> None:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    add_parsers(subparsers)
    wanted = {"replay", "why", "why-not", "timeline", "state", "diff", "what-if", "shrink", "export", "tail"}
    assert set(subparsers.choices) == wanted
    for chosen in subparsers.choices.values():
        module, _, name = chosen.get_default("handler").partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_registering_the_commands_imports_nothing_else() -> None:
    source = (
        "import sys, argparse\n"
        "import minikubelet.replay.replaycommands\n"
        "print(sorted(name for name in sys.modules if name in ('msgspec', 'asyncio', 'yaml', 'aiohttp')))\n"
        "print(sorted(name for name in sys.modules if name.startswith('minikubelet')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=100,
        stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    others, ours = done.stdout.splitlines()
    assert others == "[]"
    assert ours == "['minikubelet', 'minikubelet.replay', 'minikubelet.replay.replaycommands']"


def test_output_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    shop().write_segments(tmp_path / "journal")
    done = subprocess.run(
        f"{sys.executable} -m minikubelet timeline --journal {tmp_path / 'journal'} | head -c 10",
        shell=True, capture_output=True, text=True, check=False, timeout=100, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stderr == ""


def test_no_colour_leaves_the_terminal(tmp_path: Path, capsys: Capture) -> None:
    shop().write_segments(tmp_path / "journal")
    for words in (("timeline",), ("why", "web"), ("replay", str(tmp_path / "journal"))):
        assert "\x1b" not in run_command(capsys, *words, default=tmp_path / "journal").out


def test_a_thousand_failures_are_a_short_story(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.broken_sandboxes["default/a-node-a"] = 1200
    world.start()
    world.manifest(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n"
    )
    world.pass_time(80_000)
    assert len(world.records) > 2000
    world.write_segments(tmp_path / "journal")
    ran = run_command(capsys, "why", "a", "sandbox", default=tmp_path / "journal")
    assert ran.code == 0
    assert len(ran.out.splitlines()) < 20
    assert "came about in the same way" in ran.out


def test_a_secret_in_a_manifest_comes_out_nowhere(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    world.manifest(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, annotations: {"
        "kubectl.kubernetes.io/last-applied-configuration: CANARY}}\n"
        "spec: {containers: [{name: c, image: i, command: [run, --token=CANARY],"
        " env: [{name: A, value: CANARY}]}]}\n"
    )
    journal = tmp_path / "journal"
    world.write_segments(journal)
    for name, words in COMMANDS.items():
        if name == "diff-at":
            words = ("diff", "--at", "3", "9")  # noqa: PLW2901 - this history is shorter than the usual one
        ran = run_command(
            capsys, *[word.format(journal=journal, out=tmp_path / name) for word in words], default=journal
        )
        assert "CANARY" not in ran.out + ran.err, name
    written = [path for path in tmp_path.iterdir() if path.is_file()]
    assert len(written) == 5
    for path in written:
        data = path.read_bytes()
        if path.suffix == ".mkx":
            data = gzip.decompress(data)
        elif path.suffix == ".html":
            data = b"".join(map(gzip.decompress, map(b64decode, re.findall(rb'"(H4sI[^"]+)"', data))))
        assert b"spec" in data
        assert b"CANARY" not in data
