"""Container logs by every parameter, across rotations, and not a byte of any other file."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from minikubelet.nodeapi.containerlogs import (
    LogQuery,
    find_log,
    read_log,
    read_query,
    tail_position,
)
from tests.nodeapi.served_world import Served, served
from tests.running import eventually, run

NOW = 1_767_323_045_000_000  # 2026-01-02T03:04:05Z
EMPTY = b"2026-01-02T03:04:03.000000000Z \n"
LINES = (
    "2026-01-02T03:04:00.000000001Z stdout F one\n"
    "2026-01-02T03:04:01.000000000Z stderr F two\n"
    "2026-01-02T03:04:02.000000000Z stdout P th\n"
    "2026-01-02T03:04:02.000000000Z stdout P re\n"
    "2026-01-02T03:04:02.000000000Z stdout F e\n"
    "2026-01-02T03:04:03.000000000Z stdout F \n"
    "2026-01-02T03:04:04.000000000Z stdout F five \n"
)


def shown(path: Path, **params: str) -> bytes:
    """What a query shows."""

    async def main() -> bytes:
        query = read_query(params, lambda: NOW)
        return b"".join([piece async for piece in read_log(path, query, lambda: True)])

    return run(main())


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, b"one\ntwo\nthree\n\nfive \n"),
        ({"tailLines": "0"}, b""),
        ({"tailLines": "1"}, b"five \n"),
        ({"tailLines": "3"}, b"three\n\nfive \n"),
        ({"tailLines": "99"}, b"one\ntwo\nthree\n\nfive \n"),
        ({"limitBytes": "6"}, b"one\ntw"),
        ({"tailLines": "3", "limitBytes": "4"}, b"thre"),
        ({"sinceSeconds": "3"}, b"three\n\nfive \n"),
        ({"sinceTime": "2026-01-02T03:04:02.5Z"}, b"\nfive \n"),
        ({"sinceTime": "2026-01-02T04:04:02.5+01:00"}, b"\nfive \n"),
        ({"sinceTime": "2036-01-02T03:04:02Z"}, b""),
        ({"tailLines": "1", "sinceSeconds": "10"}, b"five \n"),
        ({"stream": "Stderr"}, b"two\n"),
        ({"follow": "true", "tailLines": "1"}, b"five \n"),
        (
            {"timestamps": "true", "tailLines": "3"},
            b"2026-01-02T03:04:02.000000000Z three\n" + EMPTY + b"2026-01-02T03:04:04.000000000Z five \n",
        ),
    ],
)
def test_a_log_is_shown_as_asked_for(tmp_path: Path, params: dict[str, str], expected: bytes) -> None:
    path = tmp_path / "0.log"
    path.write_text(LINES)
    assert shown(path, **params) == expected


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tailLines": "-1"}, "tailLines must be a whole number"),
        ({"tailLines": "\u0661"}, "tailLines must be a whole number"),
        ({"limitBytes": "0"}, "limitBytes must be greater than 0"),
        ({"sinceSeconds": "0"}, "sinceSeconds must be greater than 0"),
        ({"sinceSeconds": "9" * 30}, "sinceSeconds must be a whole number"),
        ({"sinceTime": "yesterday"}, "is not a time"),
        ({"sinceTime": "2026-01-02T03:04:02.5Z", "sinceSeconds": "1"}, "at most one of"),
        ({"stream": "Both"}, "stream must be one of"),
    ],
)
def test_odd_parameters_are_refused_in_a_sentence(params: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_query(params, lambda: NOW)


def test_what_is_no_cri_log_is_shown_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"hello\nx y\n\xff\xfe z F w\nunfinished")
    assert shown(path) == b"hello\nx y\nw\n"
    assert shown(path, tailLines="1") == b"w\n"
    path.write_bytes(b"x" * 5_000_000)
    assert len(shown(path)) > 4_000_000
    path.write_bytes(b"")
    assert shown(path, tailLines="5") == b""
    assert shown(tmp_path / "absent.log") == b""


@given(
    some.lists(some.tuples(some.booleans(), some.integers(0, 50)), max_size=30),
    some.integers(0, 12),
    some.booleans(),
)
def test_the_tail_is_what_a_plain_reading_says(
    lines: list[tuple[bool, int]], wanted: int, torn: bool
) -> None:
    """Whole lines are counted, however many parts they have."""
    entries = [b"t s %s %s\n" % (b"P" if part else b"F", b"x" * size) for part, size in lines]
    file = io.BytesIO(b"".join(entries) + (b"t s F torn" if torn else b""))
    ends = [number for number, (part, _) in enumerate(lines) if not part]
    first = ends[-wanted - 1] + 1 if len(ends) > wanted else 0
    expected = sum(len(entry) for entry in entries[:first])
    if wanted:
        assert tail_position(file, wanted) == expected


def test_the_tail_of_a_large_log_is_found_across_blocks(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    lines = [f"t stdout F {'x' * (number % 3000)} {number}\n" for number in range(500)]
    path.write_text("".join(lines))
    with path.open("rb") as file:
        for wanted in (1, 17, 499, 500, 501):
            assert tail_position(file, wanted) == len("".join(lines[:-wanted]))


def test_a_followed_log_goes_on_through_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_text("t stdout F one\n")
    over = False

    async def main() -> None:
        nonlocal over
        got = b""

        async def follow() -> None:
            nonlocal got
            async for piece in read_log(path, LogQuery(follow=True), lambda: over):
                got += piece

        following = asyncio.create_task(follow())
        await eventually(lambda: got == b"one\n", "the first line")
        with path.open("a") as file:
            file.write("t stdout F tw")
            file.flush()
            file.write("o\n")
        path.rename(tmp_path / "0.log.1")
        path.write_text("t stdout F three\n")
        await eventually(lambda: got == b"one\ntwo\nthree\n", "the line in the new file")
        with path.open("a") as file:
            file.write("t stdout F four\n")
        over = True
        await following
        assert got == b"one\ntwo\nthree\nfour\n"

    run(main())


def test_the_newest_instance_and_the_one_before(tmp_path: Path) -> None:
    assert find_log(tmp_path / "absent", previous=False) is None
    assert find_log(tmp_path, previous=False) is None
    for name in ("2.log", "10.log", "9.log.1", "x.log", "\u0663.log"):
        (tmp_path / name).write_text("")
    assert find_log(tmp_path, previous=False) == tmp_path / "10.log"
    assert find_log(tmp_path, previous=True) == tmp_path / "2.log"
    (tmp_path / "10.log").unlink()
    assert find_log(tmp_path, previous=True) is None


def _log_of(node: Served, directory: Path) -> Path:
    uid = node.view.items[0]["metadata"]["uid"]
    path = directory / "logs" / f"default_web_{uid}" / "main" / "0.log"
    path.parent.mkdir(parents=True)
    path.write_text("t stdout F hello\n")
    return path


def test_names_that_climb_lead_nowhere(state_dir: Path) -> None:
    """Whatever is in a path is a name to be compared, not a path."""

    async def main() -> None:
        async with served(state_dir) as node:
            path = _log_of(node, state_dir)
            (state_dir / "secret").mkdir()
            (state_dir / "secret" / "0.log").write_text("SECRET\n")
            (path.parent.parent / "linked").symlink_to(state_dir / "secret")
            assert await node.ask("GET", "/containerLogs/default/web/main") == (200, "hello\n")
            for trick in (
                "default/web/linked",
                "default/web/..%2F..%2F..%2Fsecret",
                "default/web/../../../secret",
                "..%2f..%2fsecret/web/main",
                "default/..%2Fsecret%00/main",
                "default/web/main%00",
                "default/web/main/",
                "default/web/%2e%2e",
                "default/web/*",
                "defaul*/web/main",
                "default/web_x/main",
                "%2e%2e/%2e%2e/%2e%2e%2fsecret",
                "default/web/" + "x" * 5000,
            ):
                code, body = await node.ask("GET", f"/containerLogs/{trick}")
                assert code in {400, 404}, trick
                assert "SECRET" not in body

    run(main())


def test_a_log_is_followed_until_the_container_has_ended(state_dir: Path) -> None:
    async def main() -> None:
        async with served(state_dir) as node:
            path = _log_of(node, state_dir)
            following = asyncio.create_task(node.ask("GET", "/containerLogs/default/web/main?follow=true"))
            with path.open("a") as file:
                file.write("t stdout F bye\n")
            assert not following.done()
            status = node.view.items[0]["status"]["containerStatuses"][0]
            status["state"] = {"terminated": {"exitCode": 0}}
            assert await following == (200, "hello\nbye\n")
            code, body = await node.ask("GET", "/containerLogs/default/web/main?previous=true")
            assert code == 400
            assert "previous terminated container" in body
            assert (await node.ask("GET", "/containerLogs/default/web/main?tailLines=x"))[0] == 400
            node.view.items.clear()
            assert (await node.ask("GET", "/containerLogs/default/web/main"))[0] == 404

    run(main())


def test_a_container_without_a_log_says_why_it_waits(state_dir: Path) -> None:
    """In upstream's words, which `kubectl logs` shows."""

    async def main() -> None:
        async with served(state_dir) as node:
            status = node.view.items[0]["status"]["containerStatuses"][0]
            which = 'container "main" in pod "web"'
            for state, said in (
                (
                    {"waiting": {"reason": "ContainerCreating"}},
                    f"{which} is waiting to start: ContainerCreating",
                ),
                (
                    {"waiting": {"reason": "ImagePullBackOff"}},
                    f"{which} is waiting to start: trying and failing to pull image",
                ),
                ({"running": {}}, f"{which} has no log"),
            ):
                status["state"] = state
                code, body = await node.ask("GET", "/containerLogs/default/web/main")
                assert (code, json.loads(body)["message"]) == (400, said)

    run(main())
