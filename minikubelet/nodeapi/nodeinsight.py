"""What this node can tell beyond upstream's: verdicts over manifests, its journal as it grows, and why.

Belongs here: handlers over what the agent handed in. May not be here: reading journals, or finding causes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from minikubelet.nodeapi.nodehandlers import json_response
from minikubelet.nodeapi.nodelookup import NodeRefusal, bad_request, not_found
from minikubelet.nodeapi.nodemetrics import CONTENT_TYPE, Exposition, Series
from minikubelet.ports.journalport import JournalError, Record, RecordKind

_QUESTION: Final = ("action", "at", "all")
_LONGEST: Final = 1024


class NoAnswerError(Exception):
    """A question names what is not there; the text says what there is."""


class ProbeAnswers(msgspec.Struct, frozen=True):
    """How often a probe of a running container was answered so; `result` as upstream: successful, failed …"""

    namespace: str
    pod: str
    uid: str
    container: str
    probe: str
    result: str
    count: int


class NodeInsight(Protocol):
    """What the agent tells of itself."""

    def probes(self) -> Sequence[ProbeAnswers]:
        """The answers of all probes that are being asked."""

    def manifests(self) -> list[dict[str, Any]]:
        """The verdicts over the manifest files."""

    def oldest(self) -> int:
        """The seq of the oldest record that is kept; raises JournalError. Blocking."""

    def follow(self, from_seq: int) -> AsyncIterator[Record]:
        """The records from there on, for ever; raises JournalError."""

    def why(self, pod: str, question: Mapping[str, str]) -> list[Any]:
        """The chains of causes of what was decided of a pod; raises NoAnswerError. Blocking."""


class Telling:
    """Handlers. One journal is read for `why` at a time, since that is work."""

    def __init__(self, insight: NodeInsight) -> None:
        self._insight = insight
        self._turn = asyncio.Lock()

    async def manifests(self, _: web.Request) -> web.Response:
        """`/manifests`: the verdict over each file, as `minikubelet manifests -o json`."""
        return json_response(self._insight.manifests())

    async def probe_metrics(self, _: web.Request) -> web.Response:
        """`/metrics/probes`."""
        text = probe_metrics(self._insight.probes())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def why(self, request: web.Request) -> web.Response:
        """`/why?pod=[NAMESPACE/]POD[/CONTAINER][&action=…][&at=…][&all=1]`, as `minikubelet why -o json`."""
        pod = request.query.get("pod", "")
        question = {key: request.query[key] for key in _QUESTION if key in request.query}
        if not pod or any(len(each) > _LONGEST for each in (pod, *question.values())):
            raise bad_request("pod names none; ask /why?pod=NAMESPACE/POD")
        async with self._turn:
            try:
                return json_response(await asyncio.to_thread(self._insight.why, pod, question))
            except NoAnswerError as problem:
                raise not_found(str(problem)) from None

    async def journal(self, request: web.Request) -> web.StreamResponse:
        """`/journal?from=SEQ`: a JSON line for each record from there on, as they come.

        Whoever remembers the last seq goes on with the next; 410 where retention has taken what is asked.
        """
        start = _seq(request.query.get("from", ""))
        try:
            oldest = await asyncio.to_thread(self._insight.oldest)
        except JournalError as problem:
            raise _unreadable(problem) from problem
        if start is not None and start < oldest:
            text = f"records before {oldest} are gone; ask for /journal?from={oldest}"
            raise NodeRefusal(HTTPStatus.GONE, "Expired", text)
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        try:
            async with aclosing(_lines(self._insight.follow(oldest if start is None else start))) as lines:
                async for line in lines:
                    await answer.write(line)
        except ConnectionError:
            return answer  # the client has seen enough
        except JournalError as problem:
            await answer.write(msgspec.json.encode(_unreadable(problem).status()) + b"\n")
        await answer.write_eof()
        return answer


def probe_metrics(answers: Sequence[ProbeAnswers]) -> str:
    """The exposition, under upstream's names."""
    out = Exposition()
    series: list[Series] = [
        (
            {
                "container": each.container,
                "namespace": each.namespace,
                "pod": each.pod,
                "pod_uid": each.uid,
                "probe_type": each.probe,
                "result": each.result,
            },
            each.count,
        )
        for each in answers
    ]
    words = "Cumulative number of a liveness, readiness or startup probe for a container by result."
    out.add("prober_probe_total", "counter", words, series)
    return out.text()


async def _lines(records: AsyncIterator[Record]) -> AsyncGenerator[bytes, None]:
    async for record in records:
        item = {
            "seq": record.seq,
            "at": record.at,
            "type": "event" if record.kind is RecordKind.EVENT else "decision",
            "causes": record.causes,
            "record": record.body,
        }
        yield msgspec.json.encode(item) + b"\n"


def _unreadable(problem: JournalError) -> NodeRefusal:
    return NodeRefusal(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", str(problem))


def _seq(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < len(str(1 << 63))):
        raise bad_request(f"from must be the seq of a record, not {text[:40]!r}")
    return int(text)
