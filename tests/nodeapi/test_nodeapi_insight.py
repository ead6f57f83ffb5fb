"""What the node tells beyond upstream's: its journal as a resumable watch, causes, verdicts, probes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from minikubelet.ports.journalport import JournalError, Record, RecordKind
from tests.nodeapi.served_world import Served, served
from tests.running import run


def test_the_journal_is_watched_and_gone_on_with(state_dir: Path) -> None:
    """Whoever comes back with the next seq misses nothing and sees nothing twice."""

    async def main() -> None:
        async with served(state_dir) as node, node.session() as session:
            seen: list[int] = []
            async with session.get(f"{node.url}/journal?from=4") as answer:
                assert answer.status == 200
                for _ in range(2):
                    line = json.loads(await answer.content.readline())
                    assert line["type"] == "event"
                    assert line["record"] == {"kind": "X"}
                    seen.append(line["seq"])
            node.insight.records.append(Record(6, RecordKind.COMMAND, 9, msgspec.Raw(b"{}"), (5,)))
            async with session.get(f"{node.url}/journal?from={seen[-1] + 1}") as answer:
                line = json.loads(await answer.content.readline())
                assert line == {"seq": 6, "at": 9, "type": "decision", "causes": [5], "record": {}}
                node.insight.records.append(Record(7, RecordKind.EVENT, 9, msgspec.Raw(b"{}")))
                node.insight.more.set()
                seen += [line["seq"], json.loads(await answer.content.readline())["seq"]]
            assert seen == [4, 5, 6, 7]
            async with session.get(f"{node.url}/journal") as answer:
                assert json.loads(await answer.content.readline())["seq"] == 3

    run(main())


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("from=1", 410, "records before 3 are gone; ask for /journal?from=3"),
        ("from=-1", 400, "from must be the seq of a record"),
        ("from=x", 400, "from must be the seq of a record"),
        ("from=99999999999999999999", 400, "from must be the seq of a record"),
    ],
)
def test_a_place_that_is_not_in_the_journal_is_refused(
    state_dir: Path, query: str, code: int, words: str
) -> None:
    async def main() -> None:
        async with served(state_dir) as node:
            found, body = await node.ask("GET", f"/journal?{query}")
            assert found == code
            assert words in body

    run(main())


def test_a_damaged_journal_is_said_before_and_within_the_stream(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with served(state_dir) as node:

            async def broken(_: int) -> Any:
                yield node.insight.records[0]
                raise JournalError("corrupt behind record 3")

            monkeypatch.setattr(node.insight, "follow", broken)
            code, body = await node.ask("GET", "/journal")
            last = json.loads(body.splitlines()[-1])
            assert (code, last["kind"], last["message"]) == (200, "Status", "corrupt behind record 3")
            node.insight.damaged = "no readable head"
            code, body = await node.ask("GET", "/journal")
            assert (code, json.loads(body)["message"]) == (500, "no readable head")

    run(main())


def test_causes_are_asked_for_by_pod(state_dir: Path) -> None:
    async def main() -> None:
        async with served(state_dir) as node:
            answer = await node.ask("GET", "/why?pod=default/web&action=start&all=1&other=x")
            assert answer == (200, '[{"pod":"default/web"}]')
            assert node.insight.asked == [("default/web", {"action": "start", "all": "1"})]
            code, body = await node.ask("GET", "/why?pod=nobody")
            assert code == 404
            assert "no pod 'nobody' occurs here" in json.loads(body)["message"]
            for wrong in ("", "?pod=", f"?pod={'x' * 2000}", f"?pod=default/web&at={'9' * 2000}"):
                assert (await node.ask("GET", f"/why{wrong}"))[0] == 400

    run(main())


async def _text(node: Served, path: str) -> str:
    code, body = await node.ask("GET", path)
    assert code == 200
    return body


def test_verdicts_and_probes_are_told(state_dir: Path) -> None:
    async def main() -> None:
        async with served(state_dir) as node:
            assert json.loads(await _text(node, "/manifests")) == [{"file": "web.yaml", "accepted": True}]
            lines = (await _text(node, "/metrics/probes")).splitlines()
            assert "# TYPE prober_probe_total counter" in lines
            assert lines[-1] == (
                'prober_probe_total{container="main",namespace="default",pod="web",pod_uid="u1",'
                'probe_type="Readiness",result="failed"} 7'
            )

    run(main())
